package consumer

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"convdel/consumer/internal/recordlog"
)

// TestEpochsAgainstModel reads records of ascending epochs with holes, and compares what a commit says of them with the log.
func TestEpochsAgainstModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		begin := rapid.Int64Range(0, 100).Draw(t, "begin")
		p := &partition{tracker: newTracker(begin)}
		p.reading = recordlog.NoEpoch
		inherited := rapid.Int32Range(-1, 3).Draw(t, "inherited")
		p.tracker.inheritRead(inherited, begin+20)
		type read struct {
			offset int64
			epoch  int32
		}
		var seen []read
		var slots []slot
		position, epoch := begin, max(0, inherited)
		var next *read // the record to come, once it has been seen
		see := func(t *rapid.T) read {
			if next == nil {
				epoch += rapid.SampledFrom([]int32{0, 0, 0, 1, 5}).Draw(t, "elections")
				next = &read{position + rapid.Int64Range(0, 2).Draw(t, "hole"), epoch}
			}
			p.sees(next.offset, next.epoch)
			return *next
		}
		t.Repeat(map[string]func(*rapid.T){
			"read": func(t *rapid.T) {
				r := see(t)
				if rapid.Bool().Draw(t, "a marker") {
					p.tracker.advance(r.offset + 1)
				} else {
					slots = append(slots, p.tracker.add(r.offset))
				}
				seen, position, next = append(seen, r), r.offset+1, nil
			},
			"see and not take": func(t *rapid.T) { see(t) },
			"skip": func(t *rapid.T) {
				if next != nil {
					return
				}
				position += rapid.Int64Range(0, 3).Draw(t, "empty")
				p.tracker.skip(position)
			},
			"end": func(t *rapid.T) {
				if len(slots) > 0 {
					i := rapid.IntRange(0, len(slots)-1).Draw(t, "which")
					p.tracker.end(slots[i])
					slots = slices.Delete(slots, i, i+1)
				}
			},
			"": func(t *rapid.T) {
				now, _ := p.tracker.snapshot()
				wantBefore, wantEpoch, wantRead := recordlog.NoEpoch, inherited, begin+20
				for _, r := range seen {
					wantEpoch, wantRead = r.epoch, r.offset+1
					if r.offset < now.watermark {
						wantBefore = r.epoch
					}
				}
				if wantEpoch < 0 {
					wantRead = -1
				}
				if now.watermark > wantRead || len(seen) == 0 {
					wantBefore = recordlog.NoEpoch
				}
				if now.epoch != wantEpoch || now.read != wantRead || now.before != wantBefore {
					t.Fatalf("epoch %d before the watermark %d, %d before %d; want %d, and %d before %d",
						now.before, now.watermark, now.epoch, now.read, wantBefore, wantEpoch, wantRead)
				}
			},
		})
	})
}

// TestInheritedListKeepsItsEpoch: a list that has not been read yet is of what its owner had read.
func TestInheritedListKeepsItsEpoch(t *testing.T) {
	t.Parallel()
	p := &partition{tracker: newTracker(10)}
	p.reading = recordlog.NoEpoch
	p.tracker.inherit([]offsetRange{{20, 29}})
	p.tracker.inheritRead(3, 30)
	p.sees(10, 2)
	p.tracker.end(p.tracker.add(10))
	if now, _ := p.tracker.snapshot(); now.epoch != 3 || now.read != 30 || now.before != 2 {
		t.Errorf("%+v", now)
	}
}

// TestCut: what lies at or behind the cut is not there any more, and the rest is.
func TestCut(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s, done := drawStamp(t)
		if s.at > 1<<60 {
			return
		}
		end := max(0, s.at+rapid.Int64Range(-50, 5000).Draw(t, "end"))
		begin, kept := cut(s.at, done, end)
		if begin != min(s.at, end) {
			t.Fatalf("begins at %d", begin)
		}
		before, after := offsetsOf(done), offsetsOf(kept)
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
