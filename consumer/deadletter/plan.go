package deadletter

import (
	"errors"
	"slices"
	"time"

	"convdel/schema"
)

// Choice says which letters are to be settled.
type Choice struct {
	// Filter selects them. Its Limit counts the letters that are settled or skipped, not those left alone. It must not be
	// lenient.
	Filter Filter
	// Topic is the source topic of the letters; letters of other topics are left alone. Required for a replay.
	Topic string
	// MaxAge leaves older events alone, by the time of the event; 0 settles any age. A late delete can wipe a conversation
	// that has come back to life.
	MaxAge time.Duration
	// Rate is the largest number of letters a second; 0 is no limit.
	Rate float64
	// Planned, unless nil, is the plan that was shown for this choice. Only the letters in it are settled, as long as they
	// are what they were: neither letters that have come since, nor those that were written anew or settled.
	Planned *Plan
	// By names who settles the letters. It stays on the tombstones.
	By string
	// OutcomeTopic is where the settlements of letters are recorded that name a topic for outcomes, whichever they name. If it is
	// empty, each is recorded in the topic that its letter names, if the newest records of that are outcomes.
	OutcomeTopic string
	// Skipped, unless nil, is called by a replay for each record that the topic of events refuses because of the record
	// itself, above all its size. It gets the letter and the reason. The letter stays open and the replay goes on.
	Skipped func(*Letter, error)
}

// Left says why a letter is left alone.
type Left string

// LeftOutcomeTopic is the reason why any settling leaves a letter alone that names a topic for outcomes of which nothing shows that it
// is one: the name may be forged. [Choice.OutcomeTopic] decides for it.
const LeftOutcomeTopic Left = "naming a topic for outcomes that is not known as one"

// These are the reasons why a replay leaves a letter alone. Permanent and undecodable letters would fail again. So they are
// replayed only if the filter names their class or their ID.
const (
	LeftTooOld     Left = "older than the age allowed"
	LeftNotNamed   Left = "permanent or undecodable, and not named by class or id"
	LeftOtherTopic Left = "of another topic"
	// Such a letter has nothing that could be published again.
	LeftOmitted Left = "without their record's value, and no event is known"
	LeftBatch   Left = "batches that can't be read"
)

// maxAlong bounds the number of IDs in AlongIDs.
const maxAlong = 1000

// Plan is what a settling is going to do, or has done.
type Plan struct {
	Totals
	// Settled is the number of letters, Classes is this number by class.
	Settled int
	Classes map[schema.Class]int
	// Oldest is the time of the oldest event among them; zero if there is none.
	Oldest time.Time
	// Left counts the letters that the filter selects but that are left alone, by reason.
	Left map[Left]int
	// Along counts the letters that are settled in addition because a settled letter replaces them. AlongIDs are the first
	// thousand of these. See [Letter.Replaces].
	Along    int
	AlongIDs []string
	// Outcomes counts the settled letters by the topic in which that is recorded; empty if it is recorded nowhere. Doubted are the
	// topics of the letters that are left alone because of LeftOutcomeTopic, the first sixteen of them.
	Outcomes map[string]int
	Doubted  []string
	// Skipped counts the letters that a replay has skipped, see [Choice]. It is 0 in a plan of a settling to come.
	Skipped int
	// NotOpen are the IDs in the filter that no open letter has: a letter with that ID is settled, replaced by the letter of
	// its replay, or was never there. Unmatched are those of open letters that other fields of the filter leave out. It is
	// empty where a limit has ended the search.
	NotOpen, Unmatched []string

	// listed are the positions of the letters that are settled, and of those that are settled along with them.
	listed map[position]struct{}
}

func newPlan() Plan {
	return Plan{
		Classes: make(map[schema.Class]int), Left: make(map[Left]int), Outcomes: make(map[string]int), listed: make(map[position]struct{}),
	}
}

// lists returns true if the plan has a letter and all letters that are settled along with it, each at its present
// position.
func (p *Plan) lists(l *Letter) bool {
	missing := func(at position) bool {
		_, listed := p.listed[at]
		return !listed
	}
	return !slices.ContainsFunc(l.everywhere(), missing)
}

// everywhere returns the positions of a letter and of all letters that are settled along with it.
func (l *Letter) everywhere() []position {
	at := slices.Clone(l.positions)
	for _, old := range l.supersedes {
		at = append(at, old.positions...)
	}
	return at
}

// doubt notes that a letter is left alone because of the topic that it names for outcomes.
func (p *Plan) doubt(topic string) {
	if topic == "" {
		return
	}
	p.Left[LeftOutcomeTopic]++
	if len(p.Doubted) < maxJudged && !slices.Contains(p.Doubted, topic) {
		p.Doubted = append(p.Doubted, topic)
	}
}

func (p *Plan) count(l *Letter, topic string, now time.Time) {
	p.Settled++
	if topic != "" {
		p.Outcomes[topic] += 1 + len(l.supersedes)
	}
	p.Classes[l.Class]++
	for _, at := range l.everywhere() {
		p.listed[at] = struct{}{}
	}
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

// enough returns errEnough if the limit has been reached.
func (c *Choice) enough(p *Plan) error {
	if c.Filter.Limit > 0 && p.Settled+p.Skipped == c.Filter.Limit {
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
