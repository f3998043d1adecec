package imtest

import (
	"strings"
	"sync"
	"time"
)

// Fault says which calls go wrong, and how. Calls must match everything that is set; without any of it
// all calls do. Faults come after the checks: a call that is refused for cause gets that answer.
type Fault struct {
	// Account is From_Account; AccountPrefix is how it begins.
	Account, AccountPrefix string
	// After and Until are times since the server was made: from After on, before Until. 0 is no bound.
	After, Until time.Duration
	// NotBefore and NotAfter are the same as points in time: from the one on, before the other.
	NotBefore, NotAfter time.Time
	// Times is how many calls the fault is good for; 0 is any number.
	Times int
	// Share is the probability with which a call is hit; 0 is every call.
	Share float64

	// Delay comes on top of the configured latency, before anything else. A fault with nothing but a
	// Delay or a Drip is a slow success.
	Delay time.Duration
	// Hang gives no answer until the caller has given up or the server is closed.
	Hang bool
	// Reset resets the connection (RST on TCP) without an answer.
	Reset bool
	// Code is the API code to answer with.
	Code int
	// Info is the text that goes with Code; one is made up if it is empty.
	Info string
	// ResultOnly spells them ResultCode and ResultInfo, without ErrorCode and ErrorInfo.
	ResultOnly bool
	// HTTPStatus is the status to answer with, and a page in HTML unless Body is set; 0 is 200.
	HTTPStatus int
	// Body is sent in place of the API's JSON.
	Body string
	// Drip spreads the answer's body over this time, byte by byte.
	Drip time.Duration
	// Deletes makes the call do its work although the caller does not learn of it.
	Deletes bool
}

// Scripted is a fault that a server has been given.
type Scripted struct {
	faults *faults
	fault  Fault
	hits   int // Guarded by faults.mu.
}

// Script adds a fault, effective at once.
func (s *Server) Script(f Fault) *Scripted {
	added := &Scripted{faults: &s.faults, fault: f}
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	s.faults.scripted = append(s.faults.scripted, added)
	return added
}

// Remove ends the fault for calls to come. Calls that hang because of it go on hanging.
func (s *Scripted) Remove() {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	kept := make([]*Scripted, 0, len(s.faults.scripted))
	for _, other := range s.faults.scripted {
		if other != s {
			kept = append(kept, other)
		}
	}
	s.faults.scripted = kept
}

// Hits returns how many calls the fault has hit.
func (s *Scripted) Hits() int {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	return s.hits
}

// maxFlaky bounds the conversations whose failures are counted because of their account's name. Beyond
// it counting begins anew, for all.
const maxFlaky = 100_000

// faults are all that apply, scripted ones and those that accounts' names ask for.
type faults struct {
	mu       sync.Mutex
	scripted []*Scripted
	flaky    map[conversation]int // Failures so far.
}

// match returns the fault for a call, the zero Fault if there is none, and counts it.
func (f *faults) match(c *call, since time.Duration) Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range f.scripted {
		if s.matches(c, since) {
			s.hits++
			return s.fault
		}
	}
	named, failures := namedFault(c.conversation.from)
	if failures == 0 {
		return named
	}
	if f.flaky == nil || len(f.flaky) >= maxFlaky {
		f.flaky = make(map[conversation]int)
	}
	if f.flaky[c.conversation] >= failures {
		return Fault{}
	}
	f.flaky[c.conversation]++
	return named
}

func (s *Scripted) matches(c *call, since time.Duration) bool {
	f := &s.fault
	switch {
	case f.Times > 0 && s.hits >= f.Times,
		f.Account != "" && f.Account != c.conversation.from,
		!strings.HasPrefix(c.conversation.from, f.AccountPrefix),
		since < f.After,
		f.Until > 0 && since >= f.Until,
		!f.NotBefore.IsZero() && c.at.Before(f.NotBefore),
		!f.NotAfter.IsZero() && !c.at.Before(f.NotAfter),
		f.Share > 0 && c.share >= f.Share:
		return false
	}
	return true
}

// deletes says whether a call with this fault does its work.
func (f *Fault) deletes() bool {
	fails := f.Hang || f.Reset || f.Code != 0 || f.HTTPStatus != 0 && f.HTTPStatus != 200 || f.Body != ""
	return f.Deletes || !fails
}
