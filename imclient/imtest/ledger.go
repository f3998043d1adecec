package imtest

import (
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// Arrival is one call as the API saw it.
type Arrival struct {
	// At is when the call reached the handler, before anything of it was checked.
	At time.Time
	// Answered is when its answer began, zero while it has none and forever if it gets none.
	Answered time.Time
	// From, To, Type and ClearRamble are the body's; zero if the body could not be read.
	From, To    string
	Type        int
	ClearRamble bool
	// Code is the API code of the answer: 0 for success, and also for an answer without a code.
	Code int
	// HTTPStatus is the answer's, 0 while there is none and forever if there is none.
	HTTPStatus int
	// Random is the query's parameter of that name.
	Random uint32
}

// Stats is a summary of what a server has seen since its start or the last [Server.Reset].
type Stats struct {
	// Calls have arrived, among them those that are Throttled (refused by the quota) and those that
	// are Deletes (done).
	Calls, Throttled, Deletes int
	// Underway are being answered now.
	Underway int
	// PeakPerSecond, PeakConcurrent and PeakPerConversation: see [Server.PeakPerSecond] and
	// [Server.Concurrent].
	PeakPerSecond, PeakConcurrent, PeakPerConversation int
}

// conversation is what a delete deletes.
type conversation struct {
	from, to string
	kind     int
}

// ledger remembers. One lock for everything, held for well under a microsecond.
type ledger struct {
	mu    sync.Mutex
	cfg   Config
	start time.Time
	rand  *rand.Rand

	stats    Stats
	all, let window // Every arrival's second, and that of those let through.
	// records is a ring once RecordLimit is reached. Arrival number n (from 1) is at (n-1) % limit.
	records  []Arrival
	arrivals uint64
	// reset is the number of the last arrival that has been forgotten on request.
	reset    uint64
	deleted  map[conversation]int
	underway map[conversation]int
}

// call is one call's place in the ledger.
type call struct {
	number uint64
	at     time.Time
	over   bool // The quota says no.
	delay  time.Duration
	share  float64 // Drawn for faults that hit a share of calls.

	conversation conversation
	counted      bool // In underway.
}

func (l *ledger) init(cfg Config) {
	l.cfg = cfg
	l.start = time.Now()
	//nolint:gosec // latencies want to be repeatable, not unpredictable
	l.rand = rand.New(rand.NewPCG(cfg.Seed, cfg.Seed))
	l.deleted = make(map[conversation]int)
	l.underway = make(map[conversation]int)
}

// arrive notes a call. The time is taken here, under the lock, so that arrivals are in order.
func (l *ledger) arrive() call {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	since := int64(now.Sub(l.start))
	l.arrivals++
	l.stats.Calls++
	l.stats.PeakPerSecond = max(l.stats.PeakPerSecond, l.all.add(since))
	l.stats.Underway++
	l.stats.PeakConcurrent = max(l.stats.PeakConcurrent, l.stats.Underway)
	c := call{number: l.arrivals, at: now, share: l.rand.Float64()}
	if l.cfg.Quota > 0 && !l.let.addUpTo(since, l.cfg.Quota) {
		c.over = true
		l.stats.Throttled++
	}
	if l.cfg.Latency != nil {
		c.delay = l.cfg.Latency(l.rand)
	}
	l.remember(Arrival{At: now})
	return c
}

func (l *ledger) remember(a Arrival) {
	switch limit := l.cfg.RecordLimit; {
	case limit < 0:
	case limit == 0 || len(l.records) < limit:
		l.records = append(l.records, a)
	default:
		l.records[(l.arrivals-l.reset-1)%uint64(limit)] = a
	}
}

// record returns where a call is remembered, nil if it is not or no longer.
func (l *ledger) record(number uint64) *Arrival {
	if number <= l.reset || len(l.records) == 0 || l.arrivals-number >= uint64(len(l.records)) {
		return nil
	}
	return &l.records[(number-l.reset-1)%uint64(len(l.records))]
}

// identify adds to a call what its query and body say.
func (l *ledger) identify(c *call, q query, b body) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if a := l.record(c.number); a != nil {
		a.From, a.To, a.Type, a.ClearRamble, a.Random = b.from, b.to, b.kind, b.clearRamble, q.random
	}
	c.conversation = b.conversation()
	if b.from != "" {
		c.counted = true
		l.underway[c.conversation]++
		l.stats.PeakPerConversation = max(l.stats.PeakPerConversation, l.underway[c.conversation])
	}
}

// answer notes the answer, just before it is given: afterwards the caller may already be back with
// the next call. It ends the call's being under way unless it is still to be held up.
func (l *ledger) answer(c *call, code, status int, deletes, ends bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if a := l.record(c.number); a != nil {
		a.Code, a.HTTPStatus = code, status
		if status != 0 {
			a.Answered = time.Now()
		}
	}
	if deletes {
		l.delete(c.conversation)
	}
	if ends {
		l.end(c)
	}
}

func (l *ledger) delete(which conversation) {
	l.stats.Deletes++
	if l.cfg.RecordLimit < 0 {
		return
	}
	if _, known := l.deleted[which]; !known && l.cfg.RecordLimit > 0 && len(l.deleted) >= l.cfg.RecordLimit {
		for some := range l.deleted {
			delete(l.deleted, some)
			break
		}
	}
	l.deleted[which]++
}

// depart ends the call's being under way, if its answer has not.
func (l *ledger) depart(c *call) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.end(c)
}

func (l *ledger) end(c *call) {
	if c.number == 0 {
		return
	}
	c.number = 0
	l.stats.Underway--
	if !c.counted {
		return
	}
	l.underway[c.conversation]--
	if l.underway[c.conversation] == 0 {
		delete(l.underway, c.conversation)
	}
}

// Arrivals returns the remembered calls in order of arrival, those still under way included.
func (s *Server) Arrivals() []Arrival {
	l := &s.ledger
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cfg.RecordLimit <= 0 || len(l.records) < l.cfg.RecordLimit {
		return slices.Clone(l.records)
	}
	oldest := (l.arrivals - l.reset) % uint64(len(l.records))
	return slices.Concat(l.records[oldest:], l.records[:oldest])
}

// Deleted returns how often a conversation was deleted, as far as it is remembered.
func (s *Server) Deleted(from string, kind int, to string) int {
	s.ledger.mu.Lock()
	defer s.ledger.mu.Unlock()
	return s.ledger.deleted[conversation{from: from, to: to, kind: kind}]
}

// PeakPerSecond returns how many calls, whatever their answer, arrived at most in any one second,
// both ends included: two calls exactly one second apart are in one second. It is exact, and does not
// depend on RecordLimit.
func (s *Server) PeakPerSecond() int { return s.Stats().PeakPerSecond }

// Concurrent returns how many calls were under way at most at once, in all and for any one
// conversation. A call is under way from its arrival until just before its answer. One whose caller
// has given up is so until its connection is seen to be closed, which may be shortly after.
func (s *Server) Concurrent() (overall, perConversation int) {
	stats := s.Stats()
	return stats.PeakConcurrent, stats.PeakPerConversation
}

// Stats returns a summary.
func (s *Server) Stats() Stats {
	s.ledger.mu.Lock()
	defer s.ledger.mu.Unlock()
	return s.ledger.stats
}

// Reset forgets all arrivals, deletions and peaks, as between the parts of a test. Scripted faults,
// what they and the names of accounts have counted, and the quota's last second stay.
func (s *Server) Reset() {
	l := &s.ledger
	l.mu.Lock()
	defer l.mu.Unlock()
	underway := l.stats.Underway
	l.stats = Stats{Underway: underway, PeakConcurrent: underway}
	for _, n := range l.underway {
		l.stats.PeakPerConversation = max(l.stats.PeakPerConversation, n)
	}
	l.all = window{}
	l.records = nil
	l.reset = l.arrivals
	clear(l.deleted)
}
