package membership

import (
	"errors"
	"fmt"
	"time"
)

// RefusedError says that a request did not succeed.
type RefusedError struct {
	// Request is "join", "sync" or "leave".
	Request string
	// Code is the coordinator's error code, 0 if there is no answer.
	Code int16
	// Strangers says that the group has members that neither this version nor an earlier one works with.
	Strangers bool
	// Err is why there is no answer, or nil.
	Err error
}

// Error implements error.
func (e *RefusedError) Error() string {
	switch {
	case e.Err != nil:
		return fmt.Sprintf("%s: %v", e.Request, e.Err)
	case e.Strangers:
		return e.Request + ": the group has members of another kind, which assign partitions in another way"
	}
	return fmt.Sprintf("%s: refused with error code %d", e.Request, e.Code)
}

// Answered says that a coordinator has answered, though not as wanted.
func (e *RefusedError) Answered() bool {
	restless, is := errors.AsType[*RestlessError](e.Err)
	return e.Code != 0 || is && !restless.Silent || errors.Is(e.Err, errNoMember)
}

// Unwrap returns why there is no answer.
func (e *RefusedError) Unwrap() error { return e.Err }

// FencedError says that another process has joined with the same instance ID.
type FencedError struct{ InstanceID string }

// Error implements error.
func (e *FencedError) Error() string {
	return fmt.Sprintf("instance-id: another process has joined the group as %q: each replica needs a name of its own", e.InstanceID)
}

// SessionTimeoutError says that the broker does not allow the session timeout.
type SessionTimeoutError struct{ Session time.Duration }

// Error implements error.
func (e *SessionTimeoutError) Error() string {
	return fmt.Sprintf("session-timeout: the broker does not allow %v (group.min.session.timeout.ms, group.max.session.timeout.ms)", e.Session)
}

// RestlessError says that a member joins again and again, and gets no assignment. Silent says that nobody has answered for a session.
type RestlessError struct {
	Joins  int
	Silent bool
}

// Error implements error.
func (e *RestlessError) Error() string {
	if e.Silent {
		return fmt.Sprintf("no answer for a whole session: join %d in a row without an assignment", e.Joins)
	}
	return fmt.Sprintf("the group does not settle: join %d in a row without an assignment", e.Joins)
}

// LostError says why a member has lost its partitions, or may have.
type LostError struct {
	// Code is the coordinator's error code, 0 if it has not answered.
	Code int16
	// Reason is the rest of "the member ...".
	Reason string
}

// Error implements error.
func (e *LostError) Error() string {
	if e.Code != 0 {
		return fmt.Sprintf("the member %s (error code %d)", e.Reason, e.Code)
	}
	return "the member " + e.Reason
}
