package deadletter

import (
	"errors"
	"slices"
	"time"

	"convdel/consumer/mention"
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
	// Mention says where a lenient filter has found its account in a letter without an event; empty for all others.
	Mention mention.Where

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
	// Account matches the event's From_Account or To_Account. A letter without an event matches no account, unless Lenient
	// is set. Totals count the letters of which the filter can't tell whether they concern the account.
	Account string
	// Lenient makes Account match a letter without an event that holds the account anywhere, see package mention. It is for
	// looking only: what is settled must not depend on a guess.
	Lenient bool
	// Since and Until bound the time at which the letter was written: not before Since, and before Until.
	Since, Until time.Time
	// IDs match a letter that has any of them.
	IDs []string
	// Limit is the largest number of letters, the oldest first; 0 is no limit.
	Limit int
}

// match is what a filter says of a letter.
type match int

const (
	unmatched match = iota
	matched
	// unjudged means that all fields but Account match, and nobody can tell whether the letter concerns the account.
	unjudged
)

func (f *Filter) judge(l *Letter) match {
	switch {
	case len(f.Classes) > 0 && !slices.Contains(f.Classes, l.Class):
	case len(f.Codes) > 0 && !slices.Contains(f.Codes, l.Code):
	case len(f.IDs) > 0 && !slices.Contains(f.IDs, l.ID()):
	case !f.Since.IsZero() && l.Written.Before(f.Since):
	case !f.Until.IsZero() && !l.Written.Before(f.Until):
	case f.Account != "":
		return f.concerns(l)
	default:
		return matched
	}
	return unmatched
}

// concerns judges a letter by the account.
func (f *Filter) concerns(l *Letter) match {
	e, err := l.Event()
	switch {
	case err == nil && (e.From == f.Account || e.To == f.Account):
		return matched
	case err == nil:
		return unmatched
	case !f.Lenient:
		return unjudged
	}
	where := mention.Find(f.Account, schema.Record{Key: l.Key, Value: l.Value, Headers: schema.SourceHeaders(l.Headers)})
	switch {
	case where == mention.Unknown || where == mention.Nowhere && (l.Batch != nil || l.Omitted != nil):
		return unjudged
	case where == mention.Nowhere:
		return unmatched
	}
	l.Mention = where
	return matched
}
