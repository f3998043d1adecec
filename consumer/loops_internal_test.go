package consumer

import (
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"convdel/schema"
)

// TestStuckLoops: a loop stands still if a step of its own takes a minute, or if it waits for a minute for what is there. A loop that
// rests never does.
func TestStuckLoops(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 25, 10, 0, 0, 0, time.UTC)
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	for _, c := range []struct {
		name  string
		step  step
		since time.Time // zero: it does not stand still
	}{
		{"a step", step{since: ago(59 * time.Second)}, time.Time{}},
		{"a step of a minute", step{since: ago(time.Minute)}, ago(time.Minute)},
		{"rests", step{}, time.Time{}},
		{"nothing to do", step{idle: ago(time.Hour)}, time.Time{}},
		{"busy", step{ready: ago(time.Hour)}, time.Time{}},
		{"has just got something to do", step{idle: ago(time.Hour), ready: ago(time.Second)}, time.Time{}},
		{"has just begun to wait", step{idle: ago(time.Second), ready: ago(time.Hour)}, time.Time{}},
		{"was not woken", step{idle: ago(time.Hour), ready: ago(2 * time.Minute)}, ago(2 * time.Minute)},
	} {
		c.step.name = c.name
		got := stuckLoops([]step{{name: "another"}, c.step}, now)
		var want []StuckLoop
		if !c.since.IsZero() {
			want = []StuckLoop{{Name: c.name, Since: c.since}}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", c.name, got, want)
		}
	}
}

// TestLockHeldForEverIsNoticed: a loop that waits for a lock that nobody gives back stands still, and the evidence can be had
// nevertheless.
func TestLockHeldForEverIsNoticed(t *testing.T) {
	t.Parallel()
	q, watched := testQueue(t), newLoops()
	ctx, end := watched.begin(t.Context(), "dispatch calls")
	q.mu.Lock()
	done := make(chan error)
	go func() {
		defer end()
		done <- q.awaitReady(ctx)
	}()
	later := time.Now().Add(stuckAfter + time.Second)
	if stuck := stuckLoops(watched.steps(), later); len(stuck) != 1 || stuck[0].Name != "dispatch calls" {
		t.Errorf("stuck: %v", stuck)
	}
	q.pushReadyLocked(&pending{index: -1})
	q.mu.Unlock()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if stuck := stuckLoops(watched.steps(), later); stuck != nil {
		t.Errorf("stuck after its end: %v", stuck)
	}
}

// TestTakerThatIsNotWoken: a conversation that is ready while the loop that takes it waits for one is noticed.
func TestTakerThatIsNotWoken(t *testing.T) {
	t.Parallel()
	q := testQueue(t)
	taker := new(loop)
	q.watch(taker)
	taker.idles(true)
	at := func() []StuckLoop {
		s := step{name: "taker", since: taker.since.get(), idle: taker.idle.get(), ready: taker.ready.get()}
		return stuckLoops([]step{s}, time.Now().Add(stuckAfter+time.Second))
	}
	if stuck := at(); stuck != nil {
		t.Errorf("with nothing to take: %v", stuck)
	}
	q.join(&event{conversation: schema.Conversation{From: "a", Type: schema.C2C, To: "b"}, at: time.Now()})
	if stuck := at(); len(stuck) != 1 {
		t.Errorf("not woken: %v", stuck)
	}
	taker.idles(false)
	if p, _ := q.take(false); p == nil {
		t.Fatal("nothing to take")
	}
	taker.idles(true)
	if stuck := at(); stuck != nil {
		t.Errorf("when all is taken: %v", stuck)
	}
}

func testQueue(t *testing.T) *queue {
	t.Helper()
	cfg := Config{MaxAttempts: 6, RetryInitial: time.Second, RetryMax: time.Second, CallTimeout: time.Second, Metrics: NewMetrics(prometheus.NewRegistry())}
	guard := newBreakerGuard(cfg, guardedCalls(), func() {})
	return newQueue(cfg, guard, func(*event) bool { return false }, func() bool { return false }, func(int) {})
}
