package deadletter

import (
	"errors"
	"slices"
	"time"

	"convdel/schema"
)

// Letter is an open dead letter.
type Letter struct {
	// DeadLetter is what its headers say. Its ID is the letter's.
	schema.DeadLetter
	// Value is the source record's value: nil if that was null.
	Value []byte
	// Headers are all of the letter's, the source record's own first.
	Headers []schema.Header
	// Written is when the letter was written, by Kafka's time of its record.
	Written time.Time

	// key is the ID in the index that the letter was found by.
	key letterKey
	// places are where in the dead-letter topic the ID is open: in one partition, unless partitions were
	// added to the topic meanwhile.
	places []place
	// supersedes are the IDs that this letter replaces, with their places.
	supersedes []superseded
}

type superseded struct {
	id     string
	places []place
}

// Replaces lists the IDs of the letters that are open still and that this one stands for, the one that it
// names first: its source record is a replay of theirs. Whoever settles it settles them along.
func (l *Letter) Replaces() []string {
	var ids []string
	for _, old := range l.supersedes {
		ids = append(ids, old.id)
	}
	return ids
}

// Event is the event in the source record, or why there is none. Of a record that is not there it is the
// one that the letter has kept.
func (l *Letter) Event() (schema.Event, error) {
	switch {
	case l.Batch != nil:
		return schema.Event{}, errBatch
	case l.DeadLetter.Event != nil:
		return schema.Decode(l.DeadLetter.Event, nil)
	case l.Omitted != nil:
		return schema.Event{}, errOmitted
	}
	return schema.Decode(l.Value, l.Headers)
}

var (
	errBatch   = errors.New("the letter stands for a batch that can't be read")
	errOmitted = errors.New("the record's value is not there, and no event is known of it")
)

// Source is the source record as a replay publishes it. The error is a [*schema.ReplayError].
func (l *Letter) Source() (schema.Record, error) { return l.Replay(l.Value, l.Headers) }

// Age is how long ago the event happened, at now: what counts when deciding whether it may still be
// executed. It is the letter's own age where the record had no time, and never less than what is known of
// the record: it was there when it was first called, and when the letter was written.
func (l *Letter) Age(now time.Time) time.Duration {
	e, err := l.Event()
	if err != nil {
		e = schema.Event{}
	}
	return now.Sub(schema.EventTime(e, nil, l.Timestamp, l.FirstAttempt, l.LastAttempt, l.Written))
}

// Filter selects letters. What is empty selects all; what is given must all match.
type Filter struct {
	// Classes and Codes are any of these.
	Classes []schema.Class
	Codes   []int
	// Account is the event's From_Account or To_Account; a letter that holds no event has neither.
	Account string
	// Since and Until bound when the letter was written: from the one on, before the other.
	Since, Until time.Time
	// IDs are any of these.
	IDs []string
	// Limit is how many, the oldest first; 0 is no limit.
	Limit int
}

func (f *Filter) matches(l *Letter) bool {
	switch {
	case len(f.Classes) > 0 && !slices.Contains(f.Classes, l.Class):
	case len(f.Codes) > 0 && !slices.Contains(f.Codes, l.Code):
	case len(f.IDs) > 0 && !slices.Contains(f.IDs, l.ID()):
	case !f.Since.IsZero() && l.Written.Before(f.Since):
	case !f.Until.IsZero() && !l.Written.Before(f.Until):
	case f.Account != "" && !concerns(l, f.Account):
	default:
		return true
	}
	return false
}

func concerns(l *Letter, account string) bool {
	e, err := l.Event()
	return err == nil && (e.From == account || e.To == account)
}
