package consumer

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"convdel/consumer/internal/recordlog"
)

// drawStamp is any stamp that a commit may carry, and what it lists.
func drawStamp(t *rapid.T) (stamp, []offsetRange) {
	name := rapid.StringMatching(`[a-zA-Z0-9._-]{1,249}`)
	s := (&Config{App: rapid.StringMatching(`[0-9]{0,10}`).Draw(t, "app"), DeadLetterTopic: name.Draw(t, "letters")}).stampAt(
		rapid.IntRange(0, 1<<31-1).Draw(t, "partition"), rapid.Int64Range(0, 1<<62).Draw(t, "at"), recordlog.ID{})
	s.of = rapid.IntRange(0, 1<<31-1).Draw(t, "of")
	if rapid.Bool().Draw(t, "known topic") {
		copy(s.log.Topic[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "topic"))
		s.log.Cluster = rapid.Uint32().Draw(t, "cluster")
	}
	if rapid.Bool().Draw(t, "known epoch") {
		s.epoch, s.read = rapid.Int32Range(0, 1<<31-1).Draw(t, "epoch"), s.at+rapid.Int64Range(0, 20_000).Draw(t, "read")
	}
	var done []offsetRange
	from := s.at
	widest := rapid.SampledFrom([]int64{3, 1 << 40}).Draw(t, "widest gap") // with wide ones not all will fit
	for range rapid.IntRange(0, 600).Draw(t, "ranges") {
		r := offsetRange{first: from + rapid.Int64Range(1, widest).Draw(t, "gap")}
		r.last = r.first + rapid.Int64Range(0, 2).Draw(t, "length")
		done, from = append(done, r), r.last+1
	}
	return s.list(done), done
}

func offsetsOf(ranges []offsetRange) map[int64]bool {
	all := make(map[int64]bool)
	for _, r := range ranges {
		for o := r.first; o <= r.last; o++ {
			all[o] = true
		}
	}
	return all
}

// TestStampComesBack: what a commit says is read by the next owner as it was meant, and fits what brokers take.
func TestStampComesBack(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s, done := drawStamp(t)
		text := s.text()
		if len(text) > maxStamp {
			t.Fatalf("%d bytes", len(text))
		}
		if got := readStamp(s.partition, s.at, text); got != s {
			t.Fatalf("%q came back as %+v, want %+v", text, got, s)
		}
		listed, err := decodeDone(s.at, s.done)
		if err != nil {
			t.Fatal(err)
		}
		ended := offsetsOf(done)
		for o := range offsetsOf(listed) {
			if !ended[o] {
				t.Fatalf("%d is listed and has not ended", o)
			}
		}
		if len(done) > 0 && len(listed) == 0 {
			t.Fatal("nothing is listed")
		}
		later := stampWord + " x=1 y " + strings.TrimPrefix(text, stampWord+" ") + " z=a=b"
		if got := readStamp(s.partition, s.at, later); got != s {
			t.Fatalf("with words of a later version it came back as %+v, want %+v", got, s)
		}
	})
}

// TestStampOfAnotherOffset: a tool that moves a group writes back the metadata that it has read. Nothing in it about offsets
// counts, and all the rest does.
func TestStampOfAnotherOffset(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s, _ := drawStamp(t)
		moved := rapid.OneOf(rapid.Int64Range(0, 1<<62), rapid.Int64Range(max(0, s.at-3), s.at+3)).Draw(t, "moved")
		partition := rapid.OneOf(rapid.Just(s.partition), rapid.IntRange(0, 10)).Draw(t, "partition")
		got := readStamp(partition, moved, s.text())
		if moved == s.at && partition == s.partition {
			return
		}
		if got.done != "" || got.epoch != recordlog.NoEpoch || got.read != -1 || got.at != -1 {
			t.Fatalf("offset %d with the metadata of %d: %+v", moved, s.at, got)
		}
		if got.app != s.app || got.letters != s.letters || got.log != s.log {
			t.Fatalf("whose it is was forgotten: %+v, want %+v", got, s)
		}
	})
}

// FuzzReadStamp: whatever is in the metadata, it says something about offsets only where it names the one committed, and no
// offset at or below that is taken for ended.
func FuzzReadStamp(f *testing.F) {
	f.Add(int64(150), "convdel3 app=1400000001 letters=events.dead-letter log=AAAAAQECAwQFBgcICQoLDA0ODxA of=3 partition=0 at=150 epoch=3 read=162 done=rAQI")
	f.Add(int64(7), "convdel3 partition=0 at=7 done=b!!")
	f.Add(int64(7), "convdel3 partition=0 at=+7 epoch=99999999999 done=")
	f.Add(int64(7), "convdel3  partition=0 at=7 at=8 =7 done=rAQI done=x")
	f.Add(int64(0), "convdel-topic1:AAAAAQECAwQFBgcICQoLDA0ODxA convdel1:AQI")
	f.Fuzz(func(t *testing.T, offset int64, metadata string) {
		if offset < 0 {
			return
		}
		s := readStamp(0, offset, metadata)
		if s.at != offset && (s.at != -1 || s.done != "" || s.epoch != recordlog.NoEpoch) {
			t.Fatalf("%+v of offset %d", s, offset)
		}
		ranges, err := decodeDone(offset, s.done)
		for last := offset; err == nil && len(ranges) > 0; ranges = ranges[1:] {
			if ranges[0].first <= last || ranges[0].last < ranges[0].first {
				t.Fatalf("%v behind %d", ranges, last)
			}
			last = ranges[0].last
		}
	})
}

// TestFormerMetadata: of what older versions have written the topic counts, and no list: it does not name its offset.
func TestFormerMetadata(t *testing.T) {
	t.Parallel()
	id := recordlog.ID{Cluster: 0xfeedbeef, Topic: [16]byte{1, 2, 3, 15: 0xff}}
	nothing, topic := blankStamp(), blankStamp()
	topic.log = id
	for metadata, want := range map[string]stamp{
		"": nothing, "NO_METADATA": nothing, "convdel1:AQI": nothing, "convdel2:Ag": nothing,
		"convdel-topic1:" + identityText(id) + " ":             topic,
		"convdel-topic1:" + identityText(id) + " convdel1:AQI": topic,
		"convdel-topic1:" + identityText(id) + " convdel2:Ag":  topic,
		"convdel-topic1:": nothing, "convdel-topic1:AAAA convdel1:AQI": nothing, "convdel-topic1:! x": nothing,
	} {
		if got := readStamp(0, 5, metadata); got != want {
			t.Errorf("%q: %+v, want %+v", metadata, got, want)
		}
	}
}

// formerly is how the versions before this one read a commit's metadata: whether they knew the topic, and whether they took
// anything for a list of finished offsets. It is frozen: those versions are out there.
func formerly(metadata string) (topic, list bool, err error) {
	text, stamped := strings.CutPrefix(metadata, "convdel-topic1:")
	if stamped {
		var id string
		id, metadata, _ = strings.Cut(text, " ")
		raw, err := base64.RawStdEncoding.DecodeString(id)
		topic = err == nil && len(raw) == 20
		if !topic {
			metadata = ""
		}
	}
	text, asRanges := strings.CutPrefix(metadata, "convdel1:")
	text, asBits := strings.CutPrefix(text, "convdel2:")
	if !asRanges && !asBits {
		return topic, false, nil
	}
	_, err = base64.RawStdEncoding.DecodeString(text)
	return topic, true, err
}

// TestRollback: a version before this one ignores what this one has written. It repeats what the list covers, and skips nothing.
func TestRollback(t *testing.T) {
	t.Parallel()
	if topic, list, err := formerly("convdel-topic1:" + identityText(recordlog.ID{Cluster: 1}) + " convdel1:AQI"); !topic || !list || err != nil {
		t.Fatalf("its own metadata: topic %t, list %t, %v", topic, list, err)
	}
	rapid.Check(t, func(t *rapid.T) {
		s, _ := drawStamp(t)
		if topic, list, err := formerly(s.text()); topic || list || err != nil {
			t.Fatalf("%q: topic %t, list %t, %v", s.text(), topic, list, err)
		}
	})
}

// TestForeign: a group is another service's where it deletes through another app or buries in another topic, unless that app is
// the one adopted.
func TestForeign(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		app, adopt, stampApp, stampLetters string
		want                               bool
	}{
		{"1", "", "1", "l", false},
		{"1", "", "2", "l", true},
		{"1", "", "1", "m", true},
		{"1", "2", "2", "m", false},
		{"1", "1", "1", "m", false},
		{"1", "3", "2", "l", true},
		{"1", "", "", "", false},
		{"1", "", "1", "", false},
		{"", "", "2", "m", false},
		{"1", "2", "1", "m", true},
	} {
		c := &Config{App: test.app, Adopt: test.adopt, DeadLetterTopic: "l"}
		s := blankStamp()
		s.app, s.letters = test.stampApp, test.stampLetters
		if got := c.foreign(s); got != test.want {
			t.Errorf("%+v: %t", test, got)
		}
	}
}

// TestThrift: the less metadata a broker takes, the less is said, and the topic is said last.
func TestThrift(t *testing.T) {
	t.Parallel()
	s := (&Config{App: "1400000001", DeadLetterTopic: "l"}).stampAt(0, 5, recordlog.ID{Cluster: 1}).list([]offsetRange{{7, 8}})
	one := commit{offset: 5, stamp: s}
	plain, topic := s, blankStamp()
	plain.done, topic.log = "", s.log
	for how, want := range map[thrift]stamp{wholeStamp: s, withoutList: plain, logOnly: topic, noStamp: blankStamp()} {
		if got := readStamp(0, 5, one.metadata(how)); got != want {
			t.Errorf("%d: %+v, want %+v", how, got, want)
		}
	}
	if text := one.metadata(noStamp); text != "" {
		t.Errorf("%q", text)
	}
}

// TestConfigWords: what goes into a commit's metadata has no spaces.
func TestConfigWords(t *testing.T) {
	t.Parallel()
	for _, word := range []string{"a b", "a\n", strings.Repeat("x", 65), "ü"} {
		err := Config{App: word, Adopt: word}.validate()
		for _, field := range []string{"App", "Adopt"} {
			if !hasField(err, field) {
				t.Errorf("%q is taken as %s", word, field)
			}
		}
	}
}

func hasField(err error, field string) bool {
	joined, _ := err.(interface{ Unwrap() []error })
	for _, one := range joined.Unwrap() {
		if wrong, ok := errors.AsType[*ConfigError](one); ok && wrong.Field == field {
			return true
		}
	}
	return false
}
