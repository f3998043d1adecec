package consumer

// callers runs calls on goroutines that are kept for the next call: net/http needs a deep stack, and
// growing one anew for each call costs more than the rest of the way to the API together.
type callers struct {
	jobs chan func()
	stop chan struct{}
}

func newCallers() *callers { return &callers{jobs: make(chan func()), stop: make(chan struct{})} }

// run starts job on an idle goroutine, or on a new one. How many there are is bounded by who calls.
func (c *callers) run(job func()) {
	select {
	case c.jobs <- job:
	default:
		go c.loop(job)
	}
}

func (c *callers) loop(job func()) {
	for {
		job()
		select {
		case job = <-c.jobs:
		case <-c.stop:
			return
		}
	}
}

// close lets the idle goroutines go, and the busy ones when they are done.
func (c *callers) close() { close(c.stop) }
