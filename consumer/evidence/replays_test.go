package evidence_test

import (
	"slices"
	"testing"
	"time"

	"convdel/consumer/evidence"
	"convdel/schema"
)

// replayed lays out an event whose dead letter was replayed by alice, and returns the IDs of both records.
func (d *desk) replayed(e schema.Event, outcomes bool) (id, again string) {
	d.t.Helper()
	r := source(d.t, e)
	id = d.put(0, r)
	l := dead(id, schema.ClassExhausted)
	d.bury(l, r)
	if outcomes {
		d.end(id, schema.OutcomeExhausted, &e)
	}
	time.Sleep(time.Minute)
	again = d.replay(2, l, r)
	if outcomes {
		d.end(id, schema.OutcomeReplayed, &e, func(o *schema.Outcome) { o.By = "operator" })
	}
	d.settle(id, "operator", "")
	return id, again
}

func replayOf(id string) func(*schema.Outcome) { return func(o *schema.Outcome) { o.ReplayOf = id } }

// TestAReplayIsFollowed: an event that was replayed ends as its replay does, with outcomes and without, and is one row.
func TestAReplayIsFollowed(t *testing.T) {
	t.Parallel()
	for name, outcomes := range map[string]bool{"outcomes": true, "offsets": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			atDesk(t, func(d *desk) {
				e := asks("alice", "bob")
				id, again := d.replayed(e, outcomes)
				d.commit(0, 1)
				r := d.reader()
				if !outcomes {
					r = d.reader(withoutOutcomes)
				}
				if got := d.one(r, id); got.Ruling.Final() || got.Ruling.Record != again {
					t.Fatalf("before the replay has ended: %+v", got.Ruling)
				}
				d.commit(2, 1)
				if outcomes {
					d.end(again, schema.OutcomeDeleted, &e, replayOf(id))
				}
				for _, q := range []evidence.Query{{Records: []string{id}}, {Account: "alice"}, {EventID: e.ID}} {
					events, _ := d.find(r, q)
					if len(events) != 1 || events[0].ID != id {
						t.Fatalf("%+v: %v", q, idsOf(events))
					}
					got := events[0].Ruling
					if !got.Deleted() || got.Record != again || got.By != "operator" || got.Proven != outcomes {
						t.Errorf("%+v: ruling %+v", q, got)
					}
				}
			})
		})
	}
}

// TestAReplayThatFailsAgain: the chain is followed to its end, and a discard is that end.
func TestAReplayThatFailsAgain(t *testing.T) {
	t.Parallel()
	atDesk(t, func(d *desk) {
		e := asks("alice", "bob")
		id, again := d.replayed(e, true)
		d.end(again, schema.OutcomePermanent, &e, replayOf(id), func(o *schema.Outcome) { o.Code = 50002 })
		if got := d.one(d.reader(), id).Ruling; got.How != "permanent" || got.Code != 50002 || got.Record != again {
			t.Errorf("failed again: %+v", got)
		}
		time.Sleep(time.Second)
		d.end(again, schema.OutcomeDiscarded, &e, func(o *schema.Outcome) { o.By, o.Reason = "bob", "account is gone" })
		if got := d.one(d.reader(), id).Ruling; got.How != "discarded" || got.By != "bob" || got.Reason != "account is gone" {
			t.Errorf("discarded: %+v", got)
		}
	})
}

// TestAReplayWhoseRecordIsGone: its outcome alone names it.
func TestAReplayWhoseRecordIsGone(t *testing.T) {
	t.Parallel()
	atDesk(t, func(d *desk) {
		e := asks("alice", "bob")
		id, again := d.replayed(e, true)
		d.end(again, schema.OutcomeDeleted, &e, replayOf(id))
		d.trim(2, 1)
		if got := d.one(d.reader(), id).Ruling; !got.Deleted() || got.Record != again {
			t.Errorf("ruling %+v", got)
		}
	})
}

// TestAForgedReplay: a stranger's record that claims to replay an event says nothing about it, if it asks for something else.
func TestAForgedReplay(t *testing.T) {
	t.Parallel()
	atDesk(t, func(d *desk) {
		e, stranger := asks("alice", "bob"), asks("mallory", "bob")
		id, again := d.replayed(e, true)
		l := dead(id, schema.ClassExhausted)
		forged := d.replay(1, l, source(t, stranger))
		less := e
		less.ClearRamble = false
		half := d.replay(1, l, source(t, less))
		d.end(forged, schema.OutcomeDeleted, &stranger, replayOf(id))
		d.end(half, schema.OutcomeDeleted, &less, replayOf(id))
		if got := d.one(d.reader(), id); got.Ruling.Final() || len(got.Replays) != 1 || got.Replays[0].ID != again {
			t.Errorf("%+v, replays %v", got.Ruling, idsOf(got.Replays))
		}
		events, _ := d.find(d.reader(), evidence.Query{Account: "mallory"})
		if got := idsOf(events); !slices.Equal(got, []string{forged}) || !events[0].Ruling.Deleted() {
			t.Errorf("the stranger's own: %v", got)
		}
	})
}

// TestAnInterruptedReplay: the record was published, and the dead letter is still open. The new dead letter replaces the old one.
func TestAnInterruptedReplay(t *testing.T) {
	t.Parallel()
	atDesk(t, func(d *desk) {
		e := asks("alice", "bob")
		r := source(t, e)
		id := d.put(0, r)
		l := dead(id, schema.ClassExhausted)
		d.bury(l, r)
		again := d.replay(2, l, r)
		next := dead(again, schema.ClassPermanent)
		next.ReplayOf, next.Replays, next.Timestamp = id, 1, l.Timestamp
		d.bury(next, r)
		d.commit(0, 1)
		d.commit(2, 1)
		if got := d.one(d.reader(withoutOutcomes), id); got.Ruling.How != "permanent" || got.Ruling.Record != again {
			t.Errorf("%+v", got.Ruling)
		}
	})
}

// TestAForgedReplayOfWhatHasNotEnded: a replay comes after the event's dead letter. So a record that claims to replay an event that is still
// to be executed, and asks for the same, ends nothing, however it has ended itself. Nor does one that was deleted before the event became a dead letter.
func TestAForgedReplayOfWhatHasNotEnded(t *testing.T) {
	t.Parallel()
	for name, outcomes := range map[string]bool{"outcomes": true, "offsets": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			atDesk(t, func(d *desk) {
				e := asks("alice", "bob")
				victim := schema.DeadLetter{Topic: topic}
				victim.Class = schema.ClassExhausted
				forged := d.replay(2, victim, source(t, e)) // it names a record that is not there yet
				if outcomes {
					d.end(forged, schema.OutcomeDeleted, &e, replayOf(victim.ID()))
				}
				d.commit(2, 1)
				time.Sleep(time.Minute)
				id := d.publish(0, e)
				d.commit(0, 0)
				r := d.reader()
				if !outcomes {
					r = d.reader(withoutOutcomes)
				}
				check := func(how evidence.How) {
					t.Helper()
					for _, q := range []evidence.Query{{Records: []string{id}}, {Records: []string{id, forged}}, {EventID: e.ID}} {
						events, _ := d.find(r, q)
						if !slices.ContainsFunc(events, func(got *evidence.Event) bool { return got.ID == id && got.Ruling.How == how }) {
							t.Errorf("%+v: want %s of %s: %+v", q, how, id, events[0].Ruling)
						}
					}
				}
				check("")
				d.bury(dead(id, schema.ClassExhausted), source(t, e))
				if outcomes {
					d.end(id, schema.OutcomeExhausted, &e)
				}
				d.commit(0, 1)
				check("exhausted")
			})
		})
	}
}
