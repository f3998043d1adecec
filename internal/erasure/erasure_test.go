package erasure_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"convdel/internal/erasure"
	"convdel/schema"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// draw makes a world with a request of alice's.
func draw(t *rapid.T) *world {
	q := &erasure.Request{ID: "R-1", Account: "alice", OtherSides: rapid.Bool().Draw(t, "other sides"), ClearRamble: rapid.Bool().Draw(t, "clear")}
	w := newWorld(q)
	w.shown = rapid.IntRange(2, 6).Draw(t, "shown")
	w.doubts = rapid.IntRange(0, 2).Draw(t, "doubts")
	for i := range rapid.IntRange(0, 14).Draw(t, "conversations") {
		c := c2c("alice", fmt.Sprintf("b%d", i))
		at := time.Now().Add(-time.Duration(i) * time.Minute)
		if i%4 == 3 {
			c.Type = schema.G2C
		} else if rapid.Bool().Draw(t, "both sides") {
			w.talks[c2c(c.To, "alice")] = at
		}
		w.talks[c] = at
		switch rapid.IntRange(0, 12).Draw(t, "fate") {
		case 0:
			w.refused[c] = "exhausted"
		case 1:
			w.keeps[c] = true
		case 2:
			w.gone[c.To] = c.Type == schema.C2C
			delete(w.talks, c2c(c.To, "alice"))
		case 3:
			q.Also = append(q.Also, c)
		case 4:
			w.failing[c.To] = c.Type == schema.C2C && q.OtherSides
		}
	}
	return w
}

// left are the conversations that were asked for and that the API still has.
func (w *world) left() (left []schema.Conversation) {
	for c := range w.talks {
		if c.From == w.q.Account || w.q.OtherSides && c.To == w.q.Account {
			left = append(left, c)
		}
	}
	return left
}

// TestPromise11_EraseKilledAtEveryStep: however often the command is killed, and between or in the middle of whichever steps, the same command
// goes on. It publishes nothing again that has an outcome, ends, and says verified only if the API has nothing more of what was asked.
func TestPromise11_EraseKilledAtEveryStep(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		kills := rapid.SliceOfN(rapid.IntRange(0, 12), 0, 6).Draw(rt, "kills")
		half := rapid.SliceOfN(rapid.Bool(), len(kills), len(kills)).Draw(rt, "half")
		synctest.Test(t, func(t *testing.T) {
			w := draw(rt)
			ctx := t.Context()
			for i, kill := range kills {
				w.kill, w.half = kill, half[i]
				if _, err := w.run(ctx, time.Hour); err != nil && !errors.Is(err, errKilled) {
					rt.Fatal(err)
				}
				w.serve(rapid.IntRange(0, 5).Draw(rt, "served"))
			}
			w.kill = -1
			clear(w.failing)
			res, err := w.run(ctx, time.Hour)
			if err != nil {
				rt.Fatal(err)
			}
			if len(w.again) > 0 {
				rt.Errorf("published again: %v", w.again)
			}
			found := len(w.records) > 0
			gone := found && len(w.left()) == 0 && len(w.refused) == 0
			if (res.State == erasure.Verified) != gone || res.State != erasure.Verified && res.State != erasure.Exceptions {
				rt.Errorf("%s, left %v, %+v", res.State, w.left(), res.Ruling)
			}
			for _, r := range w.records {
				if !r.Event.Time.Equal(w.records[0].Event.Time) {
					rt.Errorf("part of %s, and the request is of %s", r.Event.Time, w.records[0].Event.Time)
				}
			}
		})
	})
}

// TestEraseInRounds: older conversations come up once newer ones are gone, and each is published once.
func TestEraseInRounds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(&erasure.Request{ID: "R-1", Account: "alice"})
		for i := range 250 {
			w.talks[c2c("alice", fmt.Sprint("b", i))] = time.Now().Add(-time.Duration(i) * time.Minute)
		}
		res, err := w.run(t.Context(), time.Hour)
		if err != nil || res.State != erasure.Verified || res.Rounds != 3 || len(res.Parts) != 250 || len(w.records) != 250 {
			t.Errorf("%s, %d rounds, %d parts, %d records, %v", res.State, res.Rounds, len(res.Parts), len(w.records), err)
		}
		if res, err = w.run(t.Context(), time.Hour); err != nil || res.State != erasure.Verified || res.Rounds != 0 || len(w.records) != 250 {
			t.Errorf("again: %s, %d rounds, %v", res.State, res.Rounds, err)
		}
	})
}

// TestEraseLeavesLaterMessagesAlone: a message after the request keeps its conversation, in this request. A new request deletes it.
func TestEraseLeavesLaterMessagesAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(&erasure.Request{ID: "R-1", Account: "alice", OtherSides: true})
		old := time.Now().Add(-time.Hour)
		w.talks[c2c("alice", "bob")], w.talks[c2c("bob", "alice")] = old, old
		w.message = func() {
			later := time.Now().Add(2 * time.Second)
			w.talks[c2c("alice", "carol")], w.talks[c2c("carol", "alice")] = later, later
			w.message = nil
		}
		res, err := w.run(t.Context(), time.Hour)
		if err != nil || res.State != erasure.Exceptions || len(res.Residue) != 1 || res.Residue[0].Conversation != c2c("alice", "carol") || len(w.records) != 2 {
			t.Errorf("%v, %+v", err, res.Ruling)
		}
		later := time.Now().Add(2 * time.Second) // bob writes again
		w.talks[c2c("alice", "bob")], w.talks[c2c("bob", "alice")] = later, later
		if res, err = w.run(t.Context(), time.Hour); err != nil || res.State != erasure.Exceptions || len(res.Residue) != 3 || len(w.records) != 2 {
			t.Errorf("%v, %+v", err, res.Ruling)
		}
		w.q = &erasure.Request{ID: "R-2", Account: "alice", OtherSides: true}
		if res, err = w.run(t.Context(), time.Hour); err != nil || res.State != erasure.Verified || len(w.talks) != 0 {
			t.Errorf("a new request: %v, %+v", err, res.Ruling)
		}
	})
}

// TestEraseIsNotHeldUpByAnothersList: an account whose list can't be read keeps nothing else from being deleted. Its own side is not deleted
// blindly, and nothing is verified before its list was read.
func TestEraseIsNotHeldUpByAnothersList(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(&erasure.Request{ID: "R-1", Account: "alice", OtherSides: true})
		for _, to := range []string{"bob", "carol"} {
			w.talks[c2c("alice", to)], w.talks[c2c(to, "alice")] = time.Now().Add(-time.Hour), time.Now().Add(-time.Hour)
		}
		w.failing["bob"] = true
		res, err := w.run(t.Context(), time.Minute)
		if err != nil || res.State != erasure.InProgress || len(w.talks) != 1 || len(w.records) != 3 || len(res.Doubts) != 1 {
			t.Errorf("%v, left %v, %+v", err, w.left(), res.Ruling)
		}
		w.failing["bob"] = false
		if res, err = w.run(t.Context(), time.Minute); err != nil || res.State != erasure.Verified || len(w.talks) != 0 || len(w.again) != 0 {
			t.Errorf("%v, left %v, %+v", err, w.left(), res.Ruling)
		}
	})
}

// TestEraseIsNotVerified: whatever keeps the lists from proving that everything is gone.
func TestEraseIsNotVerified(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		edit func(w *world)
		want erasure.State
	}{
		"the list can't be read":     {func(w *world) { w.failing["alice"] = true }, erasure.InProgress},
		"the list is never complete": {func(w *world) { w.doubts = 1 << 30 }, erasure.InProgress},
		"the service does not run":   {func(w *world) { w.stopped = true }, erasure.InProgress},
		"the API keeps what it has deleted": {func(w *world) {
			w.keeps[c2c("alice", "bob")] = true
		}, erasure.Exceptions},
		"the API refuses a delete": {func(w *world) { w.refused[c2c("alice", "bob")] = "permanent" }, erasure.Exceptions},
		"the account has nothing":  {func(w *world) { clear(w.talks) }, erasure.Exceptions},
		"there is no such account": {func(w *world) { w.gone["alice"] = true }, erasure.Exceptions},
		"an ID that no event can have": {func(w *world) {
			w.talks[c2c("alice", "0123456789012345678901234567890123456789")] = time.Now()
		}, erasure.Exceptions},
		"nothing of that": {func(*world) {}, erasure.Verified},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(&erasure.Request{ID: "R-1", Account: "alice"})
				w.talks[c2c("alice", "bob")] = time.Now().Add(-time.Hour)
				c.edit(w)
				res, err := w.runFor(t, time.Minute)
				if err != nil || res.State != c.want {
					t.Errorf("%v, %+v", err, res.Ruling)
				}
			})
		})
	}
}

// TestEraseLooksAgainAtExceptions: a part that was not deleted may be after all while the command waits for others: its event comes again, or its dead
// letter is replayed. A report that is final says what is so at its end.
func TestEraseLooksAgainAtExceptions(t *testing.T) {
	t.Parallel()
	bob, carol := c2c("alice", "bob"), c2c("alice", "carol")
	end := func(w *world, e *erasure.End) {
		for i := range w.records {
			if w.records[i].Event.Conversation == bob {
				w.records[i].End = e
			}
		}
	}
	succeeds := func(w *world) {
		delete(w.refused, bob)
		delete(w.talks, bob)
	}
	for name, c := range map[string]struct {
		meanwhile  func(w *world)
		want       erasure.State
		exceptions int
		waits      int
	}{
		"nothing happens": {func(*world) {}, erasure.Exceptions, 1, 2},
		"its event comes again and is deleted": {func(w *world) {
			succeeds(w)
			end(w, &erasure.End{Outcome: "deleted", Attempts: 1, Ended: time.Now(), Proven: true})
		}, erasure.Verified, 0, 2},
		"its replay succeeds": {func(w *world) {
			succeeds(w)
			end(w, nil)
		}, erasure.Verified, 0, 2},
		"it ends in another way": {func(w *world) {
			end(w, &erasure.End{Outcome: "discarded", Ended: time.Now(), Reason: "r"})
		}, erasure.Exceptions, 1, 3},
		"its replay goes on when the time is up": {func(w *world) {
			end(w, nil)
			w.stopped = true
		}, erasure.InProgress, 0, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(&erasure.Request{ID: "R-1", Account: "alice"})
				w.talks[bob], w.talks[carol] = time.Now().Add(-time.Hour), time.Now().Add(-time.Hour)
				w.refused[bob] = "permanent"
				w.awaited = func(n int) {
					if n == 1 {
						c.meanwhile(w)
					}
				}
				res, err := w.runFor(t, time.Minute)
				if err != nil || res.State != c.want || len(res.Exceptions) != c.exceptions || w.waits != c.waits || len(w.again) > 0 {
					t.Errorf("%d waits, %v, %+v", w.waits, err, res.Ruling)
				}
				if name == "it ends in another way" && res.Exceptions[0].End.Outcome != "discarded" {
					t.Errorf("%+v", res.Exceptions[0].End)
				}
			})
		})
	}
}

// TestEraseAsksForMoreLater: what a request asks for besides, once its first run has deleted conversations, is asked for of these too. Lists no
// longer show them.
func TestEraseAsksForMoreLater(t *testing.T) {
	t.Parallel()
	for name, more := range map[string]func(q *erasure.Request){
		"clear":            func(q *erasure.Request) { q.ClearRamble = true },
		"other sides":      func(q *erasure.Request) { q.OtherSides = true },
		"both":             func(q *erasure.Request) { q.ClearRamble, q.OtherSides = true, true },
		"clear, and fewer": func(q *erasure.Request) { q.ClearRamble, q.OtherSides = true, false },
	} {
		for first := range 2 {
			synctest.Test(t, func(t *testing.T) {
				q := &erasure.Request{ID: "R-1", Account: "alice", OtherSides: name == "clear, and fewer"}
				w := newWorld(q)
				bob, carol := c2c("alice", "bob"), c2c("alice", "carol")
				w.talks[bob] = time.Now().Add(-time.Hour)
				if res, err := w.run(t.Context(), time.Hour); err != nil || res.State != erasure.Verified {
					t.Fatalf("%s: %v, %+v", name, err, res.Ruling)
				}
				want := 1
				if first == 1 { // a conversation besides, of which the first run knew nothing
					w.talks[carol] = time.Now().Add(-time.Hour)
					want++
				}
				more(q)
				if q.OtherSides {
					want *= 2
				}
				res, err := w.run(t.Context(), time.Hour)
				if err != nil || res.State != erasure.Verified || len(res.Parts) < want {
					t.Errorf("%s: %v, %+v", name, err, res.Ruling)
				}
				asked := map[schema.Conversation]bool{}
				for _, rec := range w.records {
					asked[rec.Event.Conversation] = asked[rec.Event.Conversation] || rec.Event.ClearRamble || !q.ClearRamble
				}
				if !asked[bob] || first == 1 && !asked[carol] || q.OtherSides != asked[c2c("bob", "alice")] {
					t.Errorf("%s: %v", name, w.records)
				}
			})
		}
	}
}

// TestRuleTakesNoStrangersRecord: a record counts as a part only if it decodes to that conversation with that request and that part's ID.
func TestRuleTakesNoStrangersRecord(t *testing.T) {
	t.Parallel()
	q := &erasure.Request{ID: "R-1", Account: "alice", ClearRamble: true}
	bob := c2c("alice", "bob")
	now := time.Unix(1_790_000_000, 0)
	deleted := &erasure.End{Outcome: "deleted", Proven: true, Ended: now}
	part := func(edit func(e *schema.Event)) erasure.Record {
		e := schema.Event{Conversation: bob, ClearRamble: true, ID: schema.PartID("R-1", bob), Source: erasure.Source, ErasureID: "R-1"}
		edit(&e)
		return erasure.Record{ID: "t/0/1", Published: now, Event: e, End: deleted, Known: now}
	}
	for name, c := range map[string]struct {
		rec       erasure.Record
		counts    bool
		strangers int
	}{
		"a part":                 {part(func(*schema.Event) {}), true, 0},
		"another conversation":   {part(func(e *schema.Event) { e.To = "carol" }), false, 1},
		"the other side":         {part(func(e *schema.Event) { e.From, e.To = "bob", "alice" }), false, 1},
		"a group of that name":   {part(func(e *schema.Event) { e.Type = schema.G2C }), false, 1},
		"another request":        {part(func(e *schema.Event) { e.ErasureID = "R-2" }), false, 1},
		"another ID":             {part(func(e *schema.Event) { e.ID = "x" }), false, 1},
		"another account's part": {part(func(e *schema.Event) { e.Conversation = c2c("eve", "bob"); e.ID = schema.PartID("R-1", e.Conversation) }), false, 1},
		"it does not clear":      {part(func(e *schema.Event) { e.ClearRamble = false }), false, 0},
		"no outcome says so": {func() erasure.Record {
			r := part(func(*schema.Event) {})
			r.End = &erasure.End{Outcome: "deleted"}
			return r
		}(), true, 0},
	} {
		ev := &erasure.Evidence{Records: []erasure.Record{c.rec}, Lists: map[string]*erasure.Listing{
			"alice": {Began: now, Entries: []erasure.Entry{{Conversation: bob, LastMessage: now.Add(-time.Hour)}}},
		}}
		got := erasure.Rule(q, ev)
		if counts := len(got.Publish) == 0; counts != c.counts || got.Strangers != c.strangers {
			t.Errorf("%s: %+v", name, got)
		}
		ev.Lists["alice"].Entries = nil
		verified := erasure.Rule(q, ev).State == erasure.Verified
		if verified != (name == "a part") {
			t.Errorf("%s, with an empty list: %+v", name, erasure.Rule(q, ev))
		}
		ev.Lists["alice"].Began = now.Add(-time.Nanosecond)
		if got := erasure.Rule(q, ev); got.State == erasure.Verified {
			t.Errorf("%s, with a list from before the outcome: %+v", name, got)
		}
	}
}
