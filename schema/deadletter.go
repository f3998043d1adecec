package schema

import (
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// These are the headers of a dead letter. They follow those of its source record. All are text but dlt-key.
const (
	// HeaderPrefix is the prefix of all headers that are the dead letter's own, those of future versions included. A source
	// record's header with this prefix is dropped, see [SourceHeaders].
	HeaderPrefix = "dlt-"

	HeaderClass           = HeaderPrefix + "class"            // a [Class]
	HeaderCode            = HeaderPrefix + "code"             // the API's last code, 0 when there was none
	HeaderError           = HeaderPrefix + "error"            // the last error, one line of at most [MaxError] bytes
	HeaderAttempts        = HeaderPrefix + "attempts"         // calls used up, 0 when none was made
	HeaderFirstAttempt    = HeaderPrefix + "first-attempt"    // RFC 3339 in UTC, absent when no call was made
	HeaderLastAttempt     = HeaderPrefix + "last-attempt"     // the same of the last call
	HeaderTopic           = HeaderPrefix + "topic"            // the source record's topic
	HeaderPartition       = HeaderPrefix + "partition"        // its partition
	HeaderOffset          = HeaderPrefix + "offset"           // its offset
	HeaderTimestamp       = HeaderPrefix + "timestamp"        // its Kafka timestamp, RFC 3339 in UTC, absent when it had none
	HeaderKey             = HeaderPrefix + "key"              // its key, raw; absent when that was null, empty when that was empty
	HeaderGroup           = HeaderPrefix + "group"            // the consumer group that gave it up
	HeaderReplays         = HeaderPrefix + "replays"          // how often it was replayed before, absent when never
	HeaderReplayOf        = HeaderPrefix + "replay-of"        // ID of the dead letter that the source record is a replay of, absent when never replayed
	HeaderNullValue       = HeaderPrefix + "null-value"       // "true" when the source record's value was null, else absent
	HeaderOmitted         = HeaderPrefix + "omitted"          // the missing part of the source record, see [Omitted]; absent if none is missing
	HeaderEvent           = HeaderPrefix + "event"            // the source record's event as JSON, beside dlt-omitted where that record had decoded
	HeaderBatch           = HeaderPrefix + "batch"            // FIRST-LAST, the offsets of a batch that can't be read, see [Batch]; else absent
	HeaderOutcomeTopic    = HeaderPrefix + "outcome-topic"    // where the event's end is recorded, and the settlement is to be; absent if nowhere
	HeaderOutcomeAccounts = HeaderPrefix + "outcome-accounts" // "false" beside dlt-outcome-topic when outcomes name no accounts, else absent
	HeaderReason          = HeaderPrefix + "reason"           // on a tombstone: why the dead letter was discarded, see [Settlement]
	HeaderBy              = HeaderPrefix + "by"               // on a tombstone: who settled the dead letter
	HeaderSettled         = HeaderPrefix + "settled"          // on a tombstone: when, RFC 3339 in UTC
)

// MaxError is the largest size of an error's text, in bytes.
const MaxError = 1024

// letterHeaders is the largest number of headers that a dead letter adds to those of its source record.
const letterHeaders = 19

// Class says why an event became a dead letter.
type Class string

// These are the classes of dead letters.
const (
	// ClassExhausted means that all attempts were used up.
	ClassExhausted Class = "exhausted"
	// ClassPermanent means that the API refused the event with a permanent error.
	ClassPermanent Class = "permanent"
	// ClassUndecodable means that the record was not a valid event. No call was made.
	ClassUndecodable Class = "undecodable"
	// ClassExpired means that the event was too old to be executed.
	ClassExpired Class = "expired"
	// ClassRevived means that the conversation has had a message since the event.
	ClassRevived Class = "revived"
)

// Classes returns all classes.
func Classes() []Class {
	return []Class{ClassExhausted, ClassPermanent, ClassUndecodable, ClassExpired, ClassRevived}
}

// DeadLetter holds the headers of a dead letter. The dead letter's value is that of its source record, byte for byte. The
// value is empty if NullValue is set, since a null value would be a tombstone, or if Omitted is set.
type DeadLetter struct {
	// Class says why the event became a dead letter.
	Class Class
	// Code is the API's last code, 0 if there was none.
	Code int
	// Error is the last error. Headers makes it one line of at most [MaxError] bytes.
	Error string
	// Attempts is how many calls the event used up.
	Attempts int
	// FirstAttempt and LastAttempt are the times of the first and the last of these calls, zero if there was none.
	FirstAttempt, LastAttempt time.Time

	// Topic, Partition and Offset are those of the source record.
	Topic     string
	Partition int
	Offset    int64
	// Timestamp is the source record's Kafka timestamp, zero if it had none. For a replayed record it is the timestamp of
	// the record that was published first.
	Timestamp time.Time
	// Key is the source record's key: nil if it was null, which is not the same as empty.
	Key []byte
	// Group is the consumer group of the service that wrote the dead letter, made one line as Error is.
	Group string
	// Replays is how often the record had been replayed. ReplayOf is the ID of the dead letter that was replayed last,
	// which this dead letter replaces. They are zero and empty for a record that was never replayed.
	Replays  int
	ReplayOf string
	// OutcomeTopic is where the end of the event is recorded, and where the settlement of the dead letter is to be recorded. Empty
	// if nothing is recorded.
	OutcomeTopic string
	// OutcomeHidesAccounts says that what is recorded there names no accounts. It is written only if OutcomeTopic is not empty.
	OutcomeHidesAccounts bool
	// NullValue says that the source record's value was null.
	NullValue bool

	// Omitted describes the parts of the source record that the dead letter lacks; nil if it lacks none.
	Omitted *Omitted
	// Event is the source record's event, if Omitted is set and the record could be decoded; nil otherwise. [Decode] reads
	// it without headers. [Event.EncodeWhole] makes it.
	Event []byte
	// Batch holds the offsets of a batch that can't be read, if the dead letter stands for one; nil otherwise. The dead
	// letter's value is then the batch as the log has it, unless Omitted is set.
	Batch *Batch
}

// ID returns TOPIC/PARTITION/OFFSET of the source record. It is the key of the dead letter's record, so that a dead letter
// that is written twice replaces itself. [ParseID] reads it.
func (d DeadLetter) ID() string {
	return d.Topic + "/" + strconv.Itoa(d.Partition) + "/" + strconv.FormatInt(d.Offset, 10)
}

// ParseID reads the ID that [DeadLetter.ID] returns, and nothing else: a legal Kafka topic, a partition and an offset
// without leading zeros or signs. The error is a [*FieldError] about "id".
func ParseID(s string) (topic string, partition int, offset int64, err error) {
	parts := strings.Split(s, "/")
	if len(parts) == 3 && legalTopic(parts[0]) {
		p, okPartition := parseNumber(parts[1], math.MaxInt32)
		o, okOffset := parseNumber(parts[2], math.MaxInt64)
		if okPartition && okOffset {
			return parts[0], int(p), o, nil
		}
	}
	return "", 0, 0, &FieldError{Field: "id", Reason: "must be TOPIC/PARTITION/OFFSET, is " + quote(s)}
}

// Headers returns the headers of the dead letter's record: the source record's own, in their order, then those of d. It
// drops the source's dlt- headers, so that they never pile up. A publisher's broken clock can cause times that RFC 3339
// cannot express; the nearest one that it can express is written instead. Event is written only if Omitted is set and Batch
// is not. The values are shared with source and d.
func (d DeadLetter) Headers(source []Header) []Header {
	headers := SourceHeaders(source)
	add := func(key, value string) { headers = append(headers, Header{Key: key, Value: []byte(value)}) }
	addTime := func(key string, t time.Time) {
		if !t.IsZero() {
			add(key, formatTime(t))
		}
	}
	add(HeaderClass, string(d.Class))
	add(HeaderCode, strconv.Itoa(d.Code))
	add(HeaderError, oneLine(d.Error))
	add(HeaderAttempts, strconv.Itoa(d.Attempts))
	addTime(HeaderFirstAttempt, d.FirstAttempt)
	addTime(HeaderLastAttempt, d.LastAttempt)
	add(HeaderTopic, d.Topic)
	add(HeaderPartition, strconv.Itoa(d.Partition))
	add(HeaderOffset, strconv.FormatInt(d.Offset, 10))
	addTime(HeaderTimestamp, d.Timestamp)
	if d.Key != nil {
		headers = append(headers, Header{Key: HeaderKey, Value: d.Key})
	}
	add(HeaderGroup, oneLine(d.Group))
	if d.Replays > 0 {
		add(HeaderReplays, strconv.Itoa(d.Replays))
	}
	if d.ReplayOf != "" {
		add(HeaderReplayOf, d.ReplayOf)
	}
	if d.OutcomeTopic != "" {
		add(HeaderOutcomeTopic, d.OutcomeTopic)
		if d.OutcomeHidesAccounts {
			add(HeaderOutcomeAccounts, "false")
		}
	}
	if d.NullValue {
		add(HeaderNullValue, "true")
	}
	if d.Omitted != nil {
		add(HeaderOmitted, d.Omitted.String())
	}
	if d.keepsEvent() {
		headers = append(headers, Header{Key: HeaderEvent, Value: d.Event})
	}
	if d.Batch != nil {
		add(HeaderBatch, d.Batch.String())
	}
	return headers
}

// SourceHeaders returns the headers of a source record without those that begin with [HeaderPrefix]. The result is a new
// slice that shares the values.
func SourceHeaders(headers []Header) []Header {
	own := make([]Header, 0, len(headers)+letterHeaders) // with room for the dead letter's own headers
	for _, h := range headers {
		if !strings.HasPrefix(h.Key, HeaderPrefix) {
			own = append(own, h)
		}
	}
	return own
}

// oneLine makes an error's text fit for a header, a log line and a terminal. The result is valid UTF-8 of at most MaxError
// bytes, cut between characters, with a space for every character that does not print.
func oneLine(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, strings.ToValidUTF8(s, "\uFFFD"))
	if len(s) <= MaxError {
		return s
	}
	end := MaxError
	for !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end]
}
