package deadletter

import (
	"context"
	"maps"
	"slices"
	"time"

	"convdel/consumer/internal/recordlog"
	"convdel/schema"
)

// Settled is a letter that is settled. It can be looked up as long as the topic keeps its tombstone.
type Settled struct {
	// ID is the letter's ID.
	ID string
	// Settlement says who settled it, when and why. At is the time of the tombstone's record if the tombstone does not say.
	// A tombstone of an older version, or of another program, does not say who.
	schema.Settlement
	// Letter is what was settled; nil if compaction has removed it, as it may from the moment of the tombstone on.
	Letter *Letter
}

// EachSettled calls do with each settled letter that the filter selects, in no particular order, until do returns an error.
// It returns that error. Since and Until bound the time at which a letter was settled. Limit has no effect. A letter of which
// only the tombstone is left matches no class, code and account.
func (t *Table) EachSettled(ctx context.Context, f Filter, do func(Settled) error) (Totals, error) {
	ix, err := t.indexSettled(ctx)
	if err != nil {
		return Totals{}, err
	}
	count := len(ix.settled)
	err = t.eachSettled(ctx, ix, f, do)
	totals := ix.totals()
	totals.Settled = count
	return totals, err
}

func (t *Table) eachSettled(ctx context.Context, ix *index, f Filter, do func(Settled) error) error {
	ix.selectSettled(f)
	for _, c := range t.settledCursors(ix) {
		for {
			if err := c.fill(ctx, ix); err != nil {
				return err
			}
			if len(c.ready) == 0 {
				break
			}
			l := c.takeOne()
			stone := ix.settled[l.key]
			delete(ix.settled, l.key)
			if !ix.selects(f, l) {
				continue
			}
			if err := do(Settled{ID: l.ID(), Settlement: stone.Settlement, Letter: l}); err != nil {
				return err
			}
		}
	}
	if len(f.Classes)+len(f.Codes) > 0 || f.Account != "" {
		ix.unjudged += len(ix.settled)
		return ctx.Err()
	}
	for key, stone := range ix.settled {
		if err := do(Settled{ID: ix.id(key), Settlement: stone.Settlement}); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// selects judges a settled letter by what is known of the letter itself.
func (ix *index) selects(f Filter, l *Letter) bool {
	f.Since, f.Until, f.IDs = time.Time{}, time.Time{}, nil
	verdict := f.judge(l)
	if verdict == unjudged {
		ix.unjudged++
	}
	return verdict == matched
}

// selectSettled leaves the settled letters that the filter selects by ID and by the time of their settlement.
func (ix *index) selectSettled(f Filter) {
	ids := make(map[letterKey]bool, len(f.IDs))
	for _, id := range f.IDs {
		ids[ix.key(id)] = true
	}
	maps.DeleteFunc(ix.settled, func(key letterKey, s tombstone) bool {
		return len(ids) > 0 && !ids[key] || !f.Since.IsZero() && s.At.Before(f.Since) || !f.Until.IsZero() && !s.At.Before(f.Until)
	})
}

// settledCursors read the settled letters that the topic still has.
func (t *Table) settledCursors(ix *index) []*cursor {
	cursors := make([]*cursor, t.partitions)
	for p := range cursors {
		cursors[p] = &cursor{t: t, partition: p}
	}
	for key, stone := range ix.settled {
		if stone.letter >= 0 {
			cursors[stone.partition].want(stone.letter, key)
		}
	}
	for _, c := range cursors {
		c.sort()
	}
	return cursors
}

// tombstone is the newest record of a settled letter.
type tombstone struct {
	schema.Settlement
	partition int32
	// letter is the offset of the letter before it, -1 if the topic no longer has that.
	letter int64
}

// graves are the tombstones of a partition by ID. Many have the same texts, which are kept once.
type graves struct {
	stones map[string]tombstone
	texts  map[string]string
}

func newGraves() *graves {
	return &graves{stones: make(map[string]tombstone), texts: make(map[string]string)}
}

// bury notes a tombstone. letter is the offset of the open letter before it, if there is one.
func (g *graves) bury(r *recordlog.Record, id string, letter int64, open bool) {
	if g == nil {
		return
	}
	if _, _, _, err := schema.ParseID(id); err != nil {
		return
	}
	if !open {
		letter = -1
		if before, again := g.stones[id]; again {
			letter = before.letter
		}
	}
	s := schema.ParseSettlement(r.Headers)
	s.By, s.Reason = g.once(s.By), g.once(s.Reason)
	if s.At.IsZero() {
		s.At = r.Time.UTC()
	}
	g.stones[id] = tombstone{Settlement: s, letter: letter}
}

// once returns a text that shares its memory with all equal ones.
func (g *graves) once(text string) string {
	if known, ok := g.texts[text]; ok {
		return known
	}
	g.texts[text] = text
	return text
}

// reopen forgets a tombstone, since a newer letter has its ID.
func (g *graves) reopen(id string) {
	if g != nil {
		delete(g.stones, id)
	}
}

// mergeGraves adds a partition's tombstones. If partitions were added, several may have one of the same letter: the latest
// counts.
func (ix *index) mergeGraves(partition int32, g *graves) {
	if g == nil {
		return
	}
	for _, id := range slices.Sorted(maps.Keys(g.stones)) {
		key, stone := ix.key(id), g.stones[id]
		stone.partition = partition
		if other, again := ix.settled[key]; !again || other.At.Before(stone.At) {
			ix.settled[key] = stone
		}
	}
}
