package consumer_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"convdel/consumer"
	"convdel/internal/testkit"
	"convdel/schema"
)

// fakeAPI answers calls in virtual time and remembers them.
type fakeAPI struct {
	mu      sync.Mutex
	latency time.Duration
	// answer decides, given how many calls for the conversation came before; nil deletes everything.
	answer func(c consumer.Call, before int) consumer.Answer
	calls  []apiCall
	// deleted counts the successful calls per conversation.
	deleted map[schema.Conversation]int
	count   map[schema.Conversation]int
	under   map[schema.Conversation]int
	// most is the greatest number of calls for one conversation at once, atOnce of all.
	most, atOnce, now int
}

type apiCall struct {
	schema.Conversation
	clearRamble bool
	began       time.Time
	verdict     consumer.Verdict
}

func newFakeAPI() *fakeAPI {
	return &fakeAPI{
		latency: 50 * time.Millisecond, deleted: make(map[schema.Conversation]int),
		count: make(map[schema.Conversation]int), under: make(map[schema.Conversation]int),
	}
}

func (a *fakeAPI) Delete(ctx context.Context, c consumer.Call) consumer.Answer {
	a.mu.Lock()
	before, latency, answer := a.count[c.Conversation], a.latency, a.answer
	a.count[c.Conversation]++
	a.under[c.Conversation]++
	a.now++
	a.most, a.atOnce = max(a.most, a.under[c.Conversation]), max(a.atOnce, a.now)
	index := len(a.calls)
	a.calls = append(a.calls, apiCall{Conversation: c.Conversation, clearRamble: c.ClearRamble, began: time.Now()})
	a.mu.Unlock()
	c.Sent()
	got := consumer.Answer{Verdict: consumer.Deleted}
	if answer != nil {
		got = answer(c, before)
	}
	if latency > 0 { // a timer that is due at once crashes Go 1.26's race detector in a bubble, now and then
		timer := time.NewTimer(latency)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			got = consumer.Answer{Verdict: consumer.Transient, Err: ctx.Err()}
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.under[c.Conversation]--
	a.now--
	a.calls[index].verdict = got.Verdict
	if got.Verdict == consumer.Deleted {
		a.deleted[c.Conversation]++
	}
	return got
}

// set changes the API's behaviour while it runs.
func (a *fakeAPI) set(latency time.Duration, answer func(consumer.Call, int) consumer.Answer) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.latency, a.answer = latency, answer
}

func (a *fakeAPI) made() []apiCall {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.calls)
}

// deletes counts the successful calls per conversation.
func (a *fakeAPI) deletes() map[schema.Conversation]int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return maps.Clone(a.deleted)
}

// peak is the greatest number of calls that began in any second, both ends included.
func (a *fakeAPI) peak() int {
	var times []time.Time
	for _, c := range a.made() {
		times = append(times, c.began)
	}
	return testkit.MostIn(time.Second, times)
}

var errAPI = errors.New("the API said no")

// verdict makes an answer.
func verdict(v consumer.Verdict, code int) consumer.Answer {
	if v == consumer.Deleted {
		return consumer.Answer{Verdict: v}
	}
	return consumer.Answer{
		Verdict: v, Code: code, Err: errAPI,
		Denied: code == 50003,
	}
}

// kinds of events in the ledger tests, by number modulo 10.
func mixedAnswer(c consumer.Call, before int) consumer.Answer {
	var n int
	if _, err := fmt.Sscanf(c.From, "user%d", &n); err != nil {
		return verdict(consumer.Permanent, 50002)
	}
	switch n % 10 {
	case 1:
		return verdict(consumer.Permanent, 50001)
	case 2:
		return verdict(consumer.Transient, 50004) // for ever
	case 3:
		if before < 3 {
			return verdict(consumer.Transient, 50005)
		}
	case 4:
		if before < 2 {
			return verdict(consumer.Throttled, 60007)
		}
	case 5:
		if before < 1 {
			return verdict(consumer.Again, 70001)
		}
	}
	return verdict(consumer.Deleted, 0)
}

// TestHangingAPI: calls that never answer end by their timeout, and use up what a call uses up.
func TestHangingAPI(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{}, func(w *world) {
		w.api.set(time.Hour, nil)
		w.publish(0, eventValues(0, 100)...)
		w.start(func(c *consumer.Config) { c.API = timeoutAPI{w.api, 5 * time.Second} })
		time.Sleep(20 * time.Second)
		w.api.set(50*time.Millisecond, nil)
		w.awaitDrained(5 * time.Minute)
		w.wantDeletedOnce(0, 100)
	})
}

// timeoutAPI gives each call a timeout, as the real client does.
type timeoutAPI struct {
	api     consumer.API
	timeout time.Duration
}

func (a timeoutAPI) Delete(ctx context.Context, c consumer.Call) consumer.Answer {
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	return a.api.Delete(ctx, c)
}
