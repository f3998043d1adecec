package deadletter

import (
	"errors"
	"slices"
	"time"

	"convdel/schema"
)

// Letter is an open dead letter.
type Letter struct {
	// DeadLetter holds the letter's headers. Its ID is the letter's.
	schema.DeadLetter
	// Value is the source record's value: nil if that was null.
	Value []byte
	// Headers are all headers of the letter, those of the source record first.
	Headers []schema.Header
	// Written is the time at which the letter was written, by the timestamp of its record.
	Written time.Time

	// key is the ID under which the index has the letter.
	key letterKey
	// positions are where in the dead-letter topic the ID is open: in one partition, or in several if partitions were
	// added.
	positions []position
	// supersedes are the IDs that this letter replaces, with their positions.
	supersedes []superseded
}

type superseded struct {
	id        string
	positions []position
}

// Replaces lists the IDs of the open letters that this letter replaces, since its source record is a replay of theirs. The
// letter that it names comes first. Settling this letter settles them as well.
func (l *Letter) Replaces() []string {
	var ids []string
	for _, old := range l.supersedes {
		ids = append(ids, old.id)
	}
	return ids
}

// Event returns the event in the source record, or the reason why there is none. If the letter lacks the record's value, it
// is the event that the letter has kept.
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
	errOmitted = errors.New("the record's value is missing, and no event is known of it")
)

// Source returns the source record as a replay publishes it. The error is a [*schema.ReplayError].
func (l *Letter) Source() (schema.Record, error) { return l.Replay(l.Value, l.Headers) }

// Age returns how long ago the event happened, at now. It decides whether the event may still be executed. It is the
// letter's own age if the record had no time. It is never less than the time since the event's first call or since the
// letter was written, since the record existed by then.
func (l *Letter) Age(now time.Time) time.Duration {
	e, err := l.Event()
	if err != nil {
		e = schema.Event{}
	}
	return now.Sub(schema.EventTime(e, nil, l.Timestamp, l.FirstAttempt, l.LastAttempt, l.Written))
}

// Filter selects letters. An empty field selects all letters; all fields that are set must match.
type Filter struct {
	// Classes and Codes match a letter that has any of them.
	Classes []schema.Class
	Codes   []int
	// Account matches the event's From_Account or To_Account. A letter without an event matches no account.
	Account string
	// Since and Until bound the time at which the letter was written: not before Since, and before Until.
	Since, Until time.Time
	// IDs match a letter that has any of them.
	IDs []string
	// Limit is the largest number of letters, the oldest first; 0 is no limit.
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
