package erasure_test

import (
	"testing"
	"testing/synctest"
	"time"

	"convdel/internal/erasure"
	"convdel/schema"
)

// TestRuleOnLists: which lists have to be read, and what each of them proves.
func TestRuleOnLists(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_790_000_000, 0)
	bob := c2c("alice", "bob")
	part := func(c schema.Conversation, at time.Time) erasure.Record {
		return erasure.Record{
			ID: "t/0/" + c.From, Published: at, Known: now, End: &erasure.End{Outcome: "deleted", Proven: true, Ended: at},
			Event: schema.Event{Conversation: c, ID: schema.PartID("R-1", c), ErasureID: "R-1"},
		}
	}
	empty := &erasure.Listing{Began: now}
	shows := func(c schema.Conversation, at time.Time) *erasure.Listing {
		return &erasure.Listing{Began: now, Entries: []erasure.Entry{{Conversation: c, LastMessage: at}}}
	}
	both := []erasure.Record{part(bob, now.Add(-time.Minute)), part(c2c("bob", "alice"), now)}
	for name, c := range map[string]struct {
		records []erasure.Record
		alice   *erasure.Listing
		bob     *erasure.Listing
		want    erasure.State
		publish int
	}{
		"both are empty":                            {both, empty, empty, erasure.Verified, 0},
		"the account was deleted meanwhile":         {both, &erasure.Listing{Began: now, NoAccount: "50001"}, empty, erasure.Exceptions, 0},
		"the other list was not read":               {both, empty, nil, erasure.InProgress, 0},
		"the other list is not complete":            {both, empty, &erasure.Listing{Began: now, Doubt: "x"}, erasure.InProgress, 0},
		"the other list shows the account":          {both, empty, shows(c2c("bob", "alice"), now.Add(-time.Hour)), erasure.Exceptions, 0},
		"the other list shows somebody else":        {both, empty, shows(c2c("bob", "carol"), now), erasure.Verified, 0},
		"the other account is gone":                 {both[:1], empty, &erasure.Listing{Began: now, NoAccount: "50001"}, erasure.Verified, 0},
		"the other side is still to be done":        {both[:1], empty, shows(c2c("bob", "alice"), now.Add(-time.Hour)), erasure.InProgress, 1},
		"the other side is not shown":               {both[:1], empty, empty, erasure.InProgress, 1},
		"the other side has had a message":          {both[:1], empty, shows(c2c("bob", "alice"), now.Add(time.Hour)), erasure.Exceptions, 0},
		"a message between the first and last part": {both, shows(bob, now.Add(-30*time.Second)), empty, erasure.Exceptions, 0},
	} {
		q := &erasure.Request{ID: "R-1", Account: "alice", OtherSides: true}
		ev := &erasure.Evidence{Records: c.records, Lists: map[string]*erasure.Listing{"alice": c.alice}}
		if c.bob != nil {
			ev.Lists["bob"] = c.bob
		}
		got := erasure.Rule(q, ev)
		if got.State != c.want || len(got.Publish) != c.publish || !got.Requested.Equal(now.Add(-time.Minute)) {
			t.Errorf("%s: %+v", name, got)
		}
		if name == "a message between the first and last part" && got.Residue[0].Reason != "it has had a message after the request: a new request deletes it" {
			t.Errorf("%s: %+v", name, got.Residue)
		}
	}
}

// TestEraseReadsAListThatIsLateAgain: lists may show for a moment what was deleted.
func TestEraseReadsAListThatIsLateAgain(t *testing.T) {
	t.Parallel()
	for late, want := range map[int]erasure.State{1: erasure.Verified, 2: erasure.Verified, 3: erasure.Exceptions} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(&erasure.Request{ID: "R-1", Account: "alice"})
			w.talks[c2c("alice", "bob")] = time.Now().Add(-time.Hour)
			w.late = late
			if res, err := w.run(t.Context(), time.Hour); err != nil || res.State != want || len(w.records) != 1 {
				t.Errorf("late %d times: %v, %+v", late, err, res.Ruling)
			}
		})
	}
}
