package schema

import (
	"math"
	"slices"
	"strconv"
	"time"
)

// A replay publishes the source record of a dead letter again, to the topic of events. The new
// record has a new place and a new timestamp. Five headers keep what would be lost, so that its
// next dead letter says which one it replaces, and its age is that of the event.

// ReplayOrigin is what a replayed record is a replay of.
type ReplayOrigin struct {
	// Topic, Partition and Offset are those of the record that was dead-lettered.
	Topic     string
	Partition int
	Offset    int64
	// Timestamp is the Kafka timestamp of the record that was published first, zero when it had none.
	Timestamp time.Time
	// Replays is how often it has been replayed, this time included: at least 1.
	Replays int
}

// ID is the ID of the dead letter that was replayed.
func (o ReplayOrigin) ID() string {
	return DeadLetter{Topic: o.Topic, Partition: o.Partition, Offset: o.Offset}.ID()
}

// ReplayHeaders returns the headers with which the source record of d is to be published again,
// given those of d's record: the source record's own, then dlt-topic, dlt-partition, dlt-offset,
// dlt-timestamp (unless it had none) and dlt-replays, one more than d.Replays. Where d.Event stands for
// a record that is not there, the source record's content type and CloudEvents attributes are left
// out: they say how its own value was to be read. The header values are shared.
func (d DeadLetter) ReplayHeaders(headers []Header) []Header {
	replay := SourceHeaders(headers)
	if d.keepsEvent() {
		replay = slices.DeleteFunc(replay, wraps)
	}
	replay = append(replay,
		Header{Key: HeaderTopic, Value: []byte(d.Topic)},
		Header{Key: HeaderPartition, Value: []byte(strconv.Itoa(d.Partition))},
		Header{Key: HeaderOffset, Value: []byte(strconv.FormatInt(d.Offset, 10))})
	if !d.Timestamp.IsZero() {
		replay = append(replay, Header{Key: HeaderTimestamp, Value: []byte(formatTime(d.Timestamp))})
	}
	return append(replay, Header{Key: HeaderReplays, Value: []byte(strconv.Itoa(d.replaysAfter()))})
}

// replaysAfter is d.Replays after one more. The count stays where [Origin] can read no higher one.
func (d DeadLetter) replaysAfter() int { return min(max(0, d.Replays), math.MaxInt32-1) + 1 }

// wraps says whether [Decode] looks at a header to tell how a value is to be read.
func wraps(h Header) bool {
	for _, a := range headerNames() {
		if a.name == h.Key {
			return true
		}
	}
	return false
}

// Record is what is to be published.
type Record struct {
	// Key and Value are nil where they are to be null, which is not the same as empty.
	Key, Value []byte
	Headers    []Header
}

// Replay returns the record that publishes the source record of d again, given the value and the
// headers of d's record: d.Key, that value (null if d.NullValue) and [DeadLetter.ReplayHeaders]. Where
// the source record's value is not there, d.Event takes its place. The error is a [*ReplayError]: a
// batch that can't be read is no record, and of one that is not there without an event nothing is left.
func (d DeadLetter) Replay(value []byte, headers []Header) (Record, error) {
	switch {
	case d.Batch != nil || d.Omitted != nil && !d.keepsEvent():
		return Record{}, &ReplayError{ID: d.ID(), Batch: d.Batch, Omitted: d.Omitted}
	case d.keepsEvent():
		value = d.Event
	case d.NullValue:
		value = nil
	}
	return Record{Key: d.Key, Value: value, Headers: d.ReplayHeaders(headers)}, nil
}

// ReplayError says that a dead letter has nothing that could be published again.
type ReplayError struct {
	// ID is the dead letter's.
	ID string
	// Batch and Omitted are the dead letter's: what it stands for, and what it lacks.
	Batch   *Batch
	Omitted *Omitted
}

// Error returns a line like "dead letter t/0/7 can't be replayed: it stands for a batch that can't be read, offsets 7-12".
func (e *ReplayError) Error() string {
	if e.Batch != nil {
		return "dead letter " + e.ID + " can't be replayed: it stands for a batch that can't be read, offsets " + e.Batch.String()
	}
	return "dead letter " + e.ID + " can't be replayed: its source record's value is not there, and no event is known of it (" + e.Omitted.String() + ")"
}

// Origin returns what a record of the topic of events is a replay of, if it is one. The dead letter
// of such a record takes ReplayOf, Timestamp and Replays from it. It does not take the key: the
// tombstone of the dead letter that was replayed may be written after it, and would settle it too.
//
// Only a replay of dead letters may set these headers, with [DeadLetter.ReplayHeaders]; publishers
// must not. They are taken together or not at all: if one is missing (dlt-timestamp may be),
// malformed or repeated, the record counts as one that was never replayed, so that a stray header
// changes nothing. Whoever may write to the topic can forge them, so what they say is a claim. Whoever
// reads dead letters must not believe it: one replaces the one that it names only if the two show that
// the source record of the one is a replay of that of the other.
func Origin(headers []Header) (ReplayOrigin, bool) {
	if !replayed(headers) {
		return ReplayOrigin{}, false
	}
	r := readLetter(headers)
	origin := ReplayOrigin{
		Topic:     r.topic(),
		Partition: int(r.number(HeaderPartition, math.MaxInt32)),
		Offset:    r.number(HeaderOffset, math.MaxInt64),
		Timestamp: r.time(HeaderTimestamp),
		Replays:   r.replays(),
	}
	if r.err != nil {
		return ReplayOrigin{}, false
	}
	return origin, true
}

// replayed spares records that were never replayed, nearly all, the work of reading more.
func replayed(headers []Header) bool {
	for _, h := range headers {
		if h.Key == HeaderReplays {
			return true
		}
	}
	return false
}

// EventTime returns when the event of a record happened, the time from which its age counts: the
// earliest of the CloudEvents time of e, if it has one; for a replayed record, the timestamp of the
// record that it first was; recordTime, the Kafka timestamp of the record at hand; and whatever other
// times at which the record is known to have been there. No event happens after its record was written:
// a publisher's clock that is ahead makes no event younger than its record. Zero times are not known,
// and count for nothing. It serves records that could not be decoded too, with a zero e.
func EventTime(e Event, headers []Header, recordTime time.Time, there ...time.Time) time.Time {
	at := e.Time
	if origin, ok := Origin(headers); ok {
		at = earliest(at, origin.Timestamp)
	}
	at = earliest(at, recordTime)
	for _, t := range there {
		at = earliest(at, t)
	}
	return at
}

// earliest returns the earlier of two times of which either may be zero.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
