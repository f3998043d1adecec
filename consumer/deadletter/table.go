package deadletter

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sync/errgroup"

	"convdel/consumer/cluster"
	"convdel/consumer/internal/pass"
	"convdel/consumer/internal/recordlog"
)

const (
	// passBytes is the size of a fetch in the pass over the whole topic. pickBytes is the size where letters are picked out
	// of it. Both count compressed bytes. A thousand similar letters compress twentyfold.
	passBytes = 16 << 10
	pickBytes = 16 << 10
	// A letter of convdel holds a source record within the service's bound on one, 8 MiB by default. So a record that
	// decompresses to more than maxLetterBytes is no letter. A batch that decompresses to more than maxBatchBytes is
	// stepped over.
	maxLetterBytes = 32 << 20
	maxBatchBytes  = 64 << 20
	// followHold is how long a broker may wait for a new letter.
	followHold = 500 * time.Millisecond
)

// Table is a dead-letter topic. It is safe for concurrent use. Make it with [Open], and close it.
type Table struct {
	// Notice, unless nil, is called with each part of the topic that can't be read, as soon as it is found, one call at a
	// time. Every pass finds the same part again. It has to be set before the table is used.
	Notice func(Gap)

	cluster    cluster.Config
	topic      string
	in         *pass.Topic
	partitions int
}

// Totals are the numbers of one pass over the topic.
type Totals struct {
	// Records is the number of all records, Open that of all open letters, selected or not.
	Records, Open int
	// Foreign counts records that convdel has not written: they have another key or other headers, or are too large.
	Foreign int
	// Replaced counts open letters that the letter of a replay replaces. They are not part of Open. Settling the letter
	// that replaces them settles them as well.
	Replaced int
	// Unjudged counts open letters that the filter's other fields select and of which its account can't tell: they have no
	// event. A lenient filter has searched them and counts those in which the account was not found although it could be
	// there: parts of the record are missing or can't be read. EachSettled counts the letters of which only the tombstone is
	// left.
	Unjudged int
	// Settled is the number of all settled letters, selected or not. Only EachSettled counts them.
	Settled int
	// Unread says what could not be read; nil if all could.
	Unread *Unread
}

// Open returns the table of a topic. It returns a [*consumer.TopicError] if the topic does not exist.
func Open(ctx context.Context, cluster cluster.Config, topic string) (*Table, error) {
	cluster = cluster.WithMemory()
	in, err := pass.Open(ctx, cluster, topic, recordlog.Bounds{Batch: maxBatchBytes, Record: maxLetterBytes})
	if err != nil {
		return nil, err
	}
	return &Table{cluster: cluster, topic: topic, in: in, partitions: in.Partitions}, nil
}

// Close closes the connections.
func (t *Table) Close() { t.in.Close() }

// Each calls do with each open letter that the filter selects, in the order in which they were written, until do returns an
// error. It returns that error. Changes of the topic during the call may be missed.
func (t *Table) Each(ctx context.Context, f Filter, do func(*Letter) error) (Totals, error) {
	ix, err := t.index(ctx)
	if err != nil {
		return Totals{}, err
	}
	err = t.eachOf(ctx, ix, f, do)
	return ix.totals(), err
}

// errEnough ends a walk over letters at its limit.
var errEnough = errors.New("enough letters")

func (t *Table) eachOf(ctx context.Context, ix *index, f Filter, do func(*Letter) error) error {
	seen := 0
	countAll := f.Lenient && f.Account != "" // also the letters behind the limit that can't be judged
	err := t.pick(ctx, ix, f.IDs, func(l *Letter) error {
		switch f.judge(l) {
		case unmatched:
			return nil
		case unjudged:
			ix.unjudged++
			return nil
		case matched:
		}
		if f.Limit > 0 && seen == f.Limit {
			return nil
		}
		if err := do(l); err != nil {
			return err
		}
		if seen++; seen == f.Limit && !countAll {
			return errEnough
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}

// Follow does the same as [Table.Each], and then calls do with each new letter, one at a time. It ends with the error of
// ctx or of do. The filter's limit does not end it.
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
				if f.judge(l) != matched {
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
	r := recordlog.Request{Partition: partition, Offset: from, MaxBytes: pickBytes, Hold: followHold, Epoch: recordlog.NoEpoch}
	for ctx.Err() == nil {
		next, gap, err := t.in.Read(ctx, r, func(rec *recordlog.Record) error {
			l := readLetter(rec)
			if l == nil {
				return nil
			}
			select {
			case fresh <- l:
			case <-ctx.Done():
			}
			return nil
		})
		if gap != nil {
			t.note(new(*Unread), *gap)
		}
		if err != nil {
			return err
		}
		r.Offset = next
	}
	return ctx.Err()
}
