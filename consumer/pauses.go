package consumer

import (
	"sync"
	"time"
)

// pauses counts the pauses by their reasons.
type pauses struct {
	mu sync.Mutex
	by map[PauseReason]*pauseTally
}

// pauseTally is what is counted for a reason.
type pauseTally struct {
	count int
	// lasted is how long the pauses have lasted. open says that one lasts, and since is when that began.
	lasted time.Duration
	open   bool
	since  time.Time
}

func pauseReasons() []string {
	return []string{string(PauseHalt), string(PauseOutage), string(PauseDenied), string(PauseLists)}
}

func newPauses() *pauses {
	p := &pauses{by: make(map[PauseReason]*pauseTally)}
	for _, reason := range pauseReasons() {
		p.by[PauseReason(reason)] = &pauseTally{}
	}
	return p
}

// begin notes that a pause has begun.
func (p *pauses) begin(reason PauseReason, at time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	t := p.by[reason]
	t.count, t.open, t.since = t.count+1, true, at
}

// end notes that a pause is over.
func (p *pauses) end(reason PauseReason, at time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	t := p.by[reason]
	t.lasted, t.open = t.at(at), false
}

// change notes that a pause has another reason from now on.
func (p *pauses) change(before, after PauseReason, at time.Time) {
	if before != after {
		p.end(before, at)
		p.begin(after, at)
	}
}

// now returns what is counted for each reason, the pauses that last included.
func (p *pauses) now(at time.Time) map[PauseReason]pauseTally {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := make(map[PauseReason]pauseTally, len(p.by))
	for reason, t := range p.by {
		all[reason] = pauseTally{count: t.count, open: t.open, since: t.since, lasted: t.at(at)}
	}
	return all
}

// at is how long the pauses have lasted at a time. It never goes back.
func (t *pauseTally) at(now time.Time) time.Duration {
	if !t.open {
		return t.lasted
	}
	return t.lasted + max(0, now.Sub(t.since))
}
