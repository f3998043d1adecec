package membership

import "time"

// Order is something for the caller to do: [Send], [Gain], [GiveUp], [Lose], [Pause], [Resume], [Refused] or [End].
type Order interface{ order() }

// Send is a request to make of the group's coordinator. At most one of each kind is under way: a Send replaces a former one with
// the same kind of request, and a Join also replaces a Sync. What was replaced may be canceled.
type Send struct {
	// Number is what [Answer.Number] must repeat.
	Number int
	// Request is a [Join], [Sync], [Heartbeat] or [Leave].
	Request Request
	// Timeout is how long an answer is waited for. The request may be canceled then; the caller need not report that.
	Timeout time.Duration
}

// Gain are partitions to work on, ascending. They were nobody's before. Begin is when the work may begin, zero for at once: a former process
// with the member's instance ID may still run, and not have heard yet that it is fenced.
type Gain struct {
	Partitions []int
	Begin      time.Time
}

// GiveUp are partitions to drain and commit, ascending. [Member.GivenUp] says when that is done. Until then they are held.
type GiveUp struct{ Partitions []int }

// Lose says that nothing is held any more, what is being given up included. It ends a pause as well.
type Lose struct{ Why error }

// Pause says that no new call may be made, on any partition. Calls under way go on. Another one may follow, with another reason.
type Pause struct{ Why error }

// Resume ends a [Pause].
type Resume struct{}

// Refused tells that a request was refused or not answered. The member makes it again by itself.
type Refused struct {
	// Err is a [*RefusedError].
	Err error
	// Again is when the next attempt is made.
	Again time.Time
}

// End says that the membership is over, and no further order follows. Err is nil after [Member.Stop]; otherwise it is a
// [*FencedError] or a [*SessionTimeoutError].
type End struct{ Err error }

func (Send) order()    {}
func (Gain) order()    {}
func (GiveUp) order()  {}
func (Lose) order()    {}
func (Pause) order()   {}
func (Resume) order()  {}
func (Refused) order() {}
func (End) order()     {}

// Request is a [Join], [Sync], [Heartbeat] or [Leave].
type Request interface{ request() }

// Join asks for a part in the next generation.
type Join struct {
	// MemberID is empty for a member that has none yet.
	MemberID, InstanceID string
	Session, Rebalance   time.Duration
	// Protocols are what the member offers, the preferred one first. Their type is "consumer".
	Protocols []Protocol
}

// Protocol is a way to assign partitions, and what the member tells the leader about itself.
type Protocol struct {
	Name     string
	Metadata []byte
}

// Sync asks for the member's assignment in a generation.
type Sync struct {
	MemberID, InstanceID string
	Generation           int32
	// Protocol is the generation's.
	Protocol string
	// Assignments are all members', if this one is the leader; otherwise there are none.
	Assignments []Assignment
}

// Assignment is what the leader gives to a member.
type Assignment struct {
	MemberID string
	Bytes    []byte
}

// Heartbeat tells the coordinator that the member lives.
type Heartbeat struct {
	MemberID, InstanceID string
	Generation           int32
}

// Leave tells the coordinator that the member goes.
type Leave struct{ MemberID, InstanceID string }

func (Join) request()      {}
func (Sync) request()      {}
func (Heartbeat) request() {}
func (Leave) request()     {}

// Answer is what became of a [Send].
type Answer struct {
	// Number is the Send's. Answers to other requests than those under way are ignored.
	Number int
	// Code is the coordinator's error code; for a Leave, the member's own one if the coordinator has set that.
	Code int16
	// Err says that there was no answer, or none that can be read.
	Err error

	// Pause is for how long at least the request is not made again, if it did not succeed.
	Pause time.Duration

	// MemberID, LeaderID, Protocol and Generation are a join's. MemberID is set also with code 79.
	MemberID, LeaderID string
	Protocol           string
	Generation         int32
	// Members are all members, if this one is the leader.
	Members []JoinedMember
	// Partitions is the topic's number of partitions, which the leader needs. With 0, what [Member.Partitions] said last counts.
	Partitions int

	// Assignment is a sync's.
	Assignment []byte
}

// JoinedMember is a member as the leader sees it.
type JoinedMember struct {
	MemberID, InstanceID string
	// Metadata is the member's for the generation's protocol.
	Metadata []byte
}
