package sim

import (
	"fmt"
	"slices"
	"time"

	"convdel/imclient/imtest"
	"convdel/schema"
)

// listed returns what an account's lists show now, with the times of the last messages.
func (w *world) listed(account string) map[schema.Conversation]time.Time {
	shown := map[schema.Conversation]time.Time{}
	for i, c := range w.api.sim.Conversations(account) {
		if w.sc.listLimit > 0 && i >= w.sc.listLimit {
			break
		}
		shown[schema.Conversation{From: account, Type: schema.ConversationType(c.Type), To: c.To}] = c.MsgTime
	}
	return shown
}

// say has a message arrive in a conversation.
func (w *world) say(c schema.Conversation) {
	w.mu.Lock()
	w.said[c] = time.Now()
	w.mu.Unlock()
	w.api.sim.AddConversations(c.From, imtest.Conversation{Type: int(c.Type), To: c.To, MsgTime: time.Now()})
}

// saidSince returns true if a message has arrived in a conversation since a time.
func (w *world) saidSince(c schema.Conversation, at time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	last, ok := w.said[c]
	return ok && !last.Before(at)
}

// talk has messages arrive in conversations of accounts that are erased, each at its time.
func (w *world) talk() {
	var all []messageOf
	for _, v := range w.sc.leaving {
		all = append(all, v.messages...)
	}
	slices.SortStableFunc(all, func(a, b messageOf) int { return int(a.at - b.at) })
	for _, m := range all {
		time.Sleep(time.Until(w.began.Add(m.at)))
		w.say(m.Conversation)
	}
}

// interrupt has a message arrive between two pages of an account's list, or after the last: after every other page, in a conversation that
// is there, or in a new one.
func (w *world) interrupt(account string) {
	for _, v := range w.sc.leaving {
		if v.request.Account != account || v.restless == 0 || len(v.has) == 0 {
			continue
		}
		v.course.mu.Lock()
		v.course.pages++
		n := v.course.pages
		goes := len(v.course.runs) > 0 && n%2 == 0 && n <= 2*v.restless
		v.course.mu.Unlock()
		switch {
		case !goes:
		case n%4 == 0:
			w.say(v.has[n%len(v.has)].own(account))
		default:
			w.say(schema.Conversation{From: account, Type: schema.C2C, To: fmt.Sprintf("%snew-%s-%d", mate, v.request.ID, n)})
		}
	}
}

// own returns the account's side of a conversation.
func (e entryOf) own(account string) schema.Conversation {
	if e.From == account {
		return e.Conversation
	}
	return schema.Conversation{From: account, Type: e.Type, To: e.From}
}
