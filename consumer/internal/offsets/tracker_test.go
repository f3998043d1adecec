package offsets

import (
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// naivePartition computes the watermark from its definition.
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

// TestWatermarkAgainstModel delivers offsets with holes, ends them in any order, and compares the tracker with the
// definition after each step. No unfinished record is below the committed offset. A new owner that reads the watermark and
// the list knows exactly which records have ended.
func TestWatermarkAgainstModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		start := rapid.Int64Range(0, 1<<40).Draw(t, "start")
		tr := Resume(At(start))
		model := &naivePartition{position: start, open: make(map[int64]bool)}
		seqs := make(map[int64]Seq)
		t.Repeat(map[string]func(*rapid.T){
			"deliver": func(t *rapid.T) {
				for range rapid.IntRange(1, 80).Draw(t, "records") {
					offset := model.position + rapid.Int64Range(0, 3).Draw(t, "hole")
					seqs[offset] = tr.Add(offset, timeOf(offset))
					model.open[offset] = true
					model.position = offset + 1
				}
			},
			"skip": func(t *rapid.T) {
				model.position += rapid.Int64Range(0, 1000).Draw(t, "skip")
				tr.Pass(model.position)
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
					tr.End(seqs[open[i]])
					delete(model.open, open[i])
					model.ended = append(model.ended, open[i])
					open = slices.Delete(open, i, i+1)
				}
			},
			"": func(t *rapid.T) { compare(t, tr, model) },
		})
	})
}

// timeOf gives the records of the model times that do not ascend with their offsets.
func timeOf(offset int64) int64 { return offset*7919%1000 - 500 }

// compareUnfinished compares how many records have not ended, and the oldest of them.
func compareUnfinished(t *rapid.T, tr *Tracker, model *naivePartition) {
	unread := rapid.Int64Range(-5, 5).Draw(t, "unread")
	if got, want := tr.Unfinished(model.position+unread), int64(len(model.open))+max(0, unread); got != want {
		t.Fatalf("%d unfinished, want %d", got, want)
	}
	oldest, some := int64(0), false
	for o := range model.open {
		if at := timeOf(o); !some || at < oldest {
			oldest, some = at, true
		}
	}
	if at, ok := tr.Oldest(); at != oldest || ok != some {
		t.Fatalf("the oldest is of %d (%v), want %d (%v)", at, ok, oldest, some)
	}
}

func compare(t *rapid.T, tr *Tracker, model *naivePartition) {
	compareUnfinished(t, tr, model)
	now, _ := tr.Snapshot()
	watermark := now.Watermark
	if want := model.watermark(); watermark != want {
		t.Fatalf("watermark %d, want %d", watermark, want)
	}
	full := Stamp{App: "1400000001", DeadLetterTopic: "events.dead-letter", Topic: TopicID{Cluster: 1}, Offset: watermark, LastRead: now.LastRead}
	metadata := full.WithFinished(now.Finished).Metadata(Everything)
	if len(metadata) > 4096 {
		t.Fatalf("metadata of %d bytes", len(metadata))
	}
	decoded, err := ReadStamp(0, watermark, metadata).Finished()
	if err != nil {
		t.Fatal(err)
	}
	next := Resume(Handover{Watermark: watermark, Finished: decoded, LastRead: NothingRead()})
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
		has := next.Read(o, NoEpoch)
		if seq := next.Add(o, 0); has {
			next.End(seq)
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

// compareInherited hands a partition on before every inherited offset has been delivered. The next owner must still know
// them.
func compareInherited(t *rapid.T, tr *Tracker, inherited []Range) {
	now, _ := tr.Snapshot()
	watermark := now.Watermark
	again := Resume(Handover{Watermark: watermark, Finished: now.Finished, LastRead: now.LastRead})
	for _, r := range inherited {
		for _, o := range []int64{r.First, r.Last} {
			if o >= watermark && o >= tr.Position() && !again.Read(o, NoEpoch) {
				t.Fatalf("offset %d was ended by the owner before the last, which the last one forgot", o)
			}
		}
	}
}

// TestInheritedListIsPassed: of a list that has been skipped to its end nothing is committed.
func TestInheritedListIsPassed(t *testing.T) {
	t.Parallel()
	tr := Resume(Handover{Watermark: 10, Finished: []Range{{12, 13}}, LastRead: NothingRead()})
	tr.Add(10, 0)
	tr.Skip(14)
	if now, _ := tr.Snapshot(); now.Watermark != 10 || len(now.Finished) > 0 {
		t.Errorf("%+v", now)
	}
}

// TestSpanShrinks: the span counts what has ended above the watermark, and shrinks when the watermark moves.
func TestSpanShrinks(t *testing.T) {
	t.Parallel()
	tr := Resume(At(10))
	first, second := tr.Add(10, 0), tr.Add(20, 0)
	if tr.End(second) || tr.Span() != 2 {
		t.Fatalf("span %d behind an unfinished offset, want 2", tr.Span())
	}
	if !tr.End(first) || tr.Span() != 0 {
		t.Fatalf("span %d after all ended, want 0", tr.Span())
	}
	if w := tr.Watermark(); w != 21 {
		t.Fatalf("watermark %d, want 21", w)
	}
}

// TestChanged: a commit is due after each change, and after a commit that has failed.
func TestChanged(t *testing.T) {
	t.Parallel()
	tr := Resume(At(10))
	var seq Seq
	for i, step := range []struct {
		name string
		do   func()
		want bool
	}{
		{"nothing", func() {}, false},
		{"empty offsets are skipped", func() { tr.Skip(12) }, true},
		{"the same again", func() { tr.Skip(12) }, false},
		{"a marker is passed", func() { tr.Read(12, 1); tr.Pass(13) }, true},
		{"a record is delivered", func() { seq = tr.Add(13, 0) }, false},
		{"offsets above it are skipped", func() { tr.Skip(20) }, false},
		{"it ends", func() { tr.End(seq) }, true},
		{"its commit fails", tr.NotCommitted, true},
		{"a restart comes too late", func() { tr.Restart(0) }, false},
	} {
		step.do()
		if _, changed := tr.Snapshot(); changed != step.want {
			t.Errorf("%d, %s: changed %t, want %t", i, step.name, changed, step.want)
		}
	}
}

// TestRestart: nothing of the former log counts, as long as no record has been delivered.
func TestRestart(t *testing.T) {
	t.Parallel()
	tr := Resume(Handover{Watermark: 100, Finished: []Range{{102, 105}}, LastRead: LastRead{Epoch: 7, End: 106}})
	tr.Read(100, 8)
	tr.Pass(101)
	if !tr.Restart(3) {
		t.Fatal("not restarted")
	}
	now, changed := tr.Snapshot()
	if !changed || now.Watermark != 3 || len(now.Finished) != 0 || now.Epoch != NoEpoch || now.LastRead != NothingRead() {
		t.Errorf("%+v, changed %t", now, changed)
	}
	if tr.Read(103, 1) {
		t.Error("an offset of the log before counts as finished")
	}
	tr.Add(103, 0)
	if tr.Restart(0) || tr.Position() != 104 {
		t.Errorf("restarted after a delivery, at %d", tr.Position())
	}
}

// TestHandovers follows the commits of two owners, one after the other.
func TestHandovers(t *testing.T) {
	t.Parallel()
	first := Resume(At(10))
	open := map[int64]Seq{}
	for _, o := range []int64{10, 11, 15, 16, 30} {
		first.Read(o, 4)
		open[o] = first.Add(o, 0)
	}
	for _, o := range []int64{11, 15, 30} {
		first.End(open[o])
	}
	want := Progress{Watermark: 10, Finished: []Range{{11, 15}, {30, 30}}, Epoch: NoEpoch, LastRead: LastRead{4, 31}}
	now, _ := first.Snapshot()
	if !reflect.DeepEqual(now, want) {
		t.Fatalf("first owner: %+v, want %+v", now, want)
	}
	second := Resume(Handover{Watermark: now.Watermark, Finished: now.Finished, LastRead: now.LastRead})
	for _, step := range []struct {
		offset   int64
		finished bool
		want     Progress
	}{
		{10, false, Progress{Watermark: 16, Finished: []Range{{30, 30}}, Epoch: NoEpoch, LastRead: LastRead{4, 31}}},
		{11, true, Progress{Watermark: 16, Finished: []Range{{30, 30}}, Epoch: NoEpoch, LastRead: LastRead{4, 31}}},
		{15, true, Progress{Watermark: 16, Finished: []Range{{30, 30}}, Epoch: 4, LastRead: LastRead{4, 31}}},
		{16, false, Progress{Watermark: 17, Finished: []Range{{30, 30}}, Epoch: 4, LastRead: LastRead{4, 31}}},
		{30, true, Progress{Watermark: 31, Epoch: 4, LastRead: LastRead{4, 31}}},
	} {
		if finished := second.Read(step.offset, 4); finished != step.finished {
			t.Errorf("offset %d: finished %t", step.offset, finished)
		}
		second.End(second.Add(step.offset, 0))
		if now, _ := second.Snapshot(); !reflect.DeepEqual(now, step.want) {
			t.Errorf("after offset %d: %+v, want %+v", step.offset, now, step.want)
		}
	}
}

func BenchmarkTracker(b *testing.B) {
	tr := Resume(At(0))
	var offset int64
	for b.Loop() {
		tr.Read(offset, 3)
		tr.End(tr.Add(offset, 0))
		offset++
	}
}

// TestUnfinishedLeavesOutWhatIsInherited: what the previous owner has finished is not counted, whether or not it has been read again.
func TestUnfinishedLeavesOutWhatIsInherited(t *testing.T) {
	t.Parallel()
	tr := Resume(Handover{Watermark: 10, Finished: []Range{{First: 12, Last: 14}, {First: 18, Last: 19}}, LastRead: NothingRead()})
	for _, step := range []struct {
		offset    int64
		end, want int64
	}{{10, 20, 5}, {11, 20, 5}, {12, 20, 5}, {13, 20, 5}, {14, 13, 2}, {15, 19, 5}, {16, 30, 15}, {18, 30, 14}} {
		seq := tr.Add(step.offset, 0)
		if tr.Read(step.offset, NoEpoch) {
			tr.End(seq)
		}
		if got := tr.Unfinished(step.end); got != step.want {
			t.Errorf("with %d read, of a log that ends at %d: %d unfinished, want %d", step.offset, step.end, got, step.want)
		}
	}
}
