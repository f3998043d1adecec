package offsets

import (
	"encoding/base64"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// drawStamp draws any stamp that a commit may carry, and the finished offsets that it lists.
func drawStamp(t *rapid.T) (Stamp, []Range) {
	s := Stamp{
		App:             rapid.StringMatching(`[0-9]{0,10}`).Draw(t, "app"),
		DeadLetterTopic: rapid.StringMatching(`[a-zA-Z0-9._-]{1,249}`).Draw(t, "letters"),
		Partition:       rapid.IntRange(0, 1<<31-1).Draw(t, "partition"),
		Offset:          rapid.Int64Range(0, 1<<62).Draw(t, "at"),
		LastRead:        NothingRead(),
	}
	s.Partitions = rapid.IntRange(0, 1<<31-1).Draw(t, "of")
	if rapid.Bool().Draw(t, "known topic") {
		copy(s.Topic.Topic[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "topic"))
		s.Topic.Cluster = rapid.Uint32().Draw(t, "cluster")
	}
	if rapid.Bool().Draw(t, "known epoch") {
		s.LastRead = LastRead{Epoch: rapid.Int32Range(0, 1<<31-1).Draw(t, "epoch"), End: s.Offset + rapid.Int64Range(0, 20_000).Draw(t, "read")}
	}
	var done []Range
	from := s.Offset
	widest := rapid.SampledFrom([]int64{3, 1 << 40}).Draw(t, "widest gap") // with wide ones not all will fit
	for range rapid.IntRange(0, 600).Draw(t, "ranges") {
		r := Range{First: from + rapid.Int64Range(1, widest).Draw(t, "gap")}
		r.Last = r.First + rapid.Int64Range(0, 2).Draw(t, "length")
		done, from = append(done, r), r.Last+1
	}
	return s.WithFinished(done), done
}

func offsetsOf(ranges []Range) map[int64]bool {
	all := make(map[int64]bool)
	for _, r := range ranges {
		for o := r.First; o <= r.Last; o++ {
			all[o] = true
		}
	}
	return all
}

// TestStampComesBack: the next owner reads the values that were committed, and the metadata fits what brokers take.
func TestStampComesBack(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s, done := drawStamp(t)
		text := s.Metadata(Everything)
		if len(text) > maxMetadata {
			t.Fatalf("%d bytes", len(text))
		}
		if got := ReadStamp(s.Partition, s.Offset, text); got != s {
			t.Fatalf("%q came back as %+v, want %+v", text, got, s)
		}
		listed, err := s.Finished()
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
		if got := ReadStamp(s.Partition, s.Offset, later); got != s {
			t.Fatalf("with words of a later version it came back as %+v, want %+v", got, s)
		}
	})
}

// TestStampOfAnotherOffset: a tool that moves a group writes the metadata that it has read beside another offset. The words
// about offsets do not count then; all other words do.
func TestStampOfAnotherOffset(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s, _ := drawStamp(t)
		moved := rapid.OneOf(rapid.Int64Range(0, 1<<62), rapid.Int64Range(max(0, s.Offset-3), s.Offset+3)).Draw(t, "moved")
		partition := rapid.OneOf(rapid.Just(s.Partition), rapid.IntRange(0, 10)).Draw(t, "partition")
		got := ReadStamp(partition, moved, s.Metadata(Everything))
		if moved == s.Offset && partition == s.Partition {
			return
		}
		if got.List != "" || got.LastRead != NothingRead() || got.Offset != -1 {
			t.Fatalf("offset %d with the metadata of %d: %+v", moved, s.Offset, got)
		}
		if got.App != s.App || got.DeadLetterTopic != s.DeadLetterTopic || got.Topic != s.Topic {
			t.Fatalf("whose it is was forgotten: %+v, want %+v", got, s)
		}
	})
}

// TestStampOfAnotherProgram: metadata in another form says nothing.
func TestStampOfAnotherProgram(t *testing.T) {
	t.Parallel()
	for _, metadata := range []string{"", "NO_METADATA", "convdel3:AAAA", "convdel4 at=5 done=rAQI", "other app=1 letters=l of=3 partition=0 at=5 done=rAQI"} {
		if got := ReadStamp(0, 5, metadata); got != Unstamped() {
			t.Errorf("%q: %+v; want nothing", metadata, got)
		}
	}
}

// TestStampsAsWritten: the form is in commits out there. It is read for ever, and says nothing that is unknown.
func TestStampsAsWritten(t *testing.T) {
	t.Parallel()
	first := Stamp{LastRead: LastRead{Epoch: 0, End: 7}}
	whole := Stamp{
		App: "1400000001", DeadLetterTopic: "events.dead-letter", Topic: TopicID{Topic: [16]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}},
		Partitions: 12, Partition: 3, Offset: 150, LastRead: LastRead{Epoch: 3, End: 162}, List: "rAQI",
	}
	for want, s := range map[string]Stamp{
		"convdel3": Unstamped(),
		"convdel3 partition=0 at=0 epoch=0 read=7": first,
		"convdel3 app=1400000001 letters=events.dead-letter log=AAAAAAABAgMEBQYHCAkKCwwNDg8 of=12 partition=3 at=150 epoch=3 read=162 done=rAQI": whole,
	} {
		if got := s.Metadata(Everything); got != want {
			t.Errorf("%q, want %q", got, want)
		}
		if got := ReadStamp(s.Partition, s.Offset, want); got != s {
			t.Errorf("%q: %+v, want %+v", want, got, s)
		}
	}
}

// TestStampNumbers: a number that is negative or too large, and an ID of another length, are unknown.
func TestStampNumbers(t *testing.T) {
	t.Parallel()
	want := Unstamped()
	want.Partition, want.Offset = 3, 12
	for _, word := range []string{"epoch=-7", "epoch=4294967299", "read=-9", "read=9223372036854775808", "of=-3", "log=" + strings.Repeat("A", 28)} {
		if got := ReadStamp(3, 12, "convdel3 partition=3 at=12 "+word); got != want {
			t.Errorf("%q: %+v", word, got)
		}
	}
	if got := ReadStamp(3, 12, "convdel3 log="+TopicID{Cluster: 1}.text()+"AAAA"); got != Unstamped() {
		t.Errorf("an ID that is too long: %+v", got)
	}
}

// TestStampIsFull: a list takes all the room that the rest of the stamp leaves, and no more.
func TestStampIsFull(t *testing.T) {
	t.Parallel()
	var ranges []Range
	for o := int64(20); o < 100_000; o += 20 {
		ranges = append(ranges, Range{First: o, Last: o})
	}
	for length := range 8 { // the list has base64's steps
		s := Stamp{DeadLetterTopic: strings.Repeat("l", 200+length), LastRead: NothingRead()}.WithFinished(ranges)
		for range 2 {
			if n := len(s.Metadata(Everything)); n > maxMetadata || n <= maxMetadata-6 || n > 4096 {
				t.Errorf("%d bytes", n)
			}
			s = s.WithFinished(ranges)
		}
	}
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
		s := ReadStamp(0, offset, metadata)
		if s.Offset != offset && (s.Offset != -1 || s.List != "" || s.LastRead != NothingRead()) {
			t.Fatalf("%+v of offset %d", s, offset)
		}
		ranges, err := decodeFinished(offset, s.List)
		for last := offset; err == nil && len(ranges) > 0; ranges = ranges[1:] {
			if ranges[0].First <= last || ranges[0].Last < ranges[0].First {
				t.Fatalf("%v behind %d", ranges, last)
			}
			last = ranges[0].Last
		}
	})
}

// TestFormerMetadata: of the metadata of former versions the topic counts. The list does not, since it does not name its
// offset.
func TestFormerMetadata(t *testing.T) {
	t.Parallel()
	id := TopicID{Cluster: 0xfeedbeef, Topic: [16]byte{1, 2, 3, 15: 0xff}}
	nothing, topic := Unstamped(), Unstamped()
	topic.Topic = id
	for metadata, want := range map[string]Stamp{
		"":                                  nothing,
		"NO_METADATA":                       nothing,
		"convdel1:AQI":                      nothing,
		"convdel2:Ag":                       nothing,
		"convdel-topic1:" + id.text() + " ": topic,
		"convdel-topic1:" + id.text() + " convdel1:AQI": topic,
		"convdel-topic1:" + id.text() + " convdel2:Ag":  topic,
		"convdel-topic1:":                  nothing,
		"convdel-topic1:AAAA convdel1:AQI": nothing,
		"convdel-topic1:! x":               nothing,
	} {
		if got := ReadStamp(0, 5, metadata); got != want {
			t.Errorf("%q: %+v, want %+v", metadata, got, want)
		}
	}
}

// formerly reads a commit's metadata as the versions before this one do: it says whether they find their topic's ID, and
// whether they find a list of finished offsets. It never changes, since those versions are in use.
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

// TestRollback: a version before this one ignores this version's metadata. It repeats the events of the list, and skips
// nothing.
func TestRollback(t *testing.T) {
	t.Parallel()
	if topic, list, err := formerly("convdel-topic1:" + TopicID{Cluster: 1}.text() + " convdel1:AQI"); !topic || !list || err != nil {
		t.Fatalf("its own metadata: topic %t, list %t, %v", topic, list, err)
	}
	rapid.Check(t, func(t *rapid.T) {
		s, _ := drawStamp(t)
		if topic, list, err := formerly(s.Metadata(Everything)); topic || list || err != nil {
			t.Fatalf("%q: topic %t, list %t, %v", s.Metadata(Everything), topic, list, err)
		}
	})
}

// TestDetail: the less metadata a broker takes, the less is written. The topic's ID is left out last.
func TestDetail(t *testing.T) {
	t.Parallel()
	s := Stamp{App: "1400000001", DeadLetterTopic: "l", Topic: TopicID{Cluster: 1}, Offset: 5, LastRead: NothingRead()}.WithFinished([]Range{{7, 8}})
	plain, topic := s, Unstamped()
	plain.List, topic.Topic = "", s.Topic
	for detail, want := range map[Detail]Stamp{Everything: s, NoList: plain, TopicOnly: topic, Nothing: Unstamped()} {
		if got := ReadStamp(0, 5, s.Metadata(detail)); got != want {
			t.Errorf("%d: %+v, want %+v", detail, got, want)
		}
	}
	if text := s.Metadata(Nothing); text != "" {
		t.Errorf("%q", text)
	}
}
