package imtest

import (
	"strings"
	"sync"
	"time"
)

// API is a kind of call.
type API string

// These are the kinds of calls.
const (
	APIDelete  API = "delete"
	APIGetList API = "get_list"
)

// Fault says which calls fail, and how. A call must match everything that is set; a fault with nothing set matches all
// calls. The checks come before faults, so a call that a check refuses gets that answer.
type Fault struct {
	// API is the kind of the calls; empty means both kinds.
	API API
	// Account is the call's From_Account. AccountPrefix is its beginning.
	Account, AccountPrefix string
	// After and Until are times since the server was made: from After on, before Until. 0 is no bound.
	After, Until time.Duration
	// NotBefore and NotAfter are the same bounds as points in time: from NotBefore on, before NotAfter.
	NotBefore, NotAfter time.Time
	// Times is how many calls the fault affects; 0 is any number.
	Times int
	// Share is the probability with which a call is hit; 0 is every call.
	Share float64

	// Delay is added to the configured latency, before anything else. A fault with only a Delay or a Drip is a slow
	// success.
	Delay time.Duration
	// Hang gives no answer until the caller has given up or the server is closed.
	Hang bool
	// Reset resets the connection (RST on TCP) without an answer.
	Reset bool
	// Code is the API code to answer with.
	Code int
	// Info is the text for Code. If it is empty, the simulator's own text is used.
	Info string
	// ResultOnly names them ResultCode and ResultInfo, without ErrorCode and ErrorInfo.
	ResultOnly bool
	// HTTPStatus is the status of the answer, with a page in HTML unless Body is set; 0 is 200.
	HTTPStatus int
	// RetryAfter is the answer's header Retry-After, rounded up to seconds; 0 is none.
	RetryAfter time.Duration
	// Body replaces the API's JSON.
	Body string
	// Drip spreads the answer's body over this time, byte by byte.
	Drip time.Duration
	// Deletes executes a delete although the caller gets no success.
	Deletes bool
}

// Scripted is a fault that was added to a server.
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

// Remove ends the fault for later calls. Calls that hang because of it keep hanging.
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

// Hits returns how many calls the fault has affected.
func (s *Scripted) Hits() int {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	return s.hits
}

// maxFlaky bounds for how many conversations failures are counted because of an account's name. Beyond it all counts begin
// again.
const maxFlaky = 100_000

// faults are the scripted faults, and the counts of those that accounts' names ask for.
type faults struct {
	mu       sync.Mutex
	scripted []*Scripted
	flaky    map[conversation]int // Failures so far.
}

// match returns the fault for a call and counts it; the zero Fault if there is none.
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
	case f.API != "" && f.API != c.api,
		f.Times > 0 && s.hits >= f.Times,
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

// fails returns true if a call with this fault gets no success.
func (f *Fault) fails() bool {
	return f.Hang || f.Reset || f.Code != 0 || f.HTTPStatus != 0 && f.HTTPStatus != 200 || f.Body != ""
}

// deletes returns true if a delete with this fault is executed.
func (f *Fault) deletes() bool { return f.Deletes || !f.fails() }
