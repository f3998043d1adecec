package consumer

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"
)

const (
	// writesAtOnce is how many writes of a topic go on at once: a partition that answers slowly holds up one of them.
	writesAtOnce = 4
	// gateTimeout is how long a write waits until it may leave, before its records wait without a goroutine.
	gateTimeout = 25 * time.Second
	// A write is attempted writeAttempts times before its records are put off, if that takes no longer than attemptsFor. So a short election of a
	// leader is no fault. The pauses between the attempts are attemptPause, four times and nine times that.
	writeAttempts = 4
	attemptsFor   = 2 * time.Second
	attemptPause  = 100 * time.Millisecond
)

// messageWriter writes messages; [*kafka.Writer] is one.
type messageWriter interface {
	WriteMessages(ctx context.Context, messages ...kafka.Message) error
}

// writer makes the records that [writes] is to write, and ends their events.
type writer[W unwritten] interface {
	// send writes records in one batch.
	send(ctx context.Context, batch []W) error
	// acknowledged is told of each record that the brokers have acknowledged.
	acknowledged(ctx context.Context, w W)
	// refused is told of a record that brokers refuse because of itself or of others in its batch. It says whether another write is
	// to be made at once, of less.
	refused(ctx context.Context, w W, why error) bool
	// failed is told of records that will wait for their next write, before they wait.
	failed(w W)
	// putOff is told that records wait for their next write, for how long, and why.
	putOff(ctx context.Context, failed []W, delay time.Duration, why error)
	// dropped is told of a record that is cut, and not written any more.
	dropped(w W)
	// complete is called with a record that is incomplete, before its next write.
	complete(ctx context.Context, w W) error
}

// writes has records written until the brokers have acknowledged them, however long that takes. A record whose write has failed
// waits without a goroutine, so that it holds up no other.
type writes[W unwritten] struct {
	writer writer[W]
	loops  *loops
	// what names the records, for the loops.
	what string

	// mu guards queue. While it is held, nothing else is locked or waited for.
	mu    sync.Mutex
	queue writeQueue[W]
	// emptied is told when no record is unacknowledged.
	emptied *sync.Cond
	// added wakes what waits for records to write, incomplete what waits for records to complete.
	added, incomplete chan struct{}
}

func newWrites[W unwritten](by writer[W], loops *loops, what string) *writes[W] {
	s := &writes[W]{writer: by, loops: loops, what: what, added: make(chan struct{}, 1), incomplete: make(chan struct{}, 1)}
	s.emptied = sync.NewCond(&s.mu)
	return s
}

// eachUnwritten calls a function with each record that waits for a write. Those that are being written are not among them.
func (s *writes[W]) eachUnwritten(of func(W)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, list := range [][]W{s.queue.fresh, s.queue.failed, s.queue.incomplete} {
		for _, w := range list {
			of(w)
		}
	}
}

// take takes a record. Once the queue is closed it takes none, and returns false.
func (s *writes[W]) take(w W) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	taken := s.queue.add(w)
	if taken {
		wake(s.added)
	}
	return taken
}

// close gives up what is not being written, and what fails from now on.
func (s *writes[W]) close() { s.change(s.queue.close) }

// drop gives up what is cut and is not being written. What is being written is given up when that fails.
func (s *writes[W]) drop() {
	var dropped []W
	s.change(func() { dropped = s.queue.drop() })
	for _, w := range dropped {
		s.writer.dropped(w)
	}
}

// change makes a change to the queue, and tells wait if nothing is unacknowledged then.
func (s *writes[W]) change(how func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	how()
	if s.queue.unacknowledged == 0 {
		s.emptied.Broadcast()
	}
}

// wait returns when each record has been acknowledged or given up.
func (s *writes[W]) wait() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.queue.unacknowledged > 0 {
		s.emptied.Wait()
	}
}

// unacknowledged is how many records are not acknowledged, and what the last failed write failed with; nil if none has.
func (s *writes[W]) unacknowledged() (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.queue.unacknowledged, s.queue.why
}

// run writes records until ctx ends.
func (s *writes[W]) run(ctx context.Context) {
	var writers sync.WaitGroup
	for range writesAtOnce {
		writers.Go(func() {
			ctx, end := s.loops.begin(ctx, "write "+s.what)
			defer end()
			for batch := s.next(ctx); batch != nil; batch = s.next(ctx) {
				s.write(ctx, batch)
			}
		})
	}
	writers.Go(func() {
		ctx, end := s.loops.begin(ctx, "complete "+s.what)
		defer end()
		for w, ok := s.nextIncomplete(ctx); ok; w, ok = s.nextIncomplete(ctx) {
			if err := s.writer.complete(ctx, w); err != nil {
				s.putOff(ctx, []W{w}, err)
			} else {
				s.write(ctx, []W{w})
			}
		}
	})
	writers.Wait()
}

// next waits for records to be written in one batch. It returns nil when ctx ends. Of the goroutines that wait, one is woken at a
// time, and wakes another one when it finds something.
func (s *writes[W]) next(ctx context.Context) []W {
	for {
		s.mu.Lock()
		batch, due := s.queue.next(time.Now())
		s.mu.Unlock()
		if len(batch) > 0 {
			wake(s.added)
			return batch
		}
		if wait(ctx, due, s.added) != nil {
			return nil
		}
	}
}

// nextIncomplete waits for a record that is to be completed. It returns false when ctx ends.
func (s *writes[W]) nextIncomplete(ctx context.Context) (w W, ok bool) {
	for {
		s.mu.Lock()
		w, due, ok := s.queue.nextIncomplete(time.Now())
		s.mu.Unlock()
		if ok {
			return w, true
		}
		if wait(ctx, due, s.incomplete) != nil {
			return w, false
		}
	}
}

// write writes records, and at once with less in them what the topic does not take. The rest is put off.
func (s *writes[W]) write(ctx context.Context, batch []W) {
	smaller, failed, why := s.attempt(ctx, batch)
	for len(smaller) > 0 {
		again, late, err := s.attempt(ctx, smaller[:1])
		smaller = append(again, smaller[1:]...)
		failed, why = append(failed, late...), cmp.Or(why, err)
	}
	if len(failed) > 0 {
		s.putOff(ctx, failed, why)
	}
}

// attempt writes records in one batch, several times if need be, without those that are cut. It returns those to be written again at once, those
// to be written later, and the first error of the latter. Their writes count until it returns: what is cut meanwhile is given up before that.
func (s *writes[W]) attempt(ctx context.Context, batch []W) (smaller, later []W, why error) {
	began := time.Now()
	later = s.begin(batch)
	for n := 1; len(later) > 0; n++ {
		var again []W
		again, later, why = s.writeOnce(ctx, later)
		smaller = append(smaller, again...)
		delay := time.Duration(n*n) * attemptPause
		if len(later) == 0 || n == writeAttempts || !mayPass(why) || time.Since(began)+delay > attemptsFor || pause(ctx, delay) != nil {
			break
		}
		later = s.uncut(later)
	}
	smaller, later = s.uncut(smaller), s.uncut(later)
	for _, w := range slices.Concat(smaller, later) {
		w.endWrite()
	}
	return smaller, later, why
}

// writeOnce writes records in one batch, once. It returns the same as attempt.
func (s *writes[W]) writeOnce(ctx context.Context, batch []W) (smaller, later []W, why error) {
	waiting, cancel := context.WithTimeout(ctx, gateTimeout)
	defer cancel()
	err := s.writer.send(waiting, batch)
	var each kafka.WriteErrors
	if err != nil && !errors.As(err, &each) {
		// kafka-go judges a message that is beyond its own bound before it writes any.
		each = slices.Repeat(kafka.WriteErrors{err}, len(batch))
	}
	acknowledged := 0
	for i, w := range batch {
		switch {
		case each == nil || each[i] == nil:
			s.writer.acknowledged(ctx, w)
			w.endWrite()
			acknowledged++
		case isRefusal(each[i]) && s.writer.refused(ctx, w, each[i]):
			smaller = append(smaller, w)
		default:
			later, why = append(later, w), cmp.Or(why, each[i])
		}
	}
	s.change(func() { s.queue.acknowledged(acknowledged) })
	return smaller, later, why
}

// begin counts the writes of records, and returns these. It gives up those that are cut.
func (s *writes[W]) begin(batch []W) (begun []W) {
	for _, w := range batch {
		if w.beginWrite() {
			begun = append(begun, w)
		} else {
			s.giveUp(w)
		}
	}
	return begun
}

// uncut returns the records that are not cut. It gives up the others, and their writes end.
func (s *writes[W]) uncut(begun []W) (kept []W) {
	for _, w := range begun {
		if !w.cut() {
			kept = append(kept, w)
			continue
		}
		s.giveUp(w)
		w.endWrite()
	}
	return kept
}

// giveUp gives up a record that is cut, and is in none of the queue's lists.
func (s *writes[W]) giveUp(w W) {
	s.change(func() { s.queue.acknowledged(1) })
	s.writer.dropped(w)
}

// putOff has records written later whose write has failed.
func (s *writes[W]) putOff(ctx context.Context, failed []W, why error) {
	for _, w := range failed {
		s.writer.failed(w)
	}
	var delay time.Duration
	kept := false
	random := rand.Float64() //nolint:gosec // it spreads retries
	s.change(func() { delay, kept = s.queue.putOff(failed, why, time.Now(), random) })
	if !kept {
		return
	}
	s.drop() // some may be cut since
	wake(s.added)
	wake(s.incomplete)
	s.writer.putOff(ctx, failed, delay, why)
}

// hand gives messages to a writer. The loop of ctx rests until the brokers have answered.
func hand(ctx context.Context, to messageWriter, messages []kafka.Message) error {
	at := loopOf(ctx)
	at.rests()
	defer at.works()
	return to.WriteMessages(ctx, messages...)
}

// mayPass says whether a write that has failed may succeed soon.
func mayPass(err error) bool {
	if code, answered := errors.AsType[kafka.Error](err); answered {
		return code.Temporary()
	}
	return !errors.Is(err, errNotWritten)
}

// isRefusal says whether a write may have failed because of one record in it, so that writing less may help.
func isRefusal(err error) bool {
	var tooLarge kafka.MessageTooLargeError
	return errors.Is(err, kafka.MessageSizeTooLarge) || errors.Is(err, kafka.RecordListTooLarge) ||
		errors.Is(err, kafka.InvalidRecord) || errors.Is(err, kafka.InvalidMessage) || errors.As(err, &tooLarge)
}
