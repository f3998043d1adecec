package consumer

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v4"
)

const (
	// letterBatch letters are written at once, or as many as have letterBatchBytes: a batch is limited as a letter is.
	letterBatch      = 100
	letterBatchBytes = 512 << 10

	letterRetryMin = 250 * time.Millisecond
	letterRetryMax = 15 * time.Second
)

// letter is an event on its way to the dead-letter topic.
type letter struct {
	*event
	outcome Outcome
	// form is how much of its record it has, and how it is written.
	form letterForm
	// lent says that its record's bytes do not count as in flight while it waits. unloaded describes a record whose bytes it
	// has given back; missing says why they can't be had again.
	lent     bool
	unloaded *content
	missing  string
	// due is when a letter that could not be written may be tried again, backoff what spaces that.
	due     time.Time
	backoff *backoff.ExponentialBackOff
}

// letters is the queue of dead letters, bounded by the bound on events in flight.
type letters struct {
	mu sync.Mutex
	// queue holds the fresh ones in order, delayed those that have failed before, unloaded those of them that have given
	// their bytes back.
	queue, delayed, unloaded []*letter
	added, addedUnloaded     chan struct{}
	dropped                  bool
	// open is how many have been added and not been written, why what the last failed write failed with.
	open int
	why  error
}

func newLetters() *letters {
	return &letters{added: make(chan struct{}, 1), addedUnloaded: make(chan struct{}, 1)}
}

// add takes a letter. It reports false, taking none, once the queue has been dropped.
func (l *letters) add(fresh *letter) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dropped {
		return false
	}
	l.queue = append(l.queue, fresh)
	l.open++
	l.wakeLocked()
	return true
}

// drop empties the queue for good and returns how many letters were in it.
func (l *letters) drop() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := len(l.queue) + len(l.delayed) + len(l.unloaded)
	l.queue, l.delayed, l.unloaded, l.dropped = nil, nil, nil, true
	return n
}

// unwritten is how many letters have not been written, and what the last failed write failed with.
func (l *letters) unwritten() (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.open, l.why
}

// written notes that one has been written.
func (l *letters) written() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open--
}

// delay puts letters back that could not be written, and says for how long. It reports false,
// taking none, once the queue has been dropped.
func (l *letters) delay(failed []*letter, why error) (time.Duration, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.why = why
	if l.dropped {
		return 0, false
	}
	first := failed[0]
	if first.backoff == nil {
		first.backoff = backoff.NewExponentialBackOff(
			backoff.WithInitialInterval(letterRetryMin),
			backoff.WithMaxInterval(letterRetryMax),
			backoff.WithMultiplier(2),
			backoff.WithMaxElapsedTime(0),
		)
	}
	d := first.backoff.NextBackOff()
	for _, x := range failed {
		x.due = time.Now().Add(d)
		x.backoff = first.backoff
		if x.unloaded != nil {
			l.unloaded = append(l.unloaded, x)
		} else {
			l.delayed = append(l.delayed, x)
		}
	}
	l.wakeLocked()
	select {
	case l.addedUnloaded <- struct{}{}:
	default:
	}
	return d, true
}

// takeUnloaded waits for a letter that has given its bytes back, or returns ctx's error.
func (l *letters) takeUnloaded(ctx context.Context) (*letter, error) {
	for {
		x, due := l.tryTakeUnloaded(time.Now())
		if x != nil {
			return x, nil
		}
		if err := wait(ctx, due, l.addedUnloaded); err != nil {
			return nil, err
		}
	}
}

// tryTakeUnloaded returns the one that is due first, or when that will be (zero: there is none).
func (l *letters) tryTakeUnloaded(now time.Time) (*letter, time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.unloaded) == 0 {
		return nil, time.Time{}
	}
	at := 0
	for i, x := range l.unloaded {
		if x.due.Before(l.unloaded[at].due) {
			at = i
		}
	}
	x := l.unloaded[at]
	if x.due.After(now) {
		return nil, x.due
	}
	l.unloaded = slices.Delete(l.unloaded, at, at+1)
	return x, time.Time{}
}

// take waits for letters and returns a batch of them, or ctx's error.
func (l *letters) take(ctx context.Context) ([]*letter, error) {
	for {
		batch, due := l.tryTake(time.Now())
		if len(batch) > 0 {
			return batch, nil
		}
		if err := wait(ctx, due, l.added); err != nil {
			return nil, err
		}
	}
}

// tryTake returns a batch, or when the next delayed letter is due (zero: there is none).
func (l *letters) tryTake(now time.Time) (batch []*letter, due time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if batch, due = l.takeDelayedLocked(now); len(batch) > 0 {
		l.wakeLocked()
		return batch, due
	}
	n := 0
	for size := int64(0); n < min(len(l.queue), letterBatch) && (n == 0 || size < letterBatchBytes); n++ {
		size += l.queue[n].size
	}
	batch, l.queue = l.queue[:n:n], l.queue[n:]
	if n > 0 {
		l.wakeLocked()
	}
	return batch, due
}

// takeDelayedLocked takes what is due of the delayed letters: several, or a single one that
// has to be alone.
func (l *letters) takeDelayedLocked(now time.Time) (batch []*letter, due time.Time) {
	kept := l.delayed[:0]
	size := int64(0)
	for _, x := range l.delayed {
		full := len(batch) == letterBatch || len(batch) > 0 && (x.form != formWhole || batch[0].form != formWhole || size >= letterBatchBytes)
		if x.due.After(now) || full {
			kept = append(kept, x)
			if due.IsZero() || x.due.Before(due) {
				due = x.due
			}
			continue
		}
		batch = append(batch, x)
		size += x.size
	}
	clear(l.delayed[len(kept):])
	l.delayed = kept
	return batch, due
}

// wakeLocked lets one lane look; a lane that takes something wakes the next.
func (l *letters) wakeLocked() {
	select {
	case l.added <- struct{}{}:
	default:
	}
}
