package schema

import (
	"math"
	"slices"
	"strconv"
	"time"
)

// A replay publishes the source record of a dead letter again, to the topic of events. The new record has a new offset and
// a new timestamp. Five headers keep the old ones. So the record's next dead letter can name the one that it replaces, and
// its age is that of the event.

// ReplayOrigin says which dead letter a replayed record comes from.
type ReplayOrigin struct {
	// Topic, Partition and Offset are those of the dead letter's source record.
	Topic     string
	Partition int
	Offset    int64
	// Timestamp is the Kafka timestamp of the record that was published first, zero if it had none.
	Timestamp time.Time
	// Replays is how often the record has been replayed, this time included: at least 1.
	Replays int
}

// ID is the ID of the dead letter that was replayed.
func (o ReplayOrigin) ID() string {
	return DeadLetter{Topic: o.Topic, Partition: o.Partition, Offset: o.Offset}.ID()
}

// ReplayHeaders returns the headers with which the source record of d is published again, from the headers of d's record.
// They are the source record's own, then dlt-topic, dlt-partition, dlt-offset, dlt-timestamp (unless it had none) and
// dlt-replays, which is d.Replays plus one. If d.Event replaces a missing record, the source record's content type and
// CloudEvents attributes are left out, since they say how to read the missing value. The header values are shared.
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

// replaysAfter returns d.Replays plus one, but never more than [Origin] can read.
func (d DeadLetter) replaysAfter() int { return min(max(0, d.Replays), math.MaxInt32-1) + 1 }

// wraps returns true if [Decode] uses a header to decide how to read the value.
func wraps(h Header) bool {
	for _, a := range headerNames() {
		if a.name == h.Key {
			return true
		}
	}
	return false
}

// Record is a record to publish.
type Record struct {
	// Key and Value are nil if they are to be null, which is not the same as empty.
	Key, Value []byte
	Headers    []Header
}

// Replay returns the record that publishes the source record of d again, from the value and the headers of d's record. It
// has d.Key, that value (null if d.NullValue) and [DeadLetter.ReplayHeaders]. If the source record's value is missing,
// d.Event is the value. The error is a [*ReplayError]: d stands for a batch that can't be read, or has neither a value nor
// an event.
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
	// ID is the ID of the dead letter.
	ID string
	// Batch and Omitted are those of the dead letter.
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

// Origin returns the origin of a record of the topic of events, if the record is a replay. The record's dead letter takes
// ReplayOf, Timestamp and Replays from it. It does not take the key: the tombstone of the replayed dead letter may be
// written after the new dead letter, and would settle that, too.
//
// Only a replay of dead letters may set these headers, with [DeadLetter.ReplayHeaders]. Publishers must not set them.
// Origin takes all of them or none: if a header other than dlt-timestamp is missing, or one is malformed or repeated, the
// record counts as never replayed, so that a stray header changes nothing.
//
// Anybody who may write to the topic can forge these headers, so the origin is a claim. A reader of dead letters must not
// believe it. A dead letter replaces the one that it names only if the two prove that one source record is a replay of the
// other.
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

// replayed returns false for nearly all records that were never replayed, so that no more headers are read for these.
func replayed(headers []Header) bool {
	for _, h := range headers {
		if h.Key == HeaderReplays {
			return true
		}
	}
	return false
}

// EventTime returns the time from which an event's age counts. It is the earliest of these: the CloudEvents time of e; for
// a replayed record the timestamp of the record that was published first; recordTime, the Kafka timestamp of the present
// record; and any other times at which the record is known to have existed. No event happens after its record was written,
// so a publisher's clock that is ahead makes no event younger than its record. Zero times are ignored. For a record that
// could not be decoded, e is the zero event.
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

// earliest returns the earlier of two times. A zero time is ignored.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
