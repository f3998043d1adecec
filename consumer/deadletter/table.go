package deadletter

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/segmentio/kafka-go"
	"golang.org/x/sync/errgroup"

	"convdel/consumer"
	"convdel/consumer/internal/recordlog"
	"convdel/schema"
)

const (
	// passBytes is asked for at a time in the pass over the whole topic, pickBytes where letters are
	// picked out of it. Both are as the log has them: compressed, and a thousand similar letters compress
	// twentyfold.
	passBytes = 16 << 10
	pickBytes = 16 << 10
	// followHold is how long a broker may wait for a new letter.
	followHold = 500 * time.Millisecond
	// Reading retries what the brokers refuse for a moment, while leaders move say.
	readAttempts = 10
	readPause    = 300 * time.Millisecond
)

// Table is a dead-letter topic. It is safe for concurrent use. Make it with [Open], and close it.
type Table struct {
	cluster    consumer.Cluster
	topic      string
	transport  *kafka.Transport
	log        *recordlog.Log
	partitions int
}

// Totals is what a pass over the topic has seen.
type Totals struct {
	// Records are all there were, Open the open letters, whether selected or not.
	Records, Open int
	// Foreign are records that no convdel has written: another key, other headers.
	Foreign int
}

// Open looks for the topic. It returns a [*consumer.TopicError] if it is not there.
func Open(ctx context.Context, cluster consumer.Cluster, topic string) (*Table, error) {
	t := &Table{cluster: cluster, topic: topic, transport: cluster.Transport(topic)}
	t.log = &recordlog.Log{Transport: t.transport, Addr: cluster.Addr(), Topic: topic}
	err := t.retry(ctx, func() (err error) {
		t.partitions, err = t.log.Partitions(ctx)
		return err
	})
	if errors.Is(err, kafka.UnknownTopicOrPartition) {
		err = &consumer.TopicError{Topic: topic, Err: err}
	}
	if err != nil {
		t.Close()
		return nil, err
	}
	return t, nil
}

// Close closes the connections.
func (t *Table) Close() { t.transport.CloseIdleConnections() }

// Each calls do with each open letter that the filter selects, the one written first to begin with,
// until do returns an error, which it returns. What changes in the topic meanwhile may be missed.
func (t *Table) Each(ctx context.Context, f Filter, do func(*Letter) error) (Totals, error) {
	ix, err := t.index(ctx)
	if err != nil {
		return Totals{}, err
	}
	return ix.totals(), t.eachOf(ctx, ix, f, do)
}

// errEnough ends a walk over letters that has seen all it wanted.
var errEnough = errors.New("enough letters")

func (t *Table) eachOf(ctx context.Context, ix *index, f Filter, do func(*Letter) error) error {
	seen := 0
	err := t.pick(ctx, ix, f.IDs, func(l *Letter) error {
		if !f.matches(l) {
			return nil
		}
		if err := do(l); err != nil {
			return err
		}
		if seen++; seen == f.Limit {
			return errEnough
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}

// Follow does what [Table.Each] does, and then calls do with each letter that is written from then on,
// one at a time. It ends with the error of ctx or of do. The filter's limit does not end it.
func (t *Table) Follow(ctx context.Context, f Filter, do func(*Letter) error) error {
	ix, err := t.index(ctx)
	if err != nil {
		return err
	}
	f.Limit = 0
	if err := t.eachOf(ctx, ix, f, do); err != nil {
		return err
	}
	fresh := make(chan *Letter)
	group, ctx := errgroup.WithContext(ctx)
	for p, end := range ix.ends {
		group.Go(func() error { return t.follow(ctx, p, end, fresh) })
	}
	group.Go(func() error {
		for {
			select {
			case l := <-fresh:
				if !f.matches(l) {
					continue
				}
				if err := do(l); err != nil {
					return err
				}
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	})
	return group.Wait()
}

func (t *Table) follow(ctx context.Context, partition int, from int64, fresh chan<- *Letter) error {
	for ctx.Err() == nil {
		next, err := t.read(ctx, recordlog.Request{Partition: partition, Offset: from, MaxBytes: pickBytes, Hold: followHold, Epoch: recordlog.NoEpoch},
			func(r *recordlog.Record) error {
				l, err := readLetter(r)
				if err != nil || l == nil {
					return err
				}
				select {
				case fresh <- l:
				case <-ctx.Done():
				}
				return nil
			})
		if err != nil {
			return err
		}
		from = next
	}
	return ctx.Err()
}

// read makes one fetch, calls do with each record at or above its offset that is one, and returns the
// offset to go on from.
func (t *Table) read(ctx context.Context, r recordlog.Request, do func(*recordlog.Record) error) (int64, error) {
	var fetched *recordlog.Fetched
	err := t.retry(ctx, func() (err error) {
		fetched, err = t.log.Fetch(ctx, r)
		if errors.Is(err, recordlog.ErrOffsetGone) { // retention or a cut; never below where we were
			var first int64
			if first, err = t.log.Offset(ctx, r.Partition, kafka.FirstOffset); err == nil && first > r.Offset {
				r.Offset = first
				fetched, err = t.log.Fetch(ctx, r)
			}
		}
		return err
	})
	if err != nil {
		return r.Offset, fmt.Errorf("read %s/%d/%d: %w", t.topic, r.Partition, r.Offset, err)
	}
	next := r.Offset
	err = fetched.Each(0, func(rec *recordlog.Record) error {
		next = rec.Offset + 1
		if !rec.Use {
			return nil
		}
		return do(rec)
	})
	return max(next, fetched.Next), err
}

// retry asks again a few times: what brokers refuse while they move leaders is over soon.
func (t *Table) retry(ctx context.Context, ask func() error) error {
	var err error
	for attempt := range readAttempts {
		if err = ask(); err == nil || ctx.Err() != nil || errors.Is(err, kafka.UnknownTopicOrPartition) && attempt > 2 {
			return err
		}
		timer := time.NewTimer(readPause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
	}
	return err
}

// readLetter makes a letter of a record: nil if the record is a tombstone or of another origin.
func readLetter(r *recordlog.Record) (*Letter, error) {
	if r.Value == nil || r.Key == nil {
		return nil, nil
	}
	d, err := schema.ParseDeadLetter(r.Headers)
	if err != nil || string(r.Key) != d.ID() {
		return nil, nil //nolint:nilerr // another tool's record
	}
	l := &Letter{DeadLetter: d, Value: r.Value, Headers: r.Headers, Written: r.Time}
	if d.NullValue {
		l.Value = nil
	}
	return l, nil
}
