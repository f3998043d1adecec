package deadletter

import (
	"errors"
	"slices"
	"time"

	"convdel/schema"
)

// Choice says which letters are to be settled.
type Choice struct {
	// Filter selects them. Its Limit counts the letters that are settled or skipped, not those left alone.
	Filter Filter
	// Topic is the topic whose letters these are: others are left alone. Required for a replay.
	Topic string
	// MaxAge leaves alone what is older, by the time of the event; 0 settles any age. A late delete
	// can wipe a conversation that has come back to life.
	MaxAge time.Duration
	// Rate is letters a second at most; 0 is no limit.
	Rate float64
	// Planned, unless nil, is the plan that this choice has been shown as: letters that have been written since
	// are not settled, nor are those behind the last one that a limit had let in. What is settled is then never
	// more than the plan.
	Planned *Plan
	// Skipped, unless nil, is called by a replay with each letter whose source record the topic of events
	// refuses for its own sake, its size above all, and why. The letter stays open and the replay goes on.
	Skipped func(*Letter, error)
}

// Left says why a letter is left alone.
type Left string

// Why a letter is left alone by a replay. Permanent and undecodable letters would only fail
// again, so they are replayed only if the filter names their class or their ID.
const (
	LeftTooOld     Left = "older than the age allowed"
	LeftNotNamed   Left = "permanent or undecodable, and not named by class or id"
	LeftOtherTopic Left = "of another topic"
	// Of these nothing is there that could be published again.
	LeftOmitted Left = "without their record's value, and no event is known"
	LeftBatch   Left = "batches that can't be read"
)

// maxAlong is how many letters that are settled along with others are told by ID.
const maxAlong = 1000

// Plan is what a settling would do, or has done.
type Plan struct {
	Totals
	// Settled counts the letters, Classes by class.
	Settled int
	Classes map[schema.Class]int
	// Oldest is the time of the oldest event among them; zero if there is none.
	Oldest time.Time
	// Left counts the letters that the filter selects and that are left alone.
	Left map[Left]int
	// Along counts the letters that are settled along with those, since they are replaced by them, and
	// AlongIDs are the first thousand. See [Letter.Replaces].
	Along    int
	AlongIDs []string
	// Skipped counts the letters that a replay has skipped, see [Choice]. A plan knows of none.
	Skipped int

	// ends are where the partitions ended, last is when the last of the letters was written.
	ends []int64
	last time.Time
}

// knows says whether the plan has seen a letter and all that is settled along with it, each where it is.
func (p *Plan) knows(l *Letter) bool {
	seen := func(at place) bool { return int(at.partition) < len(p.ends) && at.offset < p.ends[at.partition] }
	all := func(places []place) bool {
		return !slices.ContainsFunc(places, func(at place) bool { return !seen(at) })
	}
	return all(l.places) && !slices.ContainsFunc(l.supersedes, func(old superseded) bool { return !all(old.places) })
}

func (p *Plan) count(l *Letter, now time.Time) {
	p.Settled++
	p.Classes[l.Class]++
	p.last = l.Written
	if at := now.Add(-l.Age(now)); p.Oldest.IsZero() || at.Before(p.Oldest) {
		p.Oldest = at
	}
	p.Along += len(l.supersedes)
	for _, old := range l.supersedes {
		if len(p.AlongIDs) < maxAlong {
			p.AlongIDs = append(p.AlongIDs, old.id)
		}
	}
}

// enough says whether the limit has been reached.
func (c *Choice) enough(p *Plan) error {
	if p.Settled+p.Skipped == c.Filter.Limit {
		return errEnough
	}
	return nil
}

func (p *Plan) skip(c *Choice, l *Letter, err error) {
	p.Skipped++
	if c.Skipped != nil {
		c.Skipped(l, err)
	}
}

func (c *Choice) leavesReplay(l *Letter, now time.Time) Left {
	if refused, ok := errors.AsType[*schema.ReplayError](sourceError(l)); ok {
		if refused.Batch != nil {
			return LeftBatch
		}
		return LeftOmitted
	}
	named := len(c.Filter.Classes) > 0 || len(c.Filter.IDs) > 0
	if (l.Class == schema.ClassPermanent || l.Class == schema.ClassUndecodable) && !named {
		return LeftNotNamed
	}
	return c.leavesDiscard(l, now)
}

func (c *Choice) leavesDiscard(l *Letter, now time.Time) Left {
	switch {
	case c.Topic != "" && l.Topic != c.Topic:
		return LeftOtherTopic
	case c.MaxAge > 0 && l.Age(now) > c.MaxAge:
		return LeftTooOld
	}
	return ""
}

func sourceError(l *Letter) error {
	_, err := l.Source()
	return err
}
