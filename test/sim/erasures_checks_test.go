package sim

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"convdel/internal/erasure"
	"convdel/internal/testkit"
	"convdel/schema"
)

// planPart makes an entry's plan of a record that an erasure has published; nil if it is none.
func (l *ledger) planPart(r *kgo.Record) *planned {
	event, err := schema.Decode(r.Value, testkit.Headers(r))
	if err != nil || event.Source != erasure.Source || l.leaving(event.ErasureID) == nil {
		return nil
	}
	return &planned{
		id: "part " + event.ID, eventID: event.ID, erasureID: event.ErasureID, source: event.Source, named: true, key: r.Key, value: r.Value, header: ownHeaders(r),
		Conversation: event.Conversation, clearRamble: event.ClearRamble,
	}
}

// leaving returns the erasure of a request; nil if there is none.
func (l *ledger) leaving(request string) *leaving {
	for _, v := range l.w.sc.leaving {
		if v.request.ID == request {
			return v
		}
	}
	return nil
}

// concerns returns true if a request may delete a conversation.
func (v *leaving) concerns(c schema.Conversation) bool {
	return c.From == v.request.Account || v.request.OtherSides && c.Type == schema.C2C && c.To == v.request.Account
}

// forbids returns true if the API refuses deletes of an account that is erased, for some time at least, or does not know the account.
func (w *world) forbids(account string, code int) bool {
	return code == 50001 && strings.HasPrefix(account, deserted) || slices.ContainsFunc(w.sc.leaving, func(v *leaving) bool { return v.request.Account == account && v.refused == code })
}

// judgePublished checks parts that a run is about to publish.
func (c *watched) judgePublished(events []schema.Event) {
	w, v := c.w, c.run.v
	if c.plans {
		w.fail("erased", "%s only plans, and publishes %d parts", c.run.name, len(events))
	}
	for _, e := range events {
		list, read := c.lists[e.From]
		switch last := list.entries[e.Conversation]; {
		case !v.concerns(e.Conversation):
			w.fail("erased", "%s publishes %v, which the request does not concern", c.run.name, e.Conversation)
		case !read:
			w.fail("erased", "%s publishes %v without the list of its account", c.run.name, e.Conversation)
		case last.Unix() > e.Time.Unix():
			w.fail("erased", "%s publishes %v, which has had a message at %s, after the request of %s", c.run.name, e.Conversation, w.clock(last), w.clock(e.Time))
		}
		if e.ErasureID != v.request.ID || e.ClearRamble != v.request.ClearRamble {
			w.fail("erased", "%s publishes %+v, which is no part of it", c.run.name, e)
		}
	}
}

// judgeEnd checks what a run that has just ended says of the API's lists.
func (w *world) judgeEnd(c *watched) {
	r := c.run
	account := r.v.request.Account
	if r.state == erasure.Verified {
		for conversation := range w.entriesOf(account) {
			if !w.saidSince(conversation, c.lists[account].at) {
				w.fail("erased", "%s is verified, and the API still has %v", r.name, conversation)
			}
		}
		r.left = w.othersLeft(c)
	}
	if r.state != erasure.Exceptions {
		return // what it leaves is what the last list has shown, which may be old
	}
	for _, left := range r.result.Residue {
		from := c.lists[left.Conversation.From]
		revived := !r.result.Requested.IsZero() && from.entries[left.Conversation].Unix() > r.result.Requested.Unix()
		if !revived && !w.saidSince(left.Conversation, r.v.course.runs[0].began) {
			w.fail("erased", "%s leaves %v (%s), which has had no message since", r.name, left.Conversation, left.Reason)
		}
	}
}

// entriesOf returns all entries of an account, those that lists do not show too.
func (w *world) entriesOf(account string) map[schema.Conversation]time.Time {
	all := map[schema.Conversation]time.Time{}
	for _, c := range w.api.sim.Conversations(account) {
		all[schema.Conversation{From: account, Type: schema.ConversationType(c.Type), To: c.To}] = c.MsgTime
	}
	return all
}

// othersLeft returns the other sides that are there, and have had no message since their account's list was read.
func (w *world) othersLeft(c *watched) map[schema.Conversation]bool {
	left := map[schema.Conversation]bool{}
	for _, e := range c.run.v.has {
		other := schema.Conversation{From: e.From, Type: schema.C2C, To: c.run.v.request.Account}
		if e.From == other.To {
			other.From = e.To
		}
		if _, there := w.entriesOf(other.From)[other]; there && !w.saidSince(other, c.lists[other.From].at) {
			left[other] = true
		}
	}
	return left
}

// judgeErasures checks what erasures have published and said against what the topics have.
func (l *ledger) judgeErasures() {
	for _, v := range l.w.sc.leaving {
		parts := map[schema.Conversation][]*entry{}
		for _, e := range l.entries {
			if e.named && e.erasure() == v.request.ID && v.concerns(e.Conversation) && e.event() == schema.PartID(v.request.ID, e.Conversation) {
				parts[e.Conversation] = append(parts[e.Conversation], e)
			}
		}
		l.judgeIDs(v)
		for _, r := range v.course.runs {
			l.judgeAgain(r, parts)
			switch r.state {
			case erasure.Verified:
				l.judgeVerified(r, parts)
			case erasure.Exceptions:
				l.judgeExceptions(r, parts)
			case erasure.Planned, erasure.InProgress:
			}
		}
		l.judgeBystanders(v)
	}
	for _, c := range l.w.api.took() {
		if strings.HasPrefix(c.by, eraser) {
			l.w.fail("unasked", "at %s %s itself deletes %v", l.w.clock(c.at), c.by, c.Conversation)
		}
	}
}

// judgeIDs checks that the parts of a conversation have one ID, and those of different ones different IDs.
func (l *ledger) judgeIDs(v *leaving) {
	ids, of := map[schema.Conversation]string{}, map[string]schema.Conversation{}
	for _, r := range v.course.runs {
		for _, p := range r.published {
			if id, ok := ids[p.Conversation]; ok && id != p.ID {
				l.w.fail("erased", "%s: %v has the parts %s and %s", r.name, p.Conversation, id, p.ID)
			}
			if c, ok := of[p.ID]; ok && c != p.Conversation {
				l.w.fail("erased", "%s: %v and %v are the same part", r.name, p.Conversation, c)
			}
			ids[p.Conversation], of[p.ID] = p.ID, p.Conversation
		}
	}
}

// forgotten returns true if the record of a part may be gone, and its outcomes do not say which conversation it was.
func (l *ledger) forgotten(e *entry) bool {
	return !e.removed.IsZero() && !l.w.sc.accounts
}

// judgeAgain checks that a run publishes no part twice, none that had ended before the run began, and none whose record was there to be read.
func (l *ledger) judgeAgain(r *run, parts map[schema.Conversation][]*entry) {
	before := map[schema.Conversation]bool{}
	for _, p := range r.published {
		if before[p.Conversation] {
			l.w.fail("erased", "at %s %s publishes %v for the second time", l.w.clock(p.at), r.name, p.Conversation)
		}
		before[p.Conversation] = true
		for _, e := range parts[p.Conversation] {
			if l.forgotten(e) {
				continue
			}
			if _, ended := l.endedBy(e, r.began); ended {
				l.w.fail("erased", "at %s %s publishes %v again, which had an outcome when it began: %s", l.w.clock(p.at), r.name, p.Conversation, l.describe(e))
			} else if e.removed.IsZero() && !l.w.sc.transactions && e.r.Timestamp.Before(r.began.Add(-time.Second)) {
				l.w.fail("erased", "at %s %s publishes %v again, which was on the topic when it began: %s", l.w.clock(p.at), r.name, p.Conversation, l.describe(e))
			}
		}
	}
}

// endedBy returns whether outcomes say by a time that a record has ended, and whether it was deleted.
func (l *ledger) endedBy(e *entry, at time.Time) (deleted, ended bool) {
	for _, o := range l.outcomes[e.id] {
		if !o.written.After(at) {
			ended = true
			deleted = deleted || o.Kind == schema.OutcomeDeleted
		}
	}
	return deleted, ended
}

// judgeVerified checks that each part of a verified request has an outcome that says that it was deleted.
func (l *ledger) judgeVerified(r *run, parts map[schema.Conversation][]*entry) {
	count := 0
	for c, records := range parts {
		known, done := false, false
		for _, e := range records {
			deleted, _ := l.endedBy(e, r.ended)
			known, done = known || e.r.Timestamp.Before(r.began), done || deleted
		}
		other := schema.Conversation{From: c.To, Type: c.Type, To: c.From}
		switch {
		case !known && !done: // a stranger's, or one that was published since
		case !done:
			l.w.fail("erased", "%s is verified, and no outcome says that %v was deleted: %s", r.name, c, l.describe(records[0]))
		default:
			count++
			if r.v.request.OtherSides && r.left[other] {
				l.w.fail("erased", "%s is verified, and the API still has the other side of %v", r.name, c)
			}
		}
	}
	if count == 0 {
		l.w.fail("erased", "%s is verified, and nothing was deleted", r.name)
	}
}

// deletedInSight returns true if a run had to see an outcome that says that a record was deleted: it was there when the run began, or was
// acknowledged before the run's last look.
func (l *ledger) deletedInSight(e *entry, r *run) bool {
	if deleted, _ := l.endedBy(e, r.began); deleted && !l.forgotten(e) {
		return true
	}
	acked, ok := l.w.tap.ackedAs[e.id+":"+string(schema.OutcomeDeleted)]
	return ok && !acked.After(r.looked) && e.removed.IsZero()
}

// endedOtherwise returns true if an outcome says by a time that a record has ended without a delete. A dead letter alone does not say so: the
// event has not ended, and comes again if its replica dies.
func (l *ledger) endedOtherwise(e *entry, at time.Time) bool {
	return slices.ContainsFunc(l.outcomes[e.id], func(o told) bool { return o.Kind != schema.OutcomeDeleted && !o.written.After(at) })
}

// judgeExceptions checks that a request that is not verified has a reason, and that its exceptions are some. What is recorded between a run's last
// look and its end the run can't know.
func (l *ledger) judgeExceptions(r *run, parts map[schema.Conversation][]*entry) {
	for _, x := range r.result.Exceptions {
		for _, e := range parts[x.Conversation] {
			if l.deletedInSight(e, r) {
				l.w.fail("erased", "%s has the exception %v, %s, which was deleted: %s", r.name, x.Conversation, x.End.Outcome, l.describe(e))
			}
		}
		if !slices.ContainsFunc(parts[x.Conversation], func(e *entry) bool { return l.endedOtherwise(e, r.ended) || !e.removed.IsZero() }) {
			l.w.fail("erased", "%s has the exception %v, %s, and nothing says so", r.name, x.Conversation, x.End.Outcome)
		}
	}
	if len(r.result.Exceptions)+len(r.result.Residue) == 0 && slices.ContainsFunc(slices.Concat(slices.Collect(maps.Values(parts))...), func(e *entry) bool {
		_, ended := l.endedBy(e, r.began)
		return ended && !l.forgotten(e)
	}) {
		l.w.fail("erased", "%s has no exception, leaves nothing, and is not verified: %v", r.name, r.result.Failures)
	}
}

// judgeBystanders checks that conversations of others are still there, other sides too unless they were asked for.
func (l *ledger) judgeBystanders(v *leaving) {
	for _, e := range v.has {
		if e.From == v.request.Account || v.concerns(e.Conversation) || l.calls[e.Conversation] == nil {
			continue
		}
		if !slices.ContainsFunc(l.entries, func(other *entry) bool { return other.Conversation == e.Conversation }) {
			l.w.fail("unasked", "%v was called for, and %s does not ask for it", e.Conversation, v.request.ID)
		}
	}
}
