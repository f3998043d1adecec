package sim

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"convdel/imclient/imtest"
	"convdel/schema"
)

const (
	// listServes is for how long a list serves an account's events: a message that comes when it was read is not seen.
	listServes = 10 * time.Second
	// telling is how long before an event is published its conversation must have had a message for every list to show that.
	telling = listServes + time.Second
)

func checked(sc *scenario) bool { return sc.revivedCheck > 0 }

// drawOld adds events that are so old that their accounts' lists must permit them: a few accounts with some conversations each. Some of
// the conversations have had a message since, some get one about when the event comes, some get none.
func drawOld(sc *scenario) {
	if !checked(sc) {
		return
	}
	d := &drawer{Rand: rngOf(sc, 7), sc: sc}
	for a := range 3 + d.IntN(10) {
		for c := range 1 + d.IntN(6) {
			e := &planned{
				id: fmt.Sprintf("old-%d-%d", a, c), at: d.between(0, sc.length), alone: true, old: true, clearRamble: d.chance(0.5),
				age: sc.revivedCheck + d.between(time.Minute, time.Hour),
			}
			e.Conversation = schema.Conversation{From: fmt.Sprintf("aged-%d", a), Type: schema.C2C, To: "friend-" + strconv.Itoa(c)}
			switch p := d.Float64(); {
			case p < 0.35:
			case p < 0.55: // before the day, or soon after its beginning
				e.fate, e.speaks, e.message = revived, true, d.between(e.at-e.age+2*time.Second, min(0, e.at-telling))
			case p < 0.75: // when the account's list may have been read already
				e.fate, e.speaks, e.message = revived, true, d.between(e.at-time.Minute, e.at-telling)
			default: // any end is right
				e.speaks, e.message = true, d.between(e.at-telling, e.at+90*time.Second)
			}
			d.wrap(e)
			sc.events = append(sc.events, e)
		}
	}
}

// seedConversations gives the accounts of old events the conversations that they have when the day begins.
func (w *world) seedConversations() {
	for _, e := range w.sc.events {
		if !e.old {
			continue
		}
		last := w.began.Add(e.at - e.age - time.Minute)
		if e.speaks && e.message <= 0 {
			last = w.began.Add(e.message)
		}
		w.api.sim.AddConversations(e.From, imtest.Conversation{Type: int(e.Type), To: e.To, MsgTime: last})
	}
}

// speak has messages arrive in the conversations of old events, each at its time.
func (w *world) speak() {
	var speaking []*planned
	for _, e := range w.sc.events {
		if e.speaks && e.message > 0 {
			speaking = append(speaking, e)
		}
	}
	slices.SortFunc(speaking, func(a, b *planned) int { return int(a.message - b.message) })
	for _, e := range speaking {
		time.Sleep(time.Until(w.began.Add(e.message)))
		w.api.sim.AddConversations(e.From, imtest.Conversation{Type: int(e.Type), To: e.To, MsgTime: time.Now()})
	}
}

// listMakers are acts in which accounts' lists can't be read, while deletes go on; and an operator who replays what was kept.
func listMakers() []maker {
	lists := func(d *drawer, f imtest.Fault, detail string, most time.Duration) *act {
		f.API = imtest.APIGetList
		return scripted(d, f, detail, most)
	}
	return []maker{
		{name: "lists fail", fits: checked, draw: func(d *drawer) *act {
			o := pick(d.Rand, outages)
			return lists(d, o.fault, o.name, 3*time.Minute)
		}},
		{name: "some lists fail", fits: checked, draw: func(d *drawer) *act {
			o := pick(d.Rand, outages)
			o.fault.Share = 0.1 + 0.7*d.Float64()
			return lists(d, o.fault, fmt.Sprintf("%s, %.0f %%", o.name, 100*o.fault.Share), 2*time.Minute)
		}},
		{name: "lists refused", fits: checked, draw: func(d *drawer) *act {
			code := pick(d.Rand, []int{50003, 60007, 60020, 70009})
			return lists(d, imtest.Fault{Code: code}, strconv.Itoa(code), 2*time.Minute)
		}},
		{name: "operator replays all letters", fits: checked, draw: func(*drawer) *act {
			return &act{begin: func(w *world) { w.replay(order{all: true}) }}
		}},
	}
}

// judgeRevived checks that no call is made for a conversation that has had a message since, as far as a list could show it; and the pace
// of lists.
func (l *ledger) judgeRevived() {
	for _, e := range l.entries {
		if !e.speaks {
			continue
		}
		unseen := l.w.began.Add(e.message + listServes + l.w.sc.callTimeout)
		for _, c := range l.calls[e.Conversation] {
			if e.fate == revived || c.at.After(unseen) {
				l.w.fail("revived", "at %s replica %s deletes %v, which has had a message at %s: %s",
					l.w.clock(c.at), c.by, c.Conversation, e.message, l.describe(e))
			}
		}
	}
	from := 0
	lists := l.w.api.lists
	for i, c := range lists {
		for c.at.Sub(lists[from].at) > time.Second {
			from++
		}
		if n := i - from + 1; n > l.w.sc.quota {
			l.w.fail("quota", "%d calls for lists in the second up to %s", n, l.w.clock(c.at))
		}
		if !slices.ContainsFunc(l.w.sc.events, func(e *planned) bool { return e.old && e.From == c.From }) {
			l.w.fail("unasked", "at %s replica %s reads the list of %s, which no event needs", l.w.clock(c.at), c.by, c.From)
		}
	}
}

// wronglyKept says why an old event should have been executed; empty if it is rightly a dead letter.
func (l *ledger) wronglyKept(e *entry, d schema.DeadLetter, written time.Time) string {
	switch {
	case d.Class == schema.ClassExhausted && d.Attempts != l.w.sc.maxAttempts:
		return "attempts are left"
	case d.Class == schema.ClassExhausted:
		return ""
	case !e.speaks || l.w.began.Add(e.message).After(written):
		return "there was no message since"
	}
	return ""
}

// listsFailed returns true if a dead letter says that it was given up for lists of its account, and some have failed while others'
// succeeded, or may have lacked the conversation.
func (l *ledger) listsFailed(e *entry, d schema.DeadLetter) bool {
	if d.Class != schema.ClassExhausted {
		return false
	}
	failed, doubted, witness := false, strings.Contains(d.Error, "it may lack the conversation"), false
	for _, c := range l.w.api.lists {
		failed = failed || c.From == e.From && !c.ok
		witness = witness || c.From != e.From && c.ok && !c.at.Before(d.FirstAttempt)
	}
	return (failed || doubted) && witness
}

// asked are the calls for a record: for its conversation, and for the list that it needs.
func (l *ledger) asked(e *entry) []*call {
	all := slices.Clone(l.calls[e.Conversation])
	for _, c := range l.w.api.lists {
		if e.old && c.From == e.From {
			all = append(all, c)
		}
	}
	return all
}
