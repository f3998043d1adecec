package schema

import (
	"math"
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
// dlt-timestamp (unless it had none) and dlt-replays, one more than d.Replays. The key to publish
// with is d.Key, the value that of d's record, or null if d.NullValue. The header values are shared.
func (d DeadLetter) ReplayHeaders(headers []Header) []Header {
	replay := append(SourceHeaders(headers),
		Header{Key: HeaderTopic, Value: []byte(d.Topic)},
		Header{Key: HeaderPartition, Value: []byte(strconv.Itoa(d.Partition))},
		Header{Key: HeaderOffset, Value: []byte(strconv.FormatInt(d.Offset, 10))})
	if !d.Timestamp.IsZero() {
		replay = append(replay, Header{Key: HeaderTimestamp, Value: []byte(formatTime(d.Timestamp))})
	}
	return append(replay, Header{Key: HeaderReplays, Value: []byte(strconv.Itoa(d.Replays + 1))})
}

// Origin returns what a record of the topic of events is a replay of, if it is one. The dead letter
// of such a record takes ReplayOf, Timestamp and Replays from it. It does not take the key: the
// tombstone of the dead letter that was replayed may be written after it, and would settle it too.
//
// Only a replay of dead letters may set these headers, with [DeadLetter.ReplayHeaders]; publishers
// must not. They are taken together or not at all: if one is missing (dlt-timestamp may be),
// malformed or repeated, the record counts as one that was never replayed, so that a stray header
// changes nothing. Whoever may write to the topic can still forge them and so choose which dead
// letter theirs claims to replace; keeping strangers from writing is the broker's business.
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
// CloudEvents time of e if it has one, else, for a replayed record, the timestamp of the record
// that it first was, else recordTime, the Kafka timestamp of the record at hand. It serves records
// that could not be decoded too, with a zero e.
func EventTime(e Event, headers []Header, recordTime time.Time) time.Time {
	if !e.Time.IsZero() {
		return e.Time
	}
	if origin, ok := Origin(headers); ok && !origin.Timestamp.IsZero() {
		return origin.Timestamp
	}
	return recordTime
}
