package consumer_test

import (
	"context"
	"sync"
	"time"

	"convdel/consumer"
	"convdel/internal/testkit"
	"convdel/schema"
)

// fakeLists answers lists in virtual time and remembers them.
type fakeLists struct {
	mu sync.Mutex
	// latency is that of a page, pages how many a list has; 0 is one.
	latency time.Duration
	pages   int
	// fails gives the answer to a list that fails; nil for one that does not. doubt is a list's doubt.
	fails func(account string) *consumer.Answer
	doubt string
	last  map[schema.Conversation]time.Time
	read  []listRead
	calls []time.Time
	// cut is how many calls were cut off.
	cut int
}

// listRead is a list that was asked for.
type listRead struct {
	account string
	at      time.Time
	failed  bool
}

func newFakeLists() *fakeLists {
	return &fakeLists{latency: 50 * time.Millisecond, last: make(map[schema.Conversation]time.Time)}
}

func (f *fakeLists) Read(ctx context.Context, r consumer.ListRequest) consumer.ListAnswer {
	f.mu.Lock()
	latency, pages, doubt, fails := f.latency, max(1, f.pages), f.doubt, f.fails
	f.mu.Unlock()
	read := listRead{account: r.Account}
	for page := range pages {
		if err := r.Permit(ctx); err != nil {
			return consumer.ListAnswer{Failed: &consumer.Answer{Verdict: consumer.Transient, Err: err}}
		}
		f.mu.Lock()
		f.calls = append(f.calls, time.Now())
		if page == 0 {
			read.at = time.Now()
		}
		f.mu.Unlock()
		r.Sent()
		timer := time.NewTimer(latency)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			f.set(func() { f.cut++ })
			return consumer.ListAnswer{Failed: &consumer.Answer{Verdict: consumer.Transient, Err: ctx.Err()}}
		}
	}
	var failed *consumer.Answer
	if fails != nil {
		failed = fails(r.Account)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	read.failed = failed != nil
	f.read = append(f.read, read)
	if failed != nil {
		return consumer.ListAnswer{Failed: failed}
	}
	for c, last := range f.last {
		if c.From == r.Account && !r.Show(c, last) {
			break
		}
	}
	return consumer.ListAnswer{Doubt: doubt}
}

// set changes the lists while the service runs.
func (f *fakeLists) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

// of is how many lists of an account were read to their end, failed ones included.
func (f *fakeLists) of(account string) (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, r := range f.read {
		if r.account == account {
			n++
		}
	}
	return n
}

// made is how many calls were made for lists, and how many of them were cut off.
func (f *fakeLists) made() (calls, cut int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.calls), f.cut
}

// checked has replicas check events older than a minute by these lists.
func (f *fakeLists) checked(c *consumer.Config) { c.RevivedCheck, c.Lists = time.Minute, f }

func (f *fakeLists) peak() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return testkit.MostIn(time.Second, f.calls)
}

// endings are the dead letters by user, each with its class.
func (w *world) endings() map[string]string {
	w.t.Helper()
	classes := make(map[string]string)
	for _, l := range w.deadLetters() {
		if l.Value == nil {
			continue
		}
		e, err := schema.Decode(l.Value, testkit.Headers(l))
		if err != nil {
			w.t.Fatal(err)
		}
		classes[e.From] = testkit.Header(l, "dlt-class")
	}
	return classes
}

// labelled returns the value of a metric with a label.
func (r *replica) labelled(name, label string) float64 {
	r.w.t.Helper()
	families, err := r.registry.Gather()
	if err != nil {
		r.w.t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == name && m.GetLabel()[0].GetValue() == label {
				return m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	r.w.t.Fatalf("no metric %s with %s", name, label)
	return 0
}
