package consumer

// goroutinePool runs calls on goroutines that it keeps for the next call. net/http needs a deep stack, and growing a new stack for
// each call costs more than all other work of a call.
type goroutinePool struct {
	jobs chan func()
	stop chan struct{}
}

func newGoroutinePool() *goroutinePool {
	return &goroutinePool{jobs: make(chan func()), stop: make(chan struct{})}
}

// run starts job on an idle goroutine, or on a new one. The number of calls under way bounds the number of goroutines.
func (g *goroutinePool) run(job func()) {
	select {
	case g.jobs <- job:
	default:
		go g.loop(job)
	}
}

func (g *goroutinePool) loop(job func()) {
	for {
		job()
		select {
		case job = <-g.jobs:
		case <-g.stop:
			return
		}
	}
}

// close ends the idle goroutines at once, and the busy ones when they are done.
func (g *goroutinePool) close() { close(g.stop) }
