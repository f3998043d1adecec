package consumer

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"convdel/consumer/internal/recordlog"
)

// naivePartition is the watermark as its definition says it, and nothing else.
type naivePartition struct {
	position int64
	open     map[int64]bool
	ended    []int64
}

func (n *naivePartition) watermark() int64 {
	lowest := n.position
	for o := range n.open {
		lowest = min(lowest, o)
	}
	return lowest
}

// TestWatermarkAgainstModel delivers offsets with holes, ends them in any order, and compares the
// tracker with its definition after each step: nothing that has not ended is ever at or below what
// is committed, and a new owner that reads watermark and list knows exactly what has ended.
func TestWatermarkAgainstModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		start := rapid.Int64Range(0, 1<<40).Draw(t, "start")
		tr := newTracker(start)
		model := &naivePartition{position: start, open: make(map[int64]bool)}
		slots := make(map[int64]slot)
		t.Repeat(map[string]func(*rapid.T){
			"deliver": func(t *rapid.T) {
				for range rapid.IntRange(1, 80).Draw(t, "records") {
					offset := model.position + rapid.Int64Range(0, 3).Draw(t, "hole")
					slots[offset] = tr.add(offset)
					model.open[offset] = true
					model.position = offset + 1
				}
			},
			"skip": func(t *rapid.T) {
				model.position += rapid.Int64Range(0, 1000).Draw(t, "skip")
				tr.advance(model.position)
			},
			"end": func(t *rapid.T) {
				if len(model.open) == 0 {
					return
				}
				var open []int64
				for o := range model.open {
					open = append(open, o)
				}
				slices.Sort(open)
				for range rapid.IntRange(1, len(open)).Draw(t, "endings") {
					i := rapid.IntRange(0, len(open)-1).Draw(t, "which")
					tr.end(slots[open[i]])
					delete(model.open, open[i])
					model.ended = append(model.ended, open[i])
					open = slices.Delete(open, i, i+1)
				}
			},
			"": func(t *rapid.T) { compare(t, tr, model) },
		})
	})
}

func compare(t *rapid.T, tr *tracker, model *naivePartition) {
	now, _ := tr.snapshot()
	watermark := now.watermark
	if want := model.watermark(); watermark != want {
		t.Fatalf("watermark %d, want %d", watermark, want)
	}
	full := (&Config{App: "1400000001", DeadLetterTopic: "events.dead-letter"}).stampAt(0, watermark, recordlog.ID{Cluster: 1}).list(now.done)
	metadata := full.text()
	if len(metadata) > 4096 {
		t.Fatalf("metadata of %d bytes", len(metadata))
	}
	decoded, err := decodeDone(watermark, readStamp(0, watermark, metadata).done)
	if err != nil {
		t.Fatal(err)
	}
	next := newTracker(watermark)
	next.inherit(decoded)
	var offsets []int64
	for o := range model.open {
		offsets = append(offsets, o)
	}
	for _, o := range model.ended {
		if o >= watermark {
			offsets = append(offsets, o)
		}
	}
	slices.Sort(offsets)
	complete := len(metadata) < 3000
	for _, o := range offsets {
		has := next.endedBefore(o)
		if s := next.add(o); has {
			next.end(s)
		}
		if has && model.open[o] {
			t.Fatalf("offset %d has not ended but the commit says so", o)
		}
		if !has && !model.open[o] && complete {
			t.Fatalf("offset %d has ended but the commit does not say so", o)
		}
		if rapid.Bool().Draw(t, "go on") {
			continue
		}
		break
	}
	compareInherited(t, next, decoded)
}

// compareInherited hands a partition on before everything inherited has been delivered: what the
// previous owner had ended must not be forgotten.
func compareInherited(t *rapid.T, tr *tracker, inherited []offsetRange) {
	now, _ := tr.snapshot()
	watermark := now.watermark
	again := newTracker(watermark)
	again.inherit(now.done)
	for _, r := range inherited {
		for _, o := range []int64{r.first, r.last} {
			if o >= watermark && o >= tr.next() && !again.endedBefore(o) {
				t.Fatalf("offset %d was ended by the owner before the last, which the last one forgot", o)
			}
		}
	}
}

func TestWatermarkSpanShrinks(t *testing.T) {
	t.Parallel()
	tr := newTracker(10)
	first, second := tr.add(10), tr.add(20)
	tr.end(second)
	n, shrunk := tr.span()
	if n != 2 {
		t.Fatalf("span %d behind an unfinished offset, want 2", n)
	}
	select {
	case <-shrunk:
		t.Fatal("span reported as shrunk")
	default:
	}
	tr.end(first)
	<-shrunk
	if n, _ = tr.span(); n != 0 {
		t.Fatalf("span %d after all ended, want 0", n)
	}
	if w := tr.watermark(); w != 21 {
		t.Fatalf("watermark %d, want 21", w)
	}
}

func TestDoneLeavesOutWhatDoesNotFit(t *testing.T) {
	t.Parallel()
	var ranges []offsetRange
	for o := int64(2); o < 60_000; o += 3 {
		ranges = append(ranges, offsetRange{first: o, last: o + 1})
	}
	text := encodeDone(0, ranges, 4000)
	if len(text) > 4000 {
		t.Fatalf("metadata of %d bytes", len(text))
	}
	got, err := decodeDone(0, text)
	if err != nil {
		t.Fatal(err)
	}
	if whole := len(got) - 1; whole < 1000 || !slices.Equal(got[:whole], ranges[:whole]) { // the last one may be cut
		t.Fatalf("%d ranges came back, not the first ones of those given", len(got))
	}
}

// TestDoneAlternating: where every other offset has ended, the whole open span of a partition fits.
func TestDoneAlternating(t *testing.T) {
	t.Parallel()
	var ranges []offsetRange
	for o := int64(101); o < 100+maxSpan; o += 2 {
		ranges = append(ranges, offsetRange{first: o, last: o})
	}
	text := encodeDone(100, ranges, 3700)
	got, err := decodeDone(100, text)
	if err != nil || len(text) > 3700 || !slices.Equal(got, ranges) {
		t.Fatalf("%d bytes, %d of %d ranges came back, %v", len(text), len(got), len(ranges), err)
	}
}

func TestDoneOfAnotherOrigin(t *testing.T) {
	t.Parallel()
	for _, metadata := range []string{"", "NO_METADATA", "convdel3:AAAA", "convdel4 at=5 done=rAQI"} {
		if got := readStamp(0, 5, metadata); got != blankStamp() {
			t.Errorf("%q: %+v; want nothing", metadata, got)
		}
	}
}

// FuzzDecodeDone: whatever is in the metadata, no offset at or below the watermark is taken for
// ended, and ranges ascend.
func FuzzDecodeDone(f *testing.F) {
	f.Add(int64(0), "r")
	f.Add(int64(7), "rAQI")
	f.Add(int64(1<<62), "r////////fwE")
	f.Add(int64(3), "r!!")
	f.Add(int64(9), "bqqqq")
	f.Add(int64(1<<63-2), "bqqqq")
	f.Add(int64(1), "é")
	f.Fuzz(func(t *testing.T, watermark int64, metadata string) {
		if watermark < 0 {
			return
		}
		ranges, err := decodeDone(watermark, metadata)
		if err != nil {
			return
		}
		last := watermark
		for _, r := range ranges {
			if r.first <= last || r.last < r.first {
				t.Fatalf("ranges %v behind %d", ranges, watermark)
			}
			last = r.last
		}
	})
}

func BenchmarkTracker(b *testing.B) {
	tr := newTracker(0)
	var offset int64
	for b.Loop() {
		s := tr.add(offset)
		tr.end(s)
		offset++
	}
}
