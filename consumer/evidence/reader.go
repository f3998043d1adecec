package evidence

import (
	"context"
	"errors"
	"fmt"

	"convdel/consumer"
	"convdel/consumer/cluster"
	"convdel/consumer/deadletter"
	"convdel/consumer/internal/pass"
	"convdel/consumer/internal/recordlog"
	"convdel/consumer/outcome"
	"convdel/schema"
)

const (
	// scanBytes is the size of a fetch in a pass over the topic of events, pickBytes where records are picked out of it. Both count
	// compressed bytes.
	scanBytes = 64 << 10
	pickBytes = 16 << 10
	// A record of the topic of events that decompresses to more than maxRecordBytes is no event. A batch that decompresses to more than
	// maxBatchBytes is stepped over.
	maxRecordBytes = 8 << 20
	maxBatchBytes  = 64 << 20
)

// Config says where the evidence is.
type Config struct {
	Cluster cluster.Config
	// Topic is the topic of events, Group the consumer group of the service.
	Topic, Group string
	// DeadLetterTopic is the topic of the service's dead letters, OutcomeTopic that of its outcomes; empty if it records none.
	DeadLetterTopic, OutcomeTopic string
}

// Reader reads the evidence. It is not safe for concurrent use. Make it with [Open], and close it.
type Reader struct {
	// Notice, unless nil, is called with each batch of a topic that can't be read, as soon as it is found.
	Notice func(topic string, g deadletter.Gap)
	// Progress, unless nil, is called while topics are read: how many offsets have been passed, of how many that are known to be ahead.
	Progress func(passed, ahead int64)

	cfg      Config
	events   *pass.Topic
	letters  *deadletter.Table
	outcomes *outcome.Topic // nil if there are none
	group    *consumer.GroupReader
}

// Open opens the topics. It returns a [*consumer.TopicError] for one that does not exist.
func Open(ctx context.Context, cfg Config) (*Reader, error) {
	cfg.Cluster = cfg.Cluster.WithMemory()
	r := &Reader{cfg: cfg}
	var err error
	if r.events, err = pass.Open(ctx, cfg.Cluster, cfg.Topic, recordlog.Bounds{Batch: maxBatchBytes, Record: maxRecordBytes}); err != nil {
		return nil, opening(cfg.Topic, err)
	}
	r.group = consumer.NewGroupReader(cfg.Cluster, cfg.Group, cfg.Topic)
	if r.letters, err = deadletter.Open(ctx, cfg.Cluster, cfg.DeadLetterTopic); err != nil {
		r.Close()
		return nil, opening(cfg.DeadLetterTopic, err)
	}
	r.letters.Notice = func(g deadletter.Gap) { r.notice(cfg.DeadLetterTopic, g) }
	if cfg.OutcomeTopic == "" {
		return r, nil
	}
	if r.outcomes, err = outcome.Open(ctx, cfg.Cluster, cfg.OutcomeTopic); err != nil {
		r.Close()
		return nil, opening(cfg.OutcomeTopic, err)
	}
	r.outcomes.Notice = func(g deadletter.Gap) { r.notice(cfg.OutcomeTopic, g) }
	return r, nil
}

func opening(topic string, err error) error {
	if _, missing := errors.AsType[*consumer.TopicError](err); missing {
		return err
	}
	return fmt.Errorf("open topic %s: %w", topic, err)
}

// Close closes all connections.
func (r *Reader) Close() {
	r.events.Close()
	r.group.Close()
	if r.letters != nil {
		r.letters.Close()
	}
	if r.outcomes != nil {
		r.outcomes.Close()
	}
}

func (r *Reader) notice(topic string, g deadletter.Gap) {
	if r.Notice != nil {
		r.Notice(topic, g)
	}
}

// idOf returns the ID of a record of the topic of events.
func (r *Reader) idOf(partition int, offset int64) string {
	return schema.DeadLetter{Topic: r.cfg.Topic, Partition: partition, Offset: offset}.ID()
}

// LettersElsewhereError says that the service of a group writes its dead letters to another topic than the one that is read. Its
// dead letters would be missed, and events taken for deleted.
type LettersElsewhereError struct {
	Group, Read, Written string
	Partition            int
}

func (e *LettersElsewhereError) Error() string {
	return fmt.Sprintf("group %s has its dead letters in %s (its offset of partition %d says so), and %s is read", e.Group, e.Written, e.Partition, e.Read)
}
