package consumer

import (
	"errors"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var errRefused = errors.New("refused")

// queued makes a dead letter of a source record of so many bytes.
func queued(offset, bytes int64) *deadLetter {
	return &deadLetter{event: &event{record: record{partition: &partition{id: 3}, offset: offset}, size: bytes}, outcome: OutcomePermanent, writeState: writeState{bytes: bytes}}
}

func sourceOffsets(letters []*deadLetter) []int64 {
	var offsets []int64
	for _, l := range letters {
		offsets = append(offsets, l.offset)
	}
	return offsets
}

// TestWriteBatches: what has not been written yet is written in the order of arrival, as much at once as a batch may have.
func TestWriteBatches(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		letters int
		bytes   int64
		batches []int
	}{
		{"none", 0, 0, []int{0}},
		{"few", 3, 100, []int{3, 0}},
		{"as many as go together", writeBatch, 100, []int{writeBatch, 0}},
		{"more", 2*writeBatch + 1, 100, []int{writeBatch, writeBatch, 1, 0}},
		{"large", 5, writeBatchBytes / 2, []int{2, 2, 1, 0}},
		{"beyond a batch", 2, 2 * writeBatchBytes, []int{1, 1, 0}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var q writeQueue[*deadLetter]
			for i := range test.letters {
				q.add(queued(int64(i), test.bytes))
			}
			next := int64(0)
			for _, want := range test.batches {
				batch, due := q.next(time.Unix(0, 0))
				if len(batch) != want || !due.IsZero() {
					t.Fatalf("%d at once, then at %s, want %d", len(batch), due, want)
				}
				for _, l := range batch {
					if l.offset != next {
						t.Fatalf("offset %d, want %d", l.offset, next)
					}
					next++
				}
			}
			if q.unacknowledged != test.letters {
				t.Errorf("%d are not acknowledged, want %d", q.unacknowledged, test.letters)
			}
		})
	}
}

// TestWriteRetryDelay: the delay doubles up to its bound, give or take half of it.
func TestWriteRetryDelay(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		failures int
		random   float64
		want     time.Duration
	}{
		{1, 0.5, 250 * time.Millisecond},
		{2, 0.5, 500 * time.Millisecond},
		{6, 0.5, 8 * time.Second},
		{7, 0.5, 15 * time.Second},
		{1_000_000_000, 0.5, 15 * time.Second},
		{1, 0, 125 * time.Millisecond},
		{7, 0, 7500 * time.Millisecond},
		{7, 0.999, 22485 * time.Millisecond},
	} {
		if got := retryDelay(test.failures, test.random); got != test.want {
			t.Errorf("after %d failures, with %v: %s, want %s", test.failures, test.random, got, test.want)
		}
	}
}

// TestWriteRetries is the script of a topic that takes nothing for a while: what has failed waits, what is new goes on, and
// what was written together is tried together again.
func TestWriteRetries(t *testing.T) {
	t.Parallel()
	var q writeQueue[*deadLetter]
	start := time.Unix(1000, 0)
	at := start.Add
	expect := func(now time.Time, wantDue time.Time, want ...int64) []*deadLetter {
		t.Helper()
		batch, due := q.next(now)
		if !slices.Equal(sourceOffsets(batch), want) || !due.Equal(wantDue) {
			t.Fatalf("offsets %v, due at %s; want %v, at %s", sourceOffsets(batch), due, want, wantDue)
		}
		return batch
	}
	putOff := func(now time.Time, want time.Duration, failed ...*deadLetter) {
		t.Helper()
		if delay, kept := q.putOff(failed, errRefused, now, 0.5); !kept || delay != want {
			t.Fatalf("put off for %s (%t), want %s", delay, kept, want)
		}
	}
	for offset := range int64(3) {
		q.add(queued(offset, 10))
	}
	first := expect(start, time.Time{}, 0, 1, 2)
	putOff(start, 250*time.Millisecond, first...)
	expect(at(249*time.Millisecond), at(250*time.Millisecond))
	q.add(queued(3, 10))
	putOff(at(249*time.Millisecond), 250*time.Millisecond, expect(at(249*time.Millisecond), time.Time{}, 3)...)
	again := expect(at(250*time.Millisecond), time.Time{}, 0, 1, 2)
	again[1].form = formAlone // its write has been refused
	putOff(at(250*time.Millisecond), 500*time.Millisecond, again...)

	// One that is alone does not hold up the others, and is written after them.
	late := at(time.Hour)
	q.add(queued(4, 10))
	expect(late, time.Time{}, 3, 0, 2)
	expect(late, time.Time{}, 1)
	expect(late, time.Time{}, 4)
	expect(late, time.Time{})
	if q.unacknowledged != 5 || !errors.Is(q.why, errRefused) {
		t.Errorf("%d are not acknowledged, because of %v", q.unacknowledged, q.why)
	}
}

// TestWritesAlone: of those that have to be written alone, each makes a batch.
func TestWritesAlone(t *testing.T) {
	t.Parallel()
	var q writeQueue[*deadLetter]
	now := time.Unix(1000, 0)
	var failed []*deadLetter
	for i, form := range []deadLetterForm{formLeast, formWhole, formCompressed, formWhole, formAlone} {
		l := queued(int64(i), 10)
		l.form = form
		failed = append(failed, l)
	}
	q.putOff(failed, errRefused, now, 0)
	for _, want := range [][]int64{{0}, {1, 3}, {2}, {4}, nil} {
		if batch, _ := q.next(now.Add(time.Second)); !slices.Equal(sourceOffsets(batch), want) {
			t.Errorf("offsets %v, want %v", sourceOffsets(batch), want)
		}
	}
}

// TestWritesToComplete: what waits without its source record is taken one at a time, the one that is due first.
func TestWritesToComplete(t *testing.T) {
	t.Parallel()
	var q writeQueue[*deadLetter]
	start := time.Unix(1000, 0)
	if l, due, _ := q.nextIncomplete(start); l != nil || !due.IsZero() {
		t.Errorf("an empty queue has %v, due at %s", l, due)
	}
	for i, random := range []float64{0.9, 0, 0.5} {
		l := queued(int64(i), 10)
		l.digest = new(recordDigest)
		q.putOff([]*deadLetter{l}, errRefused, start, random)
	}
	if l, due, _ := q.nextIncomplete(start); l != nil || !due.Equal(start.Add(125*time.Millisecond)) {
		t.Errorf("before its time: %v, due at %s", l, due)
	}
	if batch, _ := q.next(start.Add(time.Hour)); batch != nil {
		t.Errorf("%v are written without their records", sourceOffsets(batch))
	}
	for _, want := range []int64{1, 2, 0} {
		if l, _, _ := q.nextIncomplete(start.Add(time.Hour)); l == nil || l.offset != want {
			t.Errorf("%v, want offset %d", l, want)
		}
	}
}

// TestWriteQueueIsClosed: what waits is given up at once, what is being written when its write fails.
func TestWriteQueueIsClosed(t *testing.T) {
	t.Parallel()
	var q writeQueue[*deadLetter]
	now := time.Unix(1000, 0)
	for range 10 {
		q.add(queued(0, writeBatchBytes))
	}
	take := func() []*deadLetter { batch, _ := q.next(now); return batch }
	writing, failing, waits, unread := take(), take(), take(), take()
	unread[0].digest = new(recordDigest)
	q.putOff(append(waits, unread...), errRefused, now, 0)
	q.close()
	if q.unacknowledged != 2 {
		t.Errorf("%d are not acknowledged, want the two that are being written", q.unacknowledged)
	}
	if _, kept := q.putOff(failing, errRefused, now, 0); kept || q.unacknowledged != 1 {
		t.Errorf("kept %t, %d are not acknowledged", kept, q.unacknowledged)
	}
	q.acknowledged(1)
	if q.add(writing[0]) || q.unacknowledged != 0 {
		t.Errorf("%d are not acknowledged in the end", q.unacknowledged)
	}
	batch, due := q.next(now.Add(time.Hour))
	l, dueUnread, _ := q.nextIncomplete(now.Add(time.Hour))
	if batch != nil || l != nil || !due.IsZero() || !dueUnread.IsZero() {
		t.Error("something is left in the queue")
	}
}

// TestWriteQueueKeepsAll draws what happens to a queue against a set of what is in it: each dead letter is taken once between
// two writes, none before it is due, and none is forgotten.
func TestWriteQueueKeepsAll(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var q writeQueue[*deadLetter]
		now := time.Unix(1000, 0)
		inside := make(map[*deadLetter]time.Time) // with when they are due
		var outside []*deadLetter
		offset, acknowledged := int64(0), 0
		taken := func(t *rapid.T, batch []*deadLetter, due time.Time) {
			bytes := int64(0)
			for i, l := range batch {
				if at, ok := inside[l]; !ok || at.After(now) {
					t.Fatalf("offset %d, due at %s, is taken at %s (%t)", l.offset, at, now, ok)
				}
				if i > 0 && (l.form != formWhole || batch[0].form != formWhole || bytes >= writeBatchBytes || i >= writeBatch) {
					t.Fatalf("offset %d is the number %d of a batch", l.offset, i)
				}
				bytes += l.bytes
				delete(inside, l)
			}
			if len(batch) == 0 && !due.IsZero() && !due.After(now) {
				t.Fatalf("nothing is taken of what is due")
			}
			outside = append(outside, batch...)
		}
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				for range rapid.IntRange(1, 150).Draw(t, "n") {
					l := queued(offset, rapid.Int64Range(0, writeBatchBytes).Draw(t, "bytes"))
					offset++
					q.add(l)
					inside[l] = now
				}
			},
			"next": func(t *rapid.T) {
				batch, due := q.next(now)
				taken(t, batch, due)
			},
			"read again": func(t *rapid.T) {
				if l, due, ok := q.nextIncomplete(now); ok {
					taken(t, []*deadLetter{l}, due)
				}
			},
			"acknowledge": func(*rapid.T) {
				for range outside {
					q.acknowledged(1)
				}
				acknowledged += len(outside)
				outside = nil
			},
			"fail": func(t *rapid.T) {
				if len(outside) == 0 {
					t.Skip("nothing is being written")
				}
				for _, l := range outside {
					l.form = deadLetterForm(rapid.IntRange(int(formWhole), int(formLeast)).Draw(t, "form"))
					l.digest = nil
					if rapid.Bool().Draw(t, "unread") {
						l.digest = new(recordDigest)
					}
				}
				delay, _ := q.putOff(outside, errRefused, now, rapid.Float64Range(0, 0.999).Draw(t, "random"))
				for _, l := range outside {
					inside[l] = now.Add(delay)
				}
				outside = nil
			},
			"time passes": func(t *rapid.T) {
				now = now.Add(time.Duration(rapid.Int64Range(0, int64(20*time.Second)).Draw(t, "time")))
			},
			"": func(t *rapid.T) {
				if q.unacknowledged != len(inside)+len(outside) || int(offset) != acknowledged+q.unacknowledged {
					t.Fatalf("%d are not acknowledged; %d wait, %d are being written", q.unacknowledged, len(inside), len(outside))
				}
			},
		})
		now = now.Add(time.Hour)
		for batch, due := q.next(now); batch != nil; batch, due = q.next(now) {
			taken(t, batch, due)
		}
		for l, due, ok := q.nextIncomplete(now); ok; l, due, ok = q.nextIncomplete(now) {
			taken(t, []*deadLetter{l}, due)
		}
		if len(inside) > 0 {
			t.Fatalf("%d dead letters are forgotten", len(inside))
		}
	})
}
