package breaker_test

import (
	"cmp"
	"container/heap"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"convdel/consumer/internal/breaker"
	"convdel/consumer/internal/quota"
	"convdel/schema"
)

// The default settings.
const (
	callTimeout    = 5 * time.Second
	callsPerSecond = 200
	maxCalls       = 1000
	maxAttempts    = 6
	maxInFlight    = 2000
	retryInitial   = 500 * time.Millisecond
	retryMax       = 30 * time.Second
)

// reply is how an API answers a call: with a kind, at once or after a time.
type reply struct {
	kind breaker.Kind
	took time.Duration
}

// scene is what happens to one replica. Each event is a conversation of its own.
type scene struct {
	// perSecond is the rate of the good events, lasts for how long they are published.
	perSecond float64
	lasts     time.Duration
	// poison is when events are published that always fail, as fails says. replays says that these have been dead letters.
	poison  []time.Duration
	fails   reply
	replays bool
	// isDown says whether a call that begins then fails whatever its event, as down says.
	isDown func(at time.Duration, rnd *rand.Rand) bool
	down   reply
}

// item is an event and its pending conversation.
type item struct {
	conversation schema.Conversation
	poison       bool
	born         time.Duration
	ended        time.Duration
	outcome      outcome
	attempts     breaker.Attempts
	standing     breaker.Standing
	call         breaker.Call
	called       bool
	calling      bool
	failed       bool
	failures     int // since the backoff began anew
}

type outcome int

const (
	kept outcome = iota
	deleted
	givenUp
)

// world runs one replica through a scene in discrete events, with the queue's rules around the breaker's.
type world struct {
	scene
	rnd     *rand.Rand
	now     time.Duration
	agenda  agenda
	steps   int
	breaker *breaker.Breaker
	limiter *quota.Limiter
	items   []*item
	// backlog is what is published and has no room in memory yet, inFlight how many events are there, with those that wait.
	backlog  []*item
	inFlight map[*item]bool
	good     int // of these in memory, so many are no replays
	// fresh and failed are ready; calling is how many calls are under way.
	fresh, failed oldestFirst
	lastFailed    bool
	calling       int
	probeGranted  bool
	// wakes is when dispatch is to run next; 0 if nothing has asked for it.
	wakes time.Duration
	opens int
	calls int
}

var epoch = time.Unix(1_000_000, 0)

func (w *world) clock() time.Time { return epoch.Add(w.now) }

// play runs a scene to its end: until every event has ended, or an hour after the last one was published.
func play(s scene, seed uint64) *world {
	w := &world{
		scene: s, rnd: rand.New(rand.NewPCG(seed, 10)), breaker: breaker.New(callTimeout), limiter: quota.New(),
		inFlight: map[*item]bool{},
	}
	w.limiter.SetShare(callsPerSecond, epoch.Add(-time.Minute))
	for at := w.next(0); s.perSecond > 0 && at < s.lasts; at = w.next(at) {
		w.items = append(w.items, &item{born: at})
	}
	for _, at := range s.poison {
		w.items = append(w.items, &item{born: at, poison: true})
	}
	slices.SortStableFunc(w.items, func(a, b *item) int { return cmp.Compare(a.born, b.born) })
	for i, it := range w.items {
		it.conversation = schema.Conversation{From: strconv.Itoa(i)}
	}
	w.publish(0)
	for w.agenda.Len() > 0 && w.now < s.lasts+time.Hour {
		e, _ := heap.Pop(&w.agenda).(entry)
		w.now = e.at
		e.do()
	}
	return w
}

// next is when the next good event is published.
func (w *world) next(at time.Duration) time.Duration {
	return at + time.Duration(w.rnd.ExpFloat64()/w.perSecond*float64(time.Second))
}

func (w *world) at(at time.Duration, do func()) {
	w.steps++
	heap.Push(&w.agenda, entry{at, w.steps, do})
}

// publish publishes an event when its time has come, and then those behind it.
func (w *world) publish(i int) {
	if i == len(w.items) {
		return
	}
	w.at(w.items[i].born, func() {
		w.backlog = append(w.backlog, w.items[i])
		w.fetch()
		w.publish(i + 1)
	})
}

// fetch brings events into memory as far as there is room and the breaker wants more.
func (w *world) fetch() {
	for len(w.backlog) > 0 && len(w.inFlight) < maxInFlight && w.breaker.MayFetch(len(w.inFlight)) {
		it := w.backlog[0]
		w.backlog = w.backlog[1:]
		w.inFlight[it] = true
		if !w.replay(it) {
			w.good++
		}
		w.ready(it)
	}
}

func (w *world) replay(it *item) bool { return w.replays && it.poison }

func (w *world) ready(it *item) {
	if it.failed {
		heap.Push(&w.failed, it)
	} else {
		heap.Push(&w.fresh, it)
	}
	w.wake(w.now)
}

// wake has dispatch run at a time, unless it does so earlier anyway.
func (w *world) wake(at time.Duration) {
	if w.wakes > 0 && w.wakes <= at {
		return
	}
	at = max(at, 1)
	w.wakes = at
	w.at(at, func() {
		if w.wakes == at {
			w.wakes = 0
			w.dispatch()
		}
	})
}

// dispatch makes calls as long as there is one to make, a connection, a breaker that lets it go and quota.
func (w *world) dispatch() {
	for w.fresh.Len()+w.failed.Len() > 0 && w.calling < maxCalls {
		if !w.probeGranted {
			admission, until := w.breaker.Admit(w.clock())
			if admission == breaker.Wait {
				if !until.IsZero() {
					w.wake(until.Sub(epoch))
				}
				return
			}
			w.probeGranted = admission == breaker.Probe
		}
		r := w.limiter.Ask(w.clock())
		if !r.Granted {
			w.wake(r.Again.Sub(epoch))
			return
		}
		probe := w.probeGranted
		w.probeGranted = false
		it := w.take(probe)
		it.call, it.called = w.breaker.Begin(w.clock(), probe), true
		w.breaker.Take(&it.attempts)
		if it.attempts.Counted >= maxAttempts {
			w.limiter.Unused(r.Permit)
			if probe {
				w.breaker.Abandon()
			}
			w.end(it, givenUp)
			continue
		}
		w.limiter.Sent(r.Permit, w.clock())
		w.make(it)
	}
}

// take finds the event to call as the queue does: fresh and failed ones take turns, the oldest first; a probe goes to the youngest
// that has not been called, or to the one that was called the longest ago.
func (w *world) take(probe bool) *item {
	if !probe {
		from := &w.fresh
		if w.fresh.Len() == 0 || w.failed.Len() > 0 && !w.lastFailed {
			from = &w.failed
		}
		w.lastFailed = from == &w.failed
		it, _ := heap.Pop(from).(*item)
		return it
	}
	var best *item
	var in *oldestFirst
	index := 0
	for _, from := range []*oldestFirst{&w.fresh, &w.failed} {
		for i, it := range *from {
			if best == nil || betterProbe(it, best) {
				best, in, index = it, from, i
			}
		}
	}
	heap.Remove(in, index)
	return best
}

func betterProbe(a, b *item) bool {
	if a.called || b.called {
		return a.call.Began.Before(b.call.Began) // the zero time of an event that was not called is before all others
	}
	return a.born > b.born
}

// make calls the API, which answers by the state that it is in as the call begins.
func (w *world) make(it *item) {
	r := reply{kind: breaker.Deleted}
	switch {
	case w.isDown != nil && w.isDown(w.now, w.rnd):
		r = w.down
	case it.poison:
		r = w.fails
	}
	if r.took == 0 {
		r.took = 20*time.Millisecond + time.Duration(w.rnd.Int64N(int64(100*time.Millisecond)))
	}
	it.calling = true
	w.calling++
	w.calls++
	w.at(w.now+r.took, func() {
		w.calling--
		w.answered(it, r.kind)
		w.fetch()
		w.wake(w.now)
	})
}

// answered does with an answer what the queue does.
func (w *world) answered(it *item, k breaker.Kind) {
	it.failed = it.failed || k.Failure()
	e := breaker.Evidence{
		Call: it.call, Kind: k, Standing: &it.standing, Replay: w.replay(it),
		Conversation: it.conversation,
		Last:         k == breaker.Coded && it.attempts.Counted+1 >= maxAttempts,
		Few:          k.Failure() && w.good < breaker.AllFail,
		Full:         k.Failure() && len(w.inFlight) >= maxInFlight,
	}
	ruling := w.breaker.Answered(e, w.clock())
	if k.Failure() {
		switch {
		case !ruling.Void:
			w.breaker.Fail(e, &it.attempts, w.clock())
		case e.Call.Probe && w.breaker.IsOpen():
			w.breaker.Probed([]*breaker.Attempts{&it.attempts})
		}
	}
	switch ruling.Change {
	case breaker.Opened:
		w.opens++
		for waiting := range w.inFlight {
			w.breaker.Forget(&waiting.attempts)
			waiting.failures = 0
		}
	case breaker.Closed:
		w.limiter.Ramp(w.clock())
	case breaker.Unchanged, breaker.OtherReason:
	}
	it.calling = false
	switch {
	case ruling.Void:
		w.ready(it)
	case k == breaker.Deleted:
		w.end(it, deleted)
	case it.attempts.Counted >= maxAttempts:
		w.end(it, givenUp)
	default:
		w.at(w.now+w.backoff(it), func() { w.ready(it) })
	}
}

func (w *world) end(it *item, how outcome) {
	it.ended, it.outcome = w.now, how
	delete(w.inFlight, it)
	if !w.replay(it) {
		w.good--
	}
	w.fetch()
}

// backoff is exponential, with a jitter of half of it either way.
func (w *world) backoff(it *item) time.Duration {
	d := min(retryMax, retryInitial<<min(it.failures, 10))
	it.failures++
	return time.Duration(float64(d) * (0.5 + w.rnd.Float64()))
}

// oldestFirst orders ready events for container/heap.
type oldestFirst []*item

func (h oldestFirst) Len() int           { return len(h) }
func (h oldestFirst) Less(i, j int) bool { return h[i].born < h[j].born }
func (h oldestFirst) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *oldestFirst) Push(x any) {
	it, _ := x.(*item)
	*h = append(*h, it)
}

func (h *oldestFirst) Pop() any {
	last := len(*h) - 1
	it := (*h)[last]
	*h = (*h)[:last]
	return it
}

// agenda is what happens when.
type agenda []entry

type entry struct {
	at  time.Duration
	seq int
	do  func()
}

func (a agenda) Len() int { return len(a) }
func (a agenda) Less(i, j int) bool {
	return a[i].at < a[j].at || a[i].at == a[j].at && a[i].seq < a[j].seq
}
func (a agenda) Swap(i, j int) { a[i], a[j] = a[j], a[i] }
func (a *agenda) Push(x any) {
	e, _ := x.(entry)
	*a = append(*a, e)
}

func (a *agenda) Pop() any {
	last := len(*a) - 1
	e := (*a)[last]
	(*a)[last] = entry{}
	*a = (*a)[:last]
	return e
}
