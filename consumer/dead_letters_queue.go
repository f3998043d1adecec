package consumer

import (
	"slices"
	"time"
)

const (
	// deadLetterBatch dead letters are written at once, or as many as have deadLetterBatchBytes: a topic limits the size of
	// a batch as it limits that of a record.
	deadLetterBatch      = 100
	deadLetterBatchBytes = 512 << 10

	deadLetterRetryMin = 250 * time.Millisecond
	deadLetterRetryMax = 15 * time.Second
)

// deadLetter is an event that ends as a dead letter, once that is acknowledged.
type deadLetter struct {
	*event
	outcome Outcome
	// form is the one that it is written in next.
	form deadLetterForm
	// bytes is the size of the source record. The event's own size is what it holds of the capacity, which is 0 while the dead
	// letter waits.
	bytes int64
	// digest describes the source record while that is not in memory. It is nil while it is.
	digest *recordDigest
	// gone says that the source record is no longer in its topic.
	gone bool
	// failures is how many writes have failed in a row, due when the next one may be made.
	failures int
	due      time.Time
}

// deadLetterQueue decides which dead letters are written next, which of them together, and when. It only decides: the
// caller brings the time, and guards the queue against concurrent use. The bound on events in flight bounds it.
type deadLetterQueue struct {
	// fresh holds what has not been written yet, in the order of arrival. failed holds what waits for its next write with
	// its source record in memory, unread what waits without it.
	fresh, failed, unread []*deadLetter
	// unacknowledged is how many have been added, and have neither been acknowledged nor given up.
	unacknowledged int
	// why is the error of the last failed write, nil if none has failed.
	why error
	// closed says that nothing is taken any more.
	closed bool
}

// add takes a dead letter. It takes none, and returns false, once the queue is closed.
func (q *deadLetterQueue) add(l *deadLetter) bool {
	if q.closed {
		return false
	}
	q.fresh = append(q.fresh, l)
	q.unacknowledged++
	return true
}

// acknowledged notes that a dead letter has been written.
func (q *deadLetterQueue) acknowledged() { q.unacknowledged-- }

// close gives up all that is not being written. What fails from now on is given up too.
func (q *deadLetterQueue) close() {
	q.unacknowledged -= len(q.fresh) + len(q.failed) + len(q.unread)
	q.fresh, q.failed, q.unread, q.closed = nil, nil, nil, true
}

// putOff takes dead letters back whose write has failed, and returns after how long they are due again. They wait together
// and so are written together, where their forms allow that. random spreads the waits of several batches, from 0 to below 1.
// It takes none, and returns false, once the queue is closed.
func (q *deadLetterQueue) putOff(failed []*deadLetter, why error, now time.Time, random float64) (time.Duration, bool) {
	q.why = why
	if q.closed {
		q.unacknowledged -= len(failed)
		return 0, false
	}
	failures := failed[0].failures + 1
	delay := retryDelay(failures, random)
	for _, l := range failed {
		l.failures, l.due = failures, now.Add(delay)
		if l.digest != nil {
			q.unread = append(q.unread, l)
		} else {
			q.failed = append(q.failed, l)
		}
	}
	return delay, true
}

// retryDelay is exponential in the number of failures, with jitter of half of it in both directions.
func retryDelay(failures int, random float64) time.Duration {
	delay := deadLetterRetryMin
	for range failures - 1 {
		if delay *= 2; delay >= deadLetterRetryMax {
			delay = deadLetterRetryMax
			break
		}
	}
	return time.Duration(float64(delay) * (0.5 + random))
}

// next takes the dead letters that are to be written now in one batch. Where there are none, it returns when the next
// one is due, and the zero time if that depends on add or putOff.
func (q *deadLetterQueue) next(now time.Time) (batch []*deadLetter, due time.Time) {
	if batch, due = q.nextFailed(now); len(batch) > 0 {
		return batch, time.Time{}
	}
	if len(q.fresh) == 0 {
		return nil, due
	}
	n := 0
	for bytes := int64(0); n < min(len(q.fresh), deadLetterBatch) && (n == 0 || bytes < deadLetterBatchBytes); n++ {
		bytes += q.fresh[n].bytes
	}
	batch, q.fresh = q.fresh[:n:n], q.fresh[n:]
	return batch, time.Time{}
}

// nextFailed takes what is due of failed: several dead letters, or a single one that has to be written alone.
func (q *deadLetterQueue) nextFailed(now time.Time) (batch []*deadLetter, due time.Time) {
	kept := q.failed[:0]
	bytes := int64(0)
	for _, l := range q.failed {
		full := len(batch) == deadLetterBatch ||
			len(batch) > 0 && (l.form != formWhole || batch[0].form != formWhole || bytes >= deadLetterBatchBytes)
		if l.due.After(now) || full {
			kept = append(kept, l)
			if due.IsZero() || l.due.Before(due) {
				due = l.due
			}
			continue
		}
		batch = append(batch, l)
		bytes += l.bytes
	}
	clear(q.failed[len(kept):])
	q.failed = kept
	return batch, due
}

// nextUnread takes the dead letter whose source record is to be read again now. Where there is none, it returns nil and when
// the next one is due, and the zero time if that depends on putOff.
func (q *deadLetterQueue) nextUnread(now time.Time) (l *deadLetter, due time.Time) {
	if len(q.unread) == 0 {
		return nil, time.Time{}
	}
	first := 0
	for i, l := range q.unread {
		if l.due.Before(q.unread[first].due) {
			first = i
		}
	}
	l = q.unread[first]
	if l.due.After(now) {
		return nil, l.due
	}
	q.unread = slices.Delete(q.unread, first, first+1)
	return l, time.Time{}
}
