package offsets

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestEpochsAgainstModel reads records of ascending epochs with holes, and compares what a commit says of them with the log.
func TestEpochsAgainstModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		begin := rapid.Int64Range(0, 100).Draw(t, "begin")
		inherited := rapid.Int32Range(-1, 3).Draw(t, "inherited")
		tr := Resume(Handover{Watermark: begin, LastRead: LastRead{Epoch: inherited, End: begin + 20}})
		type read struct {
			offset int64
			epoch  int32
		}
		var seen []read
		var open []Seq
		position, epoch := begin, max(0, inherited)
		var next *read // the record to come, once it has been seen
		see := func(t *rapid.T) read {
			if next == nil {
				epoch += rapid.SampledFrom([]int32{0, 0, 0, 1, 5}).Draw(t, "elections")
				next = &read{position + rapid.Int64Range(0, 2).Draw(t, "hole"), epoch}
			}
			tr.Read(next.offset, next.epoch)
			return *next
		}
		t.Repeat(map[string]func(*rapid.T){
			"read": func(t *rapid.T) {
				r := see(t)
				if rapid.Bool().Draw(t, "a marker") {
					tr.Pass(r.offset + 1)
				} else {
					open = append(open, tr.Add(r.offset, 0))
				}
				seen, position, next = append(seen, r), r.offset+1, nil
			},
			"see and not take": func(t *rapid.T) { see(t) },
			"skip": func(t *rapid.T) {
				if next != nil {
					return
				}
				position += rapid.Int64Range(0, 3).Draw(t, "empty")
				tr.Skip(position)
			},
			"end": func(t *rapid.T) {
				if len(open) > 0 {
					i := rapid.IntRange(0, len(open)-1).Draw(t, "which")
					tr.End(open[i])
					open = slices.Delete(open, i, i+1)
				}
			},
			"": func(t *rapid.T) {
				now, _ := tr.Snapshot()
				wantBefore, wantEpoch, wantRead := NoEpoch, inherited, begin+20
				for _, r := range seen {
					wantEpoch, wantRead = r.epoch, r.offset+1
					if r.offset < now.Watermark {
						wantBefore = r.epoch
					}
				}
				if wantEpoch < 0 {
					wantRead = -1
				}
				if now.Watermark > wantRead || len(seen) == 0 {
					wantBefore = NoEpoch
				}
				if now.LastRead.Epoch != wantEpoch || now.LastRead.End != wantRead || now.Epoch != wantBefore {
					t.Fatalf("epoch %d before the watermark %d, %d before %d; want %d, and %d before %d",
						now.Epoch, now.Watermark, now.LastRead.Epoch, now.LastRead.End, wantBefore, wantEpoch, wantRead)
				}
			},
		})
	})
}

// TestInheritedListKeepsItsEpoch: a list that has not been read yet goes with the epoch up to which its owner had read.
func TestInheritedListKeepsItsEpoch(t *testing.T) {
	t.Parallel()
	tr := Resume(Handover{Watermark: 10, Finished: []Range{{20, 29}}, LastRead: LastRead{Epoch: 3, End: 30}})
	tr.Read(10, 2)
	tr.End(tr.Add(10, 0))
	if now, _ := tr.Snapshot(); now.LastRead.Epoch != 3 || now.LastRead.End != 30 || now.Epoch != 2 {
		t.Errorf("%+v", now)
	}
}

// TestCut: finished offsets at or behind the cut are dropped, all others are kept.
func TestCut(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s, done := drawStamp(t)
		if s.Offset > 1<<60 {
			return
		}
		end := max(0, s.Offset+rapid.Int64Range(-50, 5000).Draw(t, "end"))
		logStart := rapid.SampledFrom([]int64{0, end, max(0, end-10), end + 10}).Draw(t, "log start")
		found := LastRead{Epoch: 2, End: end}
		left := Handover{Watermark: s.Offset, Finished: done, LastRead: s.LastRead}.Cut(found, logStart)
		if end = max(end, logStart); left.Watermark != min(s.Offset, end) || left.LastRead != found {
			t.Fatalf("goes on at %d, %+v", left.Watermark, left.LastRead)
		}
		before, after := offsetsOf(done), offsetsOf(left.Finished)
		for o := range before {
			if after[o] != (o < end) {
				t.Fatalf("offset %d, of a log cut at %d, is kept: %t", o, end, after[o])
			}
		}
		for o := range after {
			if !before[o] {
				t.Fatalf("offset %d is kept and was not there", o)
			}
		}
	})
}
