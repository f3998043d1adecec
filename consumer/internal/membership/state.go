package membership

// Phase is what a member is about.
type Phase int

// The phases.
const (
	// Joining: it asks for a part in the next generation, or waits until it may ask.
	Joining Phase = iota
	// Syncing: it asks for its assignment.
	Syncing
	// Working: it has its assignment.
	Working
	// Yielding: it gives up everything before it joins again.
	Yielding
	// Leaving: it has given up everything and leaves the group.
	Leaving
	// Ended: it is no member any more.
	Ended
)

// String returns the phase as a word.
func (p Phase) String() string {
	return [...]string{"joining", "syncing", "working", "yielding", "leaving", "ended"}[p]
}

// State is the membership at one moment, for the log and the status.
type State struct {
	Phase Phase
	// Protocol is the generation's.
	Protocol string
	// Partitions is the topic's number of partitions by which the leader has assigned; 0 if it has not told.
	Partitions int
	// Held are the partitions that the member holds, GivingUp are those of them that it gives up, both ascending.
	Held, GivingUp []int
}
