package membership

import (
	"errors"
	"time"
)

// The coordinator's error codes that a member heeds.
const (
	coordinatorLoading    = 14
	coordinatorMissing    = 15
	notCoordinator        = 16
	illegalGeneration     = 22
	inconsistentProtocols = 23
	unknownMember         = 25
	invalidSession        = 26
	rebalanceInProgress   = 27
	memberIDRequired      = 79
	fencedInstance        = 82
)

const (
	// After retryFirst a request that nobody has answered is made again. The pause doubles, up to retryMost.
	retryFirst = 100 * time.Millisecond
	retryMost  = time.Second
	// After refusedFirst a request that was refused is made again. The pause doubles, up to refusedMost.
	refusedFirst = time.Second
	refusedMost  = 30 * time.Second
	// soonMost is how often in a row a member joins again with no pause.
	soonMost = 3
	// parting is how long a stop waits for the answer that tells the member's ID.
	parting = time.Second
)

// errNoMember is an answer that makes nobody a member.
var errNoMember = errors.New("the answer names no member or no generation")

// doubled returns a pause that doubles with each attempt.
func doubled(first, most time.Duration, attempts int) time.Duration {
	for range attempts {
		if first *= 2; first >= most {
			return most
		}
	}
	return first
}

// absent says that no coordinator has answered.
func (a *Answer) absent() bool {
	return a.Err != nil || a.Code == coordinatorLoading || a.Code == coordinatorMissing || a.Code == notCoordinator
}
