package consumer

import (
	"errors"
	"fmt"
	"time"
)

// Start is where a group without any committed offset begins. The zero value: where the oldest record is younger than
// [RecentAge], or there is none, at the earliest record, and otherwise nowhere, with a [StartError].
type Start struct {
	rule startRule
	at   time.Time
}

type startRule int

const (
	startRecent startRule = iota
	startEarliest
	startLatest
	startAt
)

// RecentAge is the age from which on a topic is not read from its start unless told so.
const RecentAge = time.Hour

// StartEarliest begins at each partition's first record.
func StartEarliest() Start { return Start{rule: startEarliest} }

// StartLatest begins at each partition's end, as it is when the first member starts.
func StartLatest() Start { return Start{rule: startLatest} }

// StartAt begins at each partition's first record with that time or a later one.
func StartAt(at time.Time) Start { return Start{rule: startAt, at: at} }

// String names it as the setting does.
func (s Start) String() string {
	switch s.rule {
	case startEarliest:
		return "earliest"
	case startLatest:
		return "latest"
	case startAt:
		return s.at.UTC().Format(time.RFC3339)
	case startRecent:
	}
	return "recent"
}

// StartError says that a group has no offsets, or none that can be used, and that [Config.Start] does not say, or can't bring
// about, where it is to begin.
type StartError struct {
	Group, Topic string
	// What says which offsets are missing, where it is not all of them.
	What string
	// Records is how many offsets the topic has; where it was compacted, fewer records.
	Records int64
	// Oldest is how long ago the oldest record was written; 0 if it does not say so.
	Oldest time.Duration
	// Err is why the decision could not be committed, the broker's word that the group has members; nil if Start has not
	// made one.
	Err error
}

func (e *StartError) Error() string {
	text := fmt.Sprintf("group %s has no offsets, and topic %s has %d records, the oldest %s", e.Group, e.Topic, e.Records, e.age())
	switch {
	case e.What != "":
		return fmt.Sprintf("group %s: %s, with %d records, the oldest %s: say where to begin", e.Group, e.What, e.Records, e.age())
	case e.Err != nil:
		return text + "; it has members, which have committed nothing of this topic: where to begin can't be decided beside them"
	}
	return text + ": say where to begin"
}

func (e *StartError) age() string {
	if e.Oldest == 0 {
		return "of an unknown age"
	}
	return e.Oldest.Round(time.Minute).String() + " old"
}

// Unwrap returns why the decision could not be committed.
func (e *StartError) Unwrap() error { return e.Err }

// extent is what a partition holds when a start is decided.
type extent struct {
	first, last int64
	// oldest is the first record's time; zero if there is none or it has none.
	oldest time.Time
	// at is the first offset with the time that [StartAt] names.
	at int64
}

// errUndecided says that a topic is too old to be read from its start unasked.
var errUndecided = errors.New("start not decided")

// decide returns where each partition begins, or errUndecided.
func (s Start) decide(partitions []extent, now time.Time) ([]int64, error) {
	if s.rule == startRecent && !allRecent(partitions, now) {
		return nil, errUndecided
	}
	offsets := make([]int64, len(partitions))
	for i, p := range partitions {
		switch s.rule {
		case startLatest:
			offsets[i] = p.last
		case startAt:
			offsets[i] = min(max(p.at, p.first), p.last)
		case startRecent, startEarliest:
			offsets[i] = p.first
		}
	}
	return offsets, nil
}

// allRecent says whether no partition begins with a record of RecentAge or more. One without a time counts as old.
func allRecent(partitions []extent, now time.Time) bool {
	for _, p := range partitions {
		if p.last > p.first && (p.oldest.IsZero() || now.Sub(p.oldest) >= RecentAge) {
			return false
		}
	}
	return true
}

// records is how many offsets the partitions have, and how old their oldest record is; 0 if one's is not known.
func records(partitions []extent, now time.Time) (n int64, oldest time.Duration) {
	for _, p := range partitions {
		if p.last <= p.first {
			continue
		}
		n += p.last - p.first
		if !p.oldest.IsZero() {
			oldest = max(oldest, now.Sub(p.oldest))
		}
	}
	return n, oldest
}

// isStart says whether every partition begins at its first record, as those without an offset do anyway.
func isStart(partitions []extent, offsets []int64) bool {
	for i, p := range partitions {
		if offsets[i] != p.first {
			return false
		}
	}
	return true
}
