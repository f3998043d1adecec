package erasure

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"convdel/schema"
)

// State is how far a request is.
type State string

// These are all states.
const (
	// Planned means that nothing has been done.
	Planned State = "planned"
	// InProgress means that something is still to be published, to end, or to be read.
	InProgress State = "in_progress"
	// Verified means that all parts were deleted, and that the API's own lists, complete and read after that, show nothing of what was asked.
	Verified State = "verified"
	// Exceptions means that nothing more can be done in this request, and that not everything is gone.
	Exceptions State = "exceptions"
)

// Part is a conversation that the request deletes.
type Part struct {
	Conversation schema.Conversation
	EventID      string
	// Record is the ID of the record whose end counts. Gone says that the topic no longer has it.
	Record string
	Gone   bool
	// End is nil as long as one of the part's records has not ended.
	End *End
	// Listed says that a list still shows the conversation.
	Listed bool
}

// Residue is a conversation that a list shows and that the request does not delete, or has deleted already.
type Residue struct {
	Conversation schema.Conversation
	LastMessage  time.Time
	Reason       string
	// lingers says that it was deleted and has had no message since: another look may show that it is gone.
	lingers bool
}

// These are the reasons of residue.
const (
	reasonRevived = "it has had a message after the request: a new request deletes it"
	reasonLingers = "it was deleted, has had no message since, and is still listed"
)

// Ruling is what the evidence amounts to.
type Ruling struct {
	State State
	// Requested is the time of the request's earliest event; zero if it has none.
	Requested time.Time
	Parts     []Part
	// Publish are the conversations of which a part is to be published now. Need are the accounts whose lists have to be read first.
	Publish []schema.Conversation
	Need    []string
	// Pending are the IDs of records that have not ended.
	Pending []string
	// Exceptions are parts that have ended otherwise than deleted.
	Exceptions []Part
	Residue    []Residue
	// Doubts say why the lists prove nothing yet. Failures are reasons for which they never will.
	Doubts, Failures []string
	// Strangers counts records that bear the request's ID and are no parts of it.
	Strangers int

	lingering bool
}

// ruling is a ruling in the making.
type ruling struct {
	Ruling

	q       *Request
	ev      *Evidence
	byPart  map[string][]*Record
	seen    map[schema.Conversation]bool
	learned time.Time
	// others are the other accounts whose lists have to prove something: they have parts, or nobody knows yet whether they need one.
	others map[string]bool
}

// Rule weighs the evidence about a request.
func Rule(q *Request, ev *Evidence) Ruling {
	r := &ruling{q: q, ev: ev, byPart: make(map[string][]*Record), seen: make(map[schema.Conversation]bool), others: make(map[string]bool)}
	targets := r.takeRecords()
	if own := r.list(q.Account); own != nil {
		for _, e := range own.Entries {
			targets = append(targets, e.Conversation)
		}
	}
	for _, c := range append(targets, q.Also...) {
		if published := r.weigh(c); published && q.OtherSides && c.Type == schema.C2C && c.From == q.Account {
			r.weighOther(otherSide(c))
		}
	}
	r.checkLists()
	r.State = r.state()
	return r.Ruling
}

// takeRecords sorts the records by part, and returns their conversations. A conversation whose parts ask for too little is the request's
// still: lists may no longer show it.
func (r *ruling) takeRecords() []schema.Conversation {
	var targets []schema.Conversation
	for i := range r.ev.Records {
		rec := &r.ev.Records[i]
		if !r.q.IsPart(&rec.Event) {
			r.Strangers++
			continue
		}
		if at := schema.EventTime(rec.Event, nil, rec.Published); r.Requested.IsZero() || at.Before(r.Requested) {
			r.Requested = at // that of a part that asks for too little, too: it is the same request
		}
		if r.q.counts(&rec.Event) {
			r.byPart[rec.Event.ID] = append(r.byPart[rec.Event.ID], rec)
		} else if rec.Event.From != r.q.Account {
			continue // the other side follows from the account's own conversation, if it is asked for
		}
		targets = append(targets, rec.Event.Conversation)
	}
	return targets
}

func (r *ruling) list(account string) *Listing { return r.ev.Lists[account] }

// weigh judges a conversation. It returns true if the request deletes it, or is to.
func (r *ruling) weigh(c schema.Conversation) bool {
	if r.seen[c] {
		return false
	}
	r.seen[c] = true
	var shown *Entry
	list := r.list(c.From)
	if list != nil {
		shown = list.entry(c)
	}
	if records := r.byPart[schema.PartID(r.q.ID, c)]; len(records) > 0 {
		r.takePart(c, records, shown)
		return true
	}
	if list != nil && list.Failed && shown == nil {
		r.others[c.From] = true // it may have had a message: another look will tell
		return false
	}
	reason := ""
	if err := (schema.Event{Conversation: c}).Validate(); err != nil {
		reason = fmt.Sprintf("no event can name it: %v", err)
	} else if shown != nil && r.after(shown) {
		reason = reasonRevived
	}
	if reason == "" {
		r.Publish = append(r.Publish, c)
		return true
	}
	left := Residue{Conversation: c, Reason: reason}
	if shown != nil {
		left.LastMessage = shown.LastMessage
	}
	r.Residue = append(r.Residue, left)
	return false
}

// weighOther judges the entry that the other account keeps. Its list has to be read before, since it may show a later message.
func (r *ruling) weighOther(c schema.Conversation) {
	list := r.list(c.From)
	switch {
	case len(r.byPart[schema.PartID(r.q.ID, c)]) > 0:
		r.weigh(c)
	case r.seen[c]:
	case list == nil:
		r.seen[c] = true
		r.Need = append(r.Need, c.From)
	case list.NoAccount != "":
		r.seen[c] = true // an account that is gone keeps no entry
	default:
		r.weigh(c)
	}
}

// after says whether a conversation has had a message after the request. A message of the same second may be older, and counts as older.
func (r *ruling) after(e *Entry) bool {
	return !r.Requested.IsZero() && e.LastMessage.Unix() > r.Requested.Unix()
}

// takePart judges a conversation of which there are parts. A part that was published twice has ended once both have.
func (r *ruling) takePart(c schema.Conversation, records []*Record, shown *Entry) {
	last := records[0]
	pending := false
	for _, rec := range records {
		if rec.End == nil {
			r.Pending = append(r.Pending, rec.ID)
			last, pending = rec, true
			continue
		}
		if rec.Known.After(r.learned) {
			r.learned = rec.Known
		}
		if !pending && (!last.End.deleted() || rec.End.deleted()) {
			last = rec
		}
	}
	part := Part{Conversation: c, EventID: last.Event.ID, Record: last.ID, Gone: last.Gone, End: last.End, Listed: shown != nil}
	r.Parts = append(r.Parts, part)
	switch {
	case pending:
	case !part.End.deleted():
		r.Exceptions = append(r.Exceptions, part)
	case shown != nil && r.after(shown):
		r.Residue = append(r.Residue, Residue{Conversation: c, LastMessage: shown.LastMessage, Reason: reasonRevived})
	case shown != nil:
		r.Residue = append(r.Residue, Residue{Conversation: c, LastMessage: shown.LastMessage, Reason: reasonLingers, lingers: true})
	}
}

// checkLists says why the lists do not prove that everything is gone.
func (r *ruling) checkLists() {
	r.checkList(r.q.Account)
	if !r.q.OtherSides {
		return
	}
	for _, p := range r.Parts {
		r.others[p.Conversation.From] = true
	}
	delete(r.others, r.q.Account)
	for _, other := range slices.Sorted(maps.Keys(r.others)) {
		r.checkList(other)
	}
}

func (r *ruling) checkList(account string) {
	list, whose := r.list(account), "the account's list"
	if account != r.q.Account {
		whose = "the list of " + account
	}
	switch {
	case list == nil:
		r.Doubts = append(r.Doubts, whose+" was not read")
	case list.NoAccount != "" && account == r.q.Account:
		r.Failures = append(r.Failures, whose+" can't be read: "+list.NoAccount)
	case list.NoAccount != "":
	case list.Doubt != "":
		r.Doubts = append(r.Doubts, whose+" is not complete: "+list.Doubt)
	case list.Began.Before(r.learned):
		r.Doubts = append(r.Doubts, whose+" was not read after the last outcome")
	}
}

// state says how far the request is.
func (r *ruling) state() State {
	if len(r.Publish)+len(r.Need)+len(r.Pending)+len(r.Doubts) > 0 {
		return InProgress
	}
	if len(r.Parts)+len(r.Residue) == 0 {
		r.Failures = append(r.Failures, "nothing was ever found for this account: is its name right?")
	}
	for _, left := range r.Residue {
		r.lingering = r.lingering || left.lingers
	}
	if len(r.Exceptions)+len(r.Residue)+len(r.Failures) > 0 {
		return Exceptions
	}
	return Verified
}
