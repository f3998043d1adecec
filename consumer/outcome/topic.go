package outcome

import (
	"context"
	"slices"
	"time"

	"github.com/segmentio/kafka-go"

	"convdel/consumer/cluster"
	"convdel/consumer/internal/pass"
	"convdel/consumer/internal/recordlog"
	"convdel/schema"
)

const (
	// fetchBytes is the size of a fetch in compressed bytes.
	fetchBytes = 64 << 10
	// An outcome has a few hundred bytes, some kilobytes with the longest event IDs. A record that decompresses to more than
	// maxOutcomeBytes is none. A batch that decompresses to more than maxBatchBytes is stepped over.
	maxOutcomeBytes = 64 << 10
	maxBatchBytes   = 64 << 20
	// maxForeign bounds the number of records that [Totals] names.
	maxForeign = 100
)

// Gap is a part of a partition that can't be read: the offsets First to Last, both included.
type Gap = pass.Gap

// Unread says which parts of the topic could not be read. Outcomes there are missing.
type Unread = pass.Unread

// Topic is an outcome topic. It is safe for concurrent use. Make it with [Open], and close it.
type Topic struct {
	// Notice, unless nil, is called with each batch of the topic that can't be read, as soon as it is found, one call at a
	// time. It has to be set before the topic is used.
	Notice func(Gap)

	in *pass.Topic
}

// Open opens a topic. It returns a *consumer.TopicError if the topic does not exist.
func Open(ctx context.Context, cluster cluster.Config, topic string) (*Topic, error) {
	in, err := pass.Open(ctx, cluster, topic, recordlog.Bounds{Batch: maxBatchBytes, Record: maxOutcomeBytes})
	if err != nil {
		return nil, err
	}
	return &Topic{in: in}, nil
}

// Close closes the connections.
func (t *Topic) Close() { t.in.Close() }

// Filter selects outcomes. An empty field selects all; all fields that are set must match.
type Filter struct {
	// Records match the outcomes of records with any of these IDs, and of replays of these records. Only the partitions of these
	// keys are read, unless EveryPartition is set. The record of a replay has another key, and so has an outcome that was written
	// before partitions were added to the topic.
	Records        []string
	EveryPartition bool
	// EventID and ErasureID match those of the event.
	EventID, ErasureID string
	// Account matches the event's From_Account or To_Account. An outcome without a conversation matches no account, and is counted
	// in [Totals].
	Account string
	// Since leaves out what was written before, by the time of the outcome's record.
	Since time.Time
}

// Found is an outcome with its place.
type Found struct {
	schema.Outcome

	// Partition and Offset are those of the outcome's own record, Written is the record's time.
	Partition int
	Offset    int64
	Written   time.Time
}

// Totals are the numbers of one reading.
type Totals struct {
	// Records is the number of all records that were read.
	Records int
	// Foreign counts records that are no outcomes. Named are the first hundred of them.
	Foreign int
	Named   []Foreign
	// Unjudged counts outcomes that the filter's other fields select and of which its account can't tell, since they name none.
	Unjudged int
	// Unread says what could not be read; nil if all could.
	Unread *Unread
}

// Foreign is a record that is no outcome.
type Foreign struct {
	Partition int
	Offset    int64
	// Err says why, as a [*schema.OutcomeError].
	Err error
}

// Each calls do with each outcome that the filter selects, up to the topic's present end, partition by partition in their order,
// until do returns an error. It returns that error. It never calls do twice at the same time.
func (t *Topic) Each(ctx context.Context, f Filter, do func(Found) error) (Totals, error) {
	r := t.Reading(f)
	err := r.Next(ctx, do)
	return r.Totals(), err
}

// partitions are those that may hold the outcomes of a filter's records.
func (t *Topic) partitions(f *Filter) []int {
	all := t.in.All()
	if len(f.Records) == 0 || f.EveryPartition {
		return all
	}
	var some []int
	for _, id := range f.Records {
		// The writer's own choice, see cluster.Config.Writer.
		some = append(some, kafka.Murmur2Balancer{}.Balance(kafka.Message{Key: []byte(id)}, all...))
	}
	slices.Sort(some)
	return slices.Compact(some)
}
