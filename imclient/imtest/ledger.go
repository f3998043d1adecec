package imtest

import (
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// Arrival is a call as the API has seen it.
type Arrival struct {
	// At is when the call reached the handler, before any check.
	At time.Time
	// Answered is when its answer began. It is zero until then, and stays zero if there is no answer.
	Answered time.Time
	// From, To, Type and ClearRamble are those of the body; zero if the body could not be read.
	From, To    string
	Type        int
	ClearRamble bool
	// Code is the API code of the answer: 0 for success, and also for an answer without a code.
	Code int
	// HTTPStatus is the answer's status. It is 0 until then, and stays 0 if there is no answer.
	HTTPStatus int
	// Random is the query's parameter random.
	Random uint32
}

// Stats sums up the calls of one kind since the server's start or the last [Server.Reset].
type Stats struct {
	// Calls is the number of arrivals. Throttled is the number of those that the quota refused, Deletes of those that were
	// executed.
	Calls, Throttled, Deletes int
	// Underway is the number of calls that are being answered.
	Underway int
	// See [Server.PeakPerSecond] and [Server.Concurrent] for the peaks.
	PeakPerSecond, PeakConcurrent, PeakPerConversation int
}

// conversation identifies a conversation.
type conversation struct {
	from, to string
	kind     int
}

// ledger records calls. A single lock guards it, and is held for well under a microsecond.
type ledger struct {
	mu    sync.Mutex
	cfg   Config
	start time.Time
	rand  *rand.Rand

	stats    Stats
	all, let window // The last second of all arrivals, and of those that the quota let through.
	// records is a ring once RecordLimit is reached. Arrival number n (from 1) is at (n-1) % limit.
	records  []Arrival
	arrivals uint64
	// reset is the number of the last arrival before the last Reset.
	reset    uint64
	deleted  map[conversation]int
	underway map[conversation]int
}

// call is a call while it is being answered.
type call struct {
	api    API
	number uint64
	at     time.Time
	over   bool // The quota refuses it.
	delay  time.Duration
	share  float64 // A random number for faults that affect a share of calls.

	conversation conversation
	counted      bool // It is counted in underway.
}

func (l *ledger) init(cfg Config) {
	l.cfg = cfg
	l.start = time.Now()
	//nolint:gosec // latencies want to be repeatable, not unpredictable
	l.rand = rand.New(rand.NewPCG(cfg.Seed, cfg.Seed))
	l.deleted = make(map[conversation]int)
	l.underway = make(map[conversation]int)
}

// arrive records a call. It reads the time under the lock, so that arrivals are in order.
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

// record returns the record of a call, nil if it has been dropped or was never kept.
func (l *ledger) record(number uint64) *Arrival {
	if number <= l.reset || len(l.records) == 0 || l.arrivals-number >= uint64(len(l.records)) {
		return nil
	}
	return &l.records[(number-l.reset-1)%uint64(len(l.records))]
}

// identify adds the contents of a call's query and body.
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

// answer records the answer before it is sent, since the caller may make its next call right afterwards. With ends it also
// ends the time during which the call is under way.
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

// depart ends the time during which the call is under way, if its answer has not ended it.
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

// Arrivals returns the recorded deletes, and calls with an unknown path, in order of arrival, those under way included.
func (s *Server) Arrivals() []Arrival { return s.ledger.recorded() }

// ListArrivals returns the recorded calls for lists, as Arrivals does. They have no To, Type or ClearRamble.
func (s *Server) ListArrivals() []Arrival { return s.lists.recorded() }

func (l *ledger) recorded() []Arrival {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cfg.RecordLimit <= 0 || len(l.records) < l.cfg.RecordLimit {
		return slices.Clone(l.records)
	}
	oldest := (l.arrivals - l.reset) % uint64(len(l.records))
	return slices.Concat(l.records[oldest:], l.records[:oldest])
}

// Deleted returns how often a conversation was deleted, as far as that is recorded.
func (s *Server) Deleted(from string, kind int, to string) int {
	s.ledger.mu.Lock()
	defer s.ledger.mu.Unlock()
	return s.ledger.deleted[conversation{from: from, to: to, kind: kind}]
}

// PeakPerSecond returns the greatest number of deletes that arrived in any one second, whatever their answer. Both ends of a
// second are included: two calls exactly one second apart are in one second. The number is exact and does not depend on
// RecordLimit.
func (s *Server) PeakPerSecond() int { return s.Stats().PeakPerSecond }

// Concurrent returns the greatest number of deletes that were under way at once, in all and for any one conversation. A call
// is under way from its arrival until just before its answer. A call that its caller has given up is under way until its
// connection is seen to be closed, which may be shortly after.
func (s *Server) Concurrent() (overall, perConversation int) {
	stats := s.Stats()
	return stats.PeakConcurrent, stats.PeakPerConversation
}

// Stats returns a summary of the deletes, and of calls with an unknown path.
func (s *Server) Stats() Stats { return s.ledger.summary() }

// ListStats returns a summary of the calls for lists. Deletes is 0.
func (s *Server) ListStats() Stats { return s.lists.summary() }

func (l *ledger) summary() Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.stats
}

// Reset forgets all arrivals, deletions and peaks, for a new part of a test. It keeps conversations, scripted faults, the counts of
// faults, and the quota's last second.
func (s *Server) Reset() {
	s.ledger.forget()
	s.lists.forget()
}

func (l *ledger) forget() {
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
