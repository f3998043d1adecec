package membership

import (
	"container/heap"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

const (
	session   = 12 * time.Second
	rebalance = 30 * time.Second
	beatEvery = 500 * time.Millisecond
)

// world is a coordinator, a network that loses, delays and doubles, and processes.
type world struct {
	rng     *rand.Rand
	now     time.Time
	events  events
	order   int
	group   *coordinator
	procs   []*process
	topic   int
	trouble bool // the network is bad
	joins   int
	faults  []string
	trace   []string
}

type event struct {
	at    time.Time
	order int
	do    func()
}

type events []event

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	return e[i].at.Before(e[j].at) || e[i].at.Equal(e[j].at) && e[i].order < e[j].order
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)   { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	last := (*e)[len(*e)-1]
	*e = (*e)[:len(*e)-1]
	return last
}

func newWorld(seed uint64) *world {
	rng := rand.New(rand.NewPCG(seed, 14))
	w := &world{rng: rng, now: start, group: newCoordinator(rng), topic: 4 + rng.IntN(9)}
	w.every(100*time.Millisecond, func() { w.group.tick(w.now) })
	return w
}

func (w *world) after(d time.Duration, do func()) {
	w.order++
	heap.Push(&w.events, event{w.now.Add(d), w.order, do})
}

func (w *world) every(d time.Duration, do func()) {
	w.after(d, func() {
		do()
		w.every(d, do)
	})
}

func (w *world) run(d time.Duration) {
	end := w.now.Add(d)
	for len(w.events) > 0 && !w.events[0].at.After(end) && len(w.faults) == 0 {
		e := heap.Pop(&w.events).(event)
		w.now = e.at
		e.do()
	}
	w.now = end
}

func (w *world) upTo(d time.Duration) time.Duration { return time.Duration(w.rng.Int64N(int64(d))) }

func (w *world) fault(format string, args ...any) {
	w.faults = append(w.faults, fmt.Sprintf("%v: ", w.now.Sub(start))+fmt.Sprintf(format, args...))
}

func (w *world) note(format string, args ...any) {
	w.trace = append(w.trace, fmt.Sprintf("%v ", w.now.Sub(start))+fmt.Sprintf(format, args...))
}

func (w *world) story() string {
	return strings.Join(w.trace[max(0, len(w.trace)-120):], "\n") + "\n" + strings.Join(w.faults, "\n")
}

// carry takes a request to the coordinator and brings back its answer, if the network lets it.
func (w *world) carry(p *process, r Request, timeout time.Duration, answer func(Answer)) {
	broker := w.group.moves
	lost := func() bool {
		return p.cutOff.After(w.now) || w.trouble && w.rng.IntN(12) == 0
	}
	fail := func() {
		if w.rng.IntN(2) == 0 {
			w.after(w.upTo(timeout), func() { answer(Answer{Err: errors.New("connection lost")}) })
		}
	}
	delay := func() time.Duration {
		if w.trouble && w.rng.IntN(20) == 0 {
			return w.upTo(4 * time.Second)
		}
		return time.Millisecond + w.upTo(10*time.Millisecond)
	}
	if lost() {
		fail()
		return
	}
	w.after(delay(), func() {
		if broker != w.group.moves {
			w.after(delay(), func() { answer(Answer{Code: notCoordinator}) })
			return
		}
		w.group.ask(w.now, r, func(a Answer) {
			if lost() {
				fail()
				return
			}
			times := 1
			if w.trouble && w.rng.IntN(20) == 0 {
				times = 2
			}
			for range times {
				w.after(delay(), func() { answer(a) })
			}
		})
	})
}
