package erasure

import (
	"slices"
	"time"

	"convdel/schema"
)

// Request says what is to be erased.
type Request struct {
	// ID names the request (CloudEvents extension erasureid). Account is the account whose conversations are deleted.
	ID, Account string
	// OtherSides asks for the other account's entry of each conversation of two, too. ClearRamble asks to clear roaming messages.
	OtherSides, ClearRamble bool
	// Also are conversations that are deleted even if no list shows them.
	Also []schema.Conversation
}

// concerns says whether a conversation is one of the account's, or the other side of one.
func (q *Request) concerns(c schema.Conversation) bool {
	return c.From == q.Account || c.Type == schema.C2C && c.To == q.Account
}

// IsPart says whether an event is a part of the request: it bears the request's ID, its own ID follows from request and conversation, and the
// conversation is the account's, or the other side of one.
func (q *Request) IsPart(e *schema.Event) bool {
	return e.ErasureID == q.ID && q.concerns(e.Conversation) && e.ID == schema.PartID(q.ID, e.Conversation)
}

// counts says whether a part asks for everything that the request asks for.
func (q *Request) counts(e *schema.Event) bool {
	return q.IsPart(e) && (e.ClearRamble || !q.ClearRamble)
}

// Record is a record of the topic of events that bears the request's ID.
type Record struct {
	// ID is TOPIC/PARTITION/OFFSET. Published is the record's time; if the record is gone, the earliest time that is known of it.
	ID        string
	Published time.Time
	// Event is what the record decodes to. Where the record is gone, it is what its outcome says, and Gone is set.
	Event schema.Event
	Gone  bool
	// End is how the event has ended; nil if it has not. Known is when that was learned, by the clock of Listing.Began.
	End   *End
	Known time.Time
}

// End is how a part has ended.
type End struct {
	// Outcome is a word of [schema.OutcomeKind], unknown or none.
	Outcome        string
	Code, Attempts int
	Ended          time.Time
	// Proven is false where no outcome says that the conversation was deleted.
	Proven bool
	// Reason is that of a discard.
	Reason string
}

func (e *End) deleted() bool { return e.Outcome == string(schema.OutcomeDeleted) && e.Proven }

// same says whether two ends are the same one. Either may be nil.
func (e *End) same(other *End) bool {
	if e == nil || other == nil {
		return e == other
	}
	return e.Outcome == other.Outcome && e.Proven == other.Proven && e.Ended.Equal(other.Ended)
}

// Listing is one reading of an account's list of conversations.
type Listing struct {
	Account string
	Entries []Entry
	// Doubt says why the list may lack a conversation; empty if it is complete. Failed says that it is that a call has failed: Entries
	// are those of the calls before.
	Doubt  string
	Failed bool
	// NoAccount is the API's answer if it knows no such account.
	NoAccount string
	// Began is when the reading began. Calls is how many calls it took.
	Began time.Time
	Calls int
	// Unknown counts items of types that no call can delete.
	Unknown int
}

// Entry is a conversation that a list shows.
type Entry struct {
	Conversation schema.Conversation
	// LastMessage is in whole seconds, zero if unknown.
	LastMessage time.Time
}

// entry returns the entry of a conversation; nil if the list does not show it.
func (l *Listing) entry(c schema.Conversation) *Entry {
	i := slices.IndexFunc(l.Entries, func(e Entry) bool { return e.Conversation == c })
	if i < 0 {
		return nil
	}
	return &l.Entries[i]
}

// Evidence is what is known at some moment.
type Evidence struct {
	Records []Record
	// Lists are by account.
	Lists map[string]*Listing
}

// otherSide is the entry that the other account keeps of a conversation.
func otherSide(c schema.Conversation) schema.Conversation {
	return schema.Conversation{From: c.To, Type: c.Type, To: c.From}
}
