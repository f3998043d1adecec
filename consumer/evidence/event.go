package evidence

import (
	"crypto/sha256"
	"slices"
	"time"

	"convdel/consumer/mention"
	"convdel/schema"
)

// Source says what the topic of events has at the place of an event's record.
type Source string

// These are all values of Source.
const (
	// Present means that the record is there.
	Present Source = "present"
	// Removed means that the partition begins behind it: retention, or somebody, has removed the record.
	Removed Source = "removed"
	// Absent means that the log has other records on both sides, and none there: compaction has removed it, or the offset was never an
	// event's: an aborted record, or a marker of a transaction.
	Absent Source = "absent"
	// Hidden means that the record lies behind an open transaction.
	Hidden Source = "hidden"
	// Unreadable means that the record's batch can't be read.
	Unreadable Source = "unreadable"
	// Beyond means that the partition ends before it, or is none of the topic's.
	Beyond Source = "beyond"
)

// Commit says what a group's offsets say of an event.
type Commit string

// These are all values of Commit.
const (
	// CommitNone means that the group has committed nothing of the partition.
	CommitNone Commit = "none"
	// CommitOpen means that the event has not ended for the group.
	CommitOpen Commit = "open"
	// CommitEnded means that it has.
	CommitEnded Commit = "ended"
	// CommitByOther means that it has, and that another program than the service has committed the offset.
	CommitByOther Commit = "by_other"
)

// Event is everything that is known of one event.
type Event struct {
	// ID is TOPIC/PARTITION/OFFSET of its record. Partition and Offset are parts of it.
	ID        string
	Partition int
	Offset    int64
	Source    Source
	// Published is the record's time; zero if it is not known.
	Published time.Time
	// Event is what the record asks for. If the record is not there, it is what an outcome or a dead letter says of it. It is nil if the
	// record is no event, or nobody knows.
	Event *schema.Event
	// Mention says where a record that is no event holds what was looked for; empty for all others.
	Mention mention.Where
	Commit  Commit
	// Outcomes are those that count for the event, in the order of their time.
	Outcomes []schema.Outcome
	// Letter is the open dead letter, Settled its settlement. At most one of them is set.
	Letter  *schema.DeadLetter
	Settled *schema.Settlement
	// Replays are the records that replay this one, each with its own evidence.
	Replays []*Event
	// Ruling is what all of that amounts to. Notes are sentences about what it can't prove, and about evidence that does not count.
	Ruling Ruling
	Notes  []string

	// disputes are the notes about evidence that does not count.
	disputes []string
	// asked is what the event's receipt says that it asks for; nil without a receipt.
	asked *Receipt
	// digest is a hash of the record's key, value and headers, letterDigest that of the record in the dead letter; zero if unknown.
	digest, letterDigest [sha256.Size]byte
	// origin is the ID that the record claims to be a replay of.
	origin string
	// parent is the event whose replay this one has proven to be.
	parent *Event
	// replaced says that the dead letter of a replay stands for the event's own, which is open, too.
	replaced bool
	// letters says that the dead letters were read after the offset had ended, unread that a part of them can't be read. searched says that
	// the replays were looked for.
	letters, unread, searched bool
	// outcomesHidden says that outcomes lie behind an open transaction, and this event's may be among them.
	outcomesHidden bool
}

// committed says whether the event has ended for the group.
func (e *Event) committed() bool { return e.Commit == CommitEnded || e.Commit == CommitByOther }

// note adds a sentence once.
func (e *Event) note(text string) {
	if !slices.Contains(e.Notes, text) {
		e.Notes = append(e.Notes, text)
	}
}

// dispute notes once that a piece of evidence does not count.
func (e *Event) dispute(text string) {
	if !slices.Contains(e.disputes, text) {
		e.disputes = append(e.disputes, text)
	}
}

// How is how an event has ended. The words of [schema.OutcomeKind] are among them.
type How string

// These are the values of How that are no outcomes.
const (
	// Unknown means that the event has ended, and nothing says how.
	Unknown How = "unknown"
	// None means that there is no event.
	None How = "none"

	deleted   = How(schema.OutcomeDeleted)
	discarded = How(schema.OutcomeDiscarded)
)

// Basis says what a ruling rests on.
type Basis string

// These are all values of Basis.
const (
	ByOutcome   Basis = "outcome"
	ByLetter    Basis = "dead_letter"
	ByTombstone Basis = "tombstone"
	ByOffset    Basis = "offset"
	ByRecord    Basis = "record"
)

// Ruling is what the evidence amounts to.
type Ruling struct {
	// How is how the event has ended; empty if it has not.
	How How
	// Code and Attempts are those of the end, Time is its time, zero if unknown.
	Code, Attempts int
	Time           time.Time
	// By and Reason are those of the settlement, if there was one.
	By, Reason string
	// Record is the ID of the record whose end this is: the event's own, or that of its replay.
	Record string
	Basis  Basis
	// Proven is false where the evidence does not say how the event has ended, and How is an inference.
	Proven bool
}

// Final says whether the event has ended.
func (r Ruling) Final() bool { return r.How != "" }

// Deleted says whether the conversation was deleted.
func (r Ruling) Deleted() bool { return r.How == deleted }

// Nameless says whether nothing tells what the event asks for: the topic no longer has its record, and its outcomes name no conversation.
func (e *Event) Nameless() bool {
	return e.Event == nil && e.Source != Present && e.Mention == mention.Nowhere
}
