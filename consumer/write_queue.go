package consumer

import (
	"slices"
	"time"
)

const (
	// writeBatch records are written at once, or as many as have writeBatchBytes: a topic limits the size of a batch as it limits
	// that of a record.
	writeBatch      = 500
	writeBatchBytes = 512 << 10

	writeRetryMin = 250 * time.Millisecond
	writeRetryMax = 15 * time.Second
)

// unwritten is a record to be written, as often as it takes until the brokers have acknowledged it.
type unwritten interface {
	// state is what a queue keeps of it.
	state() *writeState
	// alone says that it has to be written in a batch of its own.
	alone() bool
	// incomplete says that it can't be written before something else is done.
	incomplete() bool
	// cut says that it is not to be written any more.
	cut() bool
	// beginWrite counts a write of it. It counts none, and returns false, if it is cut. endWrite notes that the write has ended.
	beginWrite() bool
	endWrite()
}

// writeState is what a queue keeps of a record.
type writeState struct {
	// bytes is about the record's size.
	bytes int64
	// failures is how many writes have failed in a row, due when the next one may be made.
	failures int
	due      time.Time
}

func (s *writeState) state() *writeState { return s }

// writeQueue decides which records are written next, which of them together, and when. It only decides: the caller brings the
// time, and guards the queue against concurrent use. The bound on events in flight bounds it.
type writeQueue[W unwritten] struct {
	// fresh holds what has not been written yet, in the order of arrival. failed holds what waits for its next write, incomplete
	// what waits and then has to be completed first.
	fresh, failed, incomplete []W
	// unacknowledged is how many have been added, and have neither been acknowledged nor given up.
	unacknowledged int
	// why is the error of the last failed write, nil if none has failed.
	why error
	// closed says that nothing is taken any more.
	closed bool
}

// add takes a record. It takes none, and returns false, once the queue is closed.
func (q *writeQueue[W]) add(w W) bool {
	if q.closed {
		return false
	}
	q.fresh = append(q.fresh, w)
	q.unacknowledged++
	return true
}

// acknowledged notes that n records have been written.
func (q *writeQueue[W]) acknowledged(n int) { q.unacknowledged -= n }

// close gives up all that is not being written. What fails from now on is given up too.
func (q *writeQueue[W]) close() {
	q.unacknowledged -= len(q.fresh) + len(q.failed) + len(q.incomplete)
	q.fresh, q.failed, q.incomplete, q.closed = nil, nil, nil, true
}

// drop gives up what is cut and is not being written, and returns it.
func (q *writeQueue[W]) drop() (dropped []W) {
	cut := func(w W) bool {
		if w.cut() {
			dropped = append(dropped, w)
		}
		return w.cut()
	}
	q.fresh, q.failed, q.incomplete = slices.DeleteFunc(q.fresh, cut), slices.DeleteFunc(q.failed, cut), slices.DeleteFunc(q.incomplete, cut)
	q.unacknowledged -= len(dropped)
	return dropped
}

// putOff takes records back whose write has failed, and returns after how long they are due again. They wait together and so are
// written together, where that is allowed. random spreads the waits of several batches, from 0 to below 1. It takes none, and
// returns false, once the queue is closed.
func (q *writeQueue[W]) putOff(failed []W, why error, now time.Time, random float64) (time.Duration, bool) {
	q.why = why
	if q.closed {
		q.unacknowledged -= len(failed)
		return 0, false
	}
	failures := failed[0].state().failures + 1
	delay := retryDelay(failures, random)
	for _, w := range failed {
		s := w.state()
		s.failures, s.due = failures, now.Add(delay)
		if w.incomplete() {
			q.incomplete = append(q.incomplete, w)
		} else {
			q.failed = append(q.failed, w)
		}
	}
	return delay, true
}

// retryDelay is exponential in the number of failures, with jitter of half of it in both directions.
func retryDelay(failures int, random float64) time.Duration {
	delay := writeRetryMin
	for range failures - 1 {
		if delay *= 2; delay >= writeRetryMax {
			delay = writeRetryMax
			break
		}
	}
	return time.Duration(float64(delay) * (0.5 + random))
}

// next takes the records that are to be written now in one batch. Where there are none, it returns when the next one is due, and
// the zero time if that depends on add or putOff.
func (q *writeQueue[W]) next(now time.Time) (batch []W, due time.Time) {
	if batch, due = q.nextFailed(now); len(batch) > 0 {
		return batch, time.Time{}
	}
	if len(q.fresh) == 0 {
		return nil, due
	}
	n := 0
	for bytes := int64(0); n < min(len(q.fresh), writeBatch) && (n == 0 || bytes < writeBatchBytes); n++ {
		bytes += q.fresh[n].state().bytes
	}
	batch, q.fresh = q.fresh[:n:n], q.fresh[n:]
	return batch, time.Time{}
}

// nextFailed takes what is due of failed: several records, or a single one that has to be written alone.
func (q *writeQueue[W]) nextFailed(now time.Time) (batch []W, due time.Time) {
	kept := q.failed[:0]
	bytes := int64(0)
	for _, w := range q.failed {
		full := len(batch) == writeBatch || len(batch) > 0 && (w.alone() || batch[0].alone() || bytes >= writeBatchBytes)
		if at := w.state().due; at.After(now) || full {
			kept = append(kept, w)
			if due.IsZero() || at.Before(due) {
				due = at
			}
			continue
		}
		batch = append(batch, w)
		bytes += w.state().bytes
	}
	clear(q.failed[len(kept):])
	q.failed = kept
	return batch, due
}

// nextIncomplete takes the record that is to be completed now. Where there is none, it returns false and when the next one is due,
// and the zero time if that depends on putOff.
func (q *writeQueue[W]) nextIncomplete(now time.Time) (w W, due time.Time, ok bool) {
	if len(q.incomplete) == 0 {
		return w, time.Time{}, false
	}
	first := 0
	for i, w := range q.incomplete {
		if w.state().due.Before(q.incomplete[first].state().due) {
			first = i
		}
	}
	if at := q.incomplete[first].state().due; at.After(now) {
		return w, at, false
	}
	w = q.incomplete[first]
	q.incomplete = slices.Delete(q.incomplete, first, first+1)
	return w, time.Time{}, true
}
