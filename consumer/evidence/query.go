package evidence

import (
	"time"

	"convdel/consumer/mention"
	"convdel/schema"
)

// Query says which events are looked for. All fields that are set must match. A record that is no event matches where it holds
// what is looked for anywhere, see package mention.
type Query struct {
	// Records are IDs. The other fields have no effect beside them.
	Records []string
	// EventID and ErasureID match those of the event.
	EventID, ErasureID string
	// Account matches either side of the conversation.
	Account string
	// Conversation matches it. Only the partition of [schema.Conversation.Key] is read, as long as that holds any, since publishers
	// put a conversation there. EveryPartition reads all of them: a publisher may use other keys.
	Conversation   *schema.Conversation
	EveryPartition bool
	// Since leaves out records with an earlier time.
	Since time.Time
}

// verdict is what a query says of a record.
type verdict int

const (
	unmatched verdict = iota
	matched
	// unjudged means that the record is no event, and nobody can tell whether it concerns what is looked for.
	unjudged
)

// matches judges an event.
func (q *Query) matches(e *schema.Event) bool {
	return (q.EventID == "" || e.ID == q.EventID) && (q.ErasureID == "" || e.ErasureID == q.ErasureID) &&
		(q.Account == "" || e.From == q.Account || e.To == q.Account) &&
		(q.Conversation == nil || e.Conversation == *q.Conversation)
}

// matchesOutcome judges an outcome by what it says of its event.
func (q *Query) matchesOutcome(o *schema.Outcome) verdict {
	if len(q.Records) > 0 {
		return unmatched // the records are known
	}
	if o.Event != nil {
		e := *o.Event
		e.ID, e.Source, e.ErasureID = o.EventID, o.EventSource, o.ErasureID
		if q.matches(&e) {
			return matched
		}
		return unmatched
	}
	switch {
	case q.EventID != "" && o.EventID != q.EventID, q.ErasureID != "" && o.ErasureID != q.ErasureID:
		return unmatched
	case q.Account != "" || q.Conversation != nil:
		return unjudged
	}
	return matched
}

// search looks for what the query names in a record that is no event.
func (q *Query) search(r schema.Record) (verdict, mention.Where) {
	var texts []string
	for _, text := range []string{q.EventID, q.ErasureID, q.Account} {
		if text != "" {
			texts = append(texts, text)
		}
	}
	if q.Conversation != nil {
		texts = append(texts, q.Conversation.From, q.Conversation.To)
	}
	found, unknown := mention.Nowhere, false
	for _, text := range texts {
		switch where := mention.Find(text, r); where {
		case mention.Nowhere:
			return unmatched, mention.Nowhere
		case mention.Unknown:
			unknown = true
		case mention.Field, mention.Key, mention.Header, mention.Bytes:
			found = weaker(found, where)
		}
	}
	switch {
	case unknown:
		return unjudged, mention.Unknown
	case found == mention.Nowhere:
		return unmatched, mention.Nowhere
	}
	return matched, found
}

// weaker returns the place that says less.
func weaker(a, b mention.Where) mention.Where {
	for _, where := range []mention.Where{mention.Bytes, mention.Header, mention.Key} {
		if a == where || b == where {
			return where
		}
	}
	return mention.Field
}
