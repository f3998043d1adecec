package consumer_test

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"convdel/consumer"
	"convdel/consumer/redisbudget"
	"convdel/internal/testkit"
)

const budgetKey = "convdel:quota:test"

// redisServer is a Redis in the bubble, for all replicas of a world.
type redisServer struct {
	w *world
	*testkit.Redis
}

func (w *world) startRedis() *redisServer {
	return &redisServer{w: w, Redis: testkit.NewRedis()}
}

// budget makes a replica use the Redis.
func (r *redisServer) budget(c *consumer.Config) {
	b, err := redisbudget.New(redisbudget.Config{
		URL: func() (string, error) { return "redis://redis:6379", nil },
		Key: budgetKey, CallsPerSecond: c.CallsPerSecond, Dial: r.DialContext,
	})
	if err != nil {
		r.w.t.Fatal(err)
	}
	c.Budget = b
	// The Redis client's goroutine that dials once a second notices late.
	r.w.closers = append(r.w.closers, func() { _ = b.Close() }, r.Close, func() { time.Sleep(2 * time.Second) })
}

// usedOver is the part of the quota that is used from now on for d.
func (w *world) usedOver(d time.Duration) float64 {
	before := len(w.api.made())
	time.Sleep(d)
	return float64(len(w.api.made())-before) / (200 * d.Seconds())
}

func (w *world) wantPeak() {
	w.t.Helper()
	if peak := w.api.peak(); peak > 200 {
		w.t.Errorf("%d calls in a second", peak)
	}
}

// awaitMembers waits until so many replicas own partitions.
func (w *world) awaitMembers(n int) {
	w.t.Helper()
	w.await(time.Minute, "all replicas in the group", func() bool {
		members := 0
		for _, r := range w.replicas {
			if s := r.Status(); s.Live && s.Partitions > 0 {
				members++
			}
		}
		return members == n
	})
}

// TestPromise3_RedisBudget: three replicas use the quota and never more, wherever the backlog is,
// while one joins, one leaves and one is killed.
func TestPromise3_RedisBudget(t *testing.T) {
	t.Parallel()
	for name, partitions := range map[string][]int32{"balanced": {0, 1, 2, 3, 4, 5}, "skewed": {4}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inWorld(t, worldOptions{partitions: 6}, func(w *world) {
				redis := w.startRedis()
				redis.SetSlow(3 * time.Millisecond)
				for i, p := range partitions {
					each := 20_000 / len(partitions)
					w.publish(p, eventValues(i*each, (i+1)*each)...)
				}
				for range 3 {
					w.start(redis.budget)
				}
				w.awaitMembers(3)
				time.Sleep(5 * time.Second)
				if used := w.usedOver(20 * time.Second); used < 0.985 {
					w.t.Errorf("%.4f of the quota used", used)
				}
				w.start(redis.budget)
				w.awaitMembers(4)
				w.replicas[0].stop()
				time.Sleep(3 * time.Second)
				w.replicas[1].kill()
				time.Sleep(20 * time.Second)
				w.wantPeak()
				if calls, asked := len(w.api.made()), redis.TakeAsked(); asked > calls/2 {
					w.t.Errorf("Redis asked %d times for %d calls", asked, calls)
				}
				if strings.Contains(w.log.String(), "the shared budget fails") {
					w.t.Error("a healthy Redis was given up")
				}
			})
		})
	}
}

// TestRedisBudgetFallsBack: a Redis that dies or hangs costs a moment and never the quota; the
// shares of the partitions count until it is back.
func TestRedisBudgetFallsBack(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]struct{ begin, end func(*redisServer) }{
		"dies":  {func(r *redisServer) { r.Die() }, func(r *redisServer) { r.Rise() }},
		"hangs": {func(r *redisServer) { r.SetSlow(2 * time.Hour) }, func(r *redisServer) { r.SetSlow(time.Millisecond) }},
		"slow":  {func(r *redisServer) { r.SetSlow(400 * time.Millisecond) }, func(r *redisServer) { r.SetSlow(time.Millisecond) }},
		"refuses": {
			func(r *redisServer) { r.SetError("LOADING Redis is loading the dataset in memory") },
			func(r *redisServer) { r.SetError("") },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inWorld(t, worldOptions{partitions: 3}, func(w *world) {
				redis := w.startRedis()
				redis.SetSlow(time.Millisecond)
				w.publish(1, eventValues(0, 15_000)...)
				for range 3 {
					w.start(redis.budget)
				}
				w.awaitMembers(3)
				time.Sleep(5 * time.Second)
				fault.begin(redis)
				time.Sleep(time.Second)
				if n := w.fallenBack(); n == 0 { // those without work need not have noticed
					w.t.Error("no replica has fallen back within a second")
				}
				time.Sleep(time.Second)
				if used := w.usedOver(10 * time.Second); used < 0.32 || used > 0.34 {
					w.t.Errorf("%.4f of the quota used by the one with a third of it", used)
				}
				fault.end(redis)
				time.Sleep(6 * time.Second)
				if n := w.fallenBack(); n != 0 {
					w.t.Errorf("%d replicas still without Redis", n)
				}
				if used := w.usedOver(10 * time.Second); used < 0.985 {
					w.t.Errorf("%.4f of the quota used afterwards", used)
				}
				w.wantPeak()
				if n := strings.Count(w.log.String(), "falling back"); n == 0 || n > 3 {
					w.t.Errorf("%d log lines of the fall", n)
				}
			})
		})
	}
}

func (w *world) fallenBack() int {
	n := 0
	for _, r := range w.replicas {
		if r.Status().QuotaFallback != (r.metric("convdel_quota_fallback") == 1) {
			w.t.Error("status and metric differ")
		}
		n += int(r.metric("convdel_quota_fallback"))
	}
	return n
}

// TestRedisBudgetComesBackEmpty: what Redis has forgotten still counts at the API.
func TestRedisBudgetComesBackEmpty(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{partitions: 3}, func(w *world) {
		redis := w.startRedis()
		for p := range int32(3) {
			w.publish(p, eventValues(int(p)*10_000, int(p)*10_000+5000)...)
		}
		for range 3 {
			w.start(redis.budget)
		}
		w.awaitMembers(3)
		for range 5 {
			time.Sleep(3500 * time.Millisecond)
			redis.FlushAll()
		}
		redis.Die()
		time.Sleep(200 * time.Millisecond)
		redis.FlushAll()
		redis.Rise()
		time.Sleep(10 * time.Second)
		w.wantPeak()
		if used := w.usedOver(5 * time.Second); used < 0.985 {
			w.t.Errorf("%.4f of the quota used afterwards", used)
		}
	})
}

// TestRedisNotThereAtTheStart is a warning, not an error; work begins with the share.
func TestRedisNotThereAtTheStart(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{partitions: 2}, func(w *world) {
		redis := w.startRedis()
		redis.Die()
		w.publish(0, eventValues(0, 300)...)
		r := w.start(redis.budget)
		w.awaitDrained(time.Minute)
		w.wantDeletedOnce(0, 300)
		if r.metric("convdel_quota_fallback") != 1 || !strings.Contains(w.log.String(), "falling back") {
			w.t.Error("neither log nor metric tell that Redis is not there")
		}
	})
}

// TestRedisBudgetThrottled: throttled answers slow the app down although the budget has more.
func TestRedisBudgetThrottled(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{partitions: 3}, func(w *world) {
		redis := w.startRedis()
		for p := range int32(3) {
			w.publish(p, eventValues(int(p)*10_000, int(p)*10_000+5000)...)
		}
		for range 3 {
			w.start(redis.budget)
		}
		w.awaitMembers(3)
		time.Sleep(5 * time.Second)
		w.api.set(50*time.Millisecond, func(consumer.Call, int) consumer.Answer { return verdict(consumer.Throttled, 60007) })
		time.Sleep(5 * time.Second)
		if used := w.usedOver(2 * time.Second); used > 0.3 {
			w.t.Errorf("%.2f of the quota used, and all of it throttled", used)
		}
		w.api.set(50*time.Millisecond, nil)
		time.Sleep(25 * time.Second)
		if used := w.usedOver(5 * time.Second); used < 0.98 {
			w.t.Errorf("%.4f of the quota used after the recovery", used)
		}
	})
}

// lateAPI sends some calls late, as new connections do.
type lateAPI struct {
	*fakeAPI
	mu sync.Mutex
	n  int
}

func (a *lateAPI) Delete(ctx context.Context, c consumer.Call) consumer.Answer {
	a.mu.Lock()
	a.n++
	late := a.n%400 < 20
	a.mu.Unlock()
	if late {
		time.Sleep(300 * time.Millisecond)
	}
	return a.fakeAPI.Delete(ctx, c)
}

// TestRedisBudgetMakesUpForLateCalls: bursts of calls that leave late must not crowd the others' seconds.
func TestRedisBudgetMakesUpForLateCalls(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{partitions: 3}, func(w *world) {
		redis := w.startRedis()
		for p := range int32(3) {
			w.publish(p, eventValues(int(p)*10_000, int(p)*10_000+3000)...)
		}
		api := &lateAPI{fakeAPI: w.api}
		for range 3 {
			w.start(redis.budget, func(c *consumer.Config) { c.API = api })
		}
		w.awaitMembers(3)
		time.Sleep(20 * time.Second)
		w.wantPeak()
		if n := len(w.api.made()); n < 3300 {
			w.t.Errorf("only %d calls in 20 s", n)
		}
		if !slices.IsSortedFunc(w.api.made(), func(a, b apiCall) int { return a.began.Compare(b.began) }) {
			w.t.Error("calls out of order")
		}
	})
}

// TestRedisBudgetWhenIdle: an event that comes alone is called at once, costs one round trip, and reserves nothing
// for others that are not there.
func TestRedisBudgetWhenIdle(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{}, func(w *world) {
		redis := w.startRedis()
		redis.SetSlow(2 * time.Millisecond)
		w.start(redis.budget)
		w.awaitMembers(1)
		time.Sleep(5 * time.Second)
		redis.TakeAsked()
		var published []time.Time
		for n := range 20 {
			published = append(published, time.Now())
			w.publish(0, eventValue(n))
			time.Sleep(3 * time.Second)
		}
		for i, c := range w.api.made() {
			if late := c.began.Sub(published[i]); late > 20*time.Millisecond {
				w.t.Errorf("call %d %s after its event", i, late)
			}
		}
		if n, asked := len(w.api.made()), redis.TakeAsked(); n != 20 || asked > 20 {
			w.t.Errorf("%d calls, Redis asked %d times", n, asked)
		}
	})
}

// countingAPI counts a replica's calls.
type countingAPI struct {
	consumer.API
	n atomic.Int64
}

func (a *countingAPI) Delete(ctx context.Context, c consumer.Call) consumer.Answer {
	a.n.Add(1)
	return a.API.Delete(ctx, c)
}

// TestRedisBudgetLostOneByOne: one replica loses Redis before the other does, and the other gets it back first. Neither
// adds its share to the whole quota that the other still has, or has again.
func TestRedisBudgetLostOneByOne(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{partitions: 2}, func(w *world) {
		busy := w.startRedis()
		idle := &redisServer{w: w, Redis: busy.Another()}
		w.publish(0, eventValues(0, 10_000)...)
		counts := []*countingAPI{{API: w.api}, {API: w.api}}
		for i, redis := range []*redisServer{busy, idle} {
			w.start(redis.budget, func(c *consumer.Config) { c.API = counts[i] })
		}
		w.awaitMembers(2)
		before := counts[0].n.Load()
		time.Sleep(5 * time.Second)
		if counts[0].n.Load() == before { // the other one has the partition
			busy, idle = idle, busy
		}
		idle.Die()
		w.publish(1, eventValues(10_000, 20_000)...)
		time.Sleep(600 * time.Millisecond)
		busy.Die()
		time.Sleep(10*time.Second + 100*time.Millisecond)
		busy.Rise()
		time.Sleep(800 * time.Millisecond)
		idle.Rise()
		time.Sleep(10 * time.Second)
		w.wantPeak()
		if n := w.fallenBack(); n != 0 {
			w.t.Errorf("%d replicas still without Redis", n)
		}
	})
}

// TestPromise3_RedisThatLies: whatever another program does to the key, calls go on by the shares, no second holds more than the quota once that is
// noticed, and log and metric say so.
func TestPromise3_RedisThatLies(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		lie  func(now time.Time) string
		logs string
	}{
		"the key is moved ahead": {
			func(now time.Time) string { return micros(now.Add(2900 * time.Millisecond)) }, "it gives no departures, though it answers",
		},
		"the key is moved just too far ahead": {
			func(now time.Time) string { return micros(now.Add(1012 * time.Millisecond)) }, "it gives no departures, though it answers",
		},
		"the key is nonsense":   {func(time.Time) string { return "nonsense" }, "it gives no departures, though it answers"},
		"the key is moved back": {func(time.Time) string { return "1" }, "the key has gone back"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inWorld(t, worldOptions{partitions: 3}, func(w *world) {
				redis := w.startRedis()
				redis.SetSlow(time.Millisecond)
				for p := range int32(3) {
					w.publish(p, eventValues(int(p)*10_000, int(p)*10_000+5000)...)
				}
				for range 3 {
					w.start(redis.budget)
				}
				w.awaitMembers(3)
				time.Sleep(5 * time.Second)
				end := make(chan struct{})
				var lying sync.WaitGroup
				lying.Go(func() {
					for {
						_ = redis.Set(budgetKey, c.lie(time.Now()))
						select {
						case <-end:
							return
						case <-time.After(10 * time.Millisecond):
						}
					}
				})
				time.Sleep(6 * time.Second)
				before := len(w.api.made())
				if used := w.usedOver(10 * time.Second); used < 0.6 {
					w.t.Errorf("%.4f of the quota used", used)
				}
				var times []time.Time
				for _, call := range w.api.made()[before:] {
					times = append(times, call.began)
				}
				if most := testkit.MostIn(time.Second, times); most > 200 {
					w.t.Errorf("%d calls in a second", most)
				}
				if n := strings.Count(w.log.String(), "falling back"); n > 15 {
					w.t.Errorf("%d log lines", n)
				}
				if log := w.log.String(); !strings.Contains(log, "falling back") || !strings.Contains(log, c.logs) {
					w.t.Errorf("the log does not say %q", c.logs)
				}
				if w.fallenBack() == 0 {
					w.t.Error("the metric does not say so")
				}
				close(end)
				lying.Wait()
				time.Sleep(20 * time.Second)
				if n := w.fallenBack(); n != 0 {
					w.t.Errorf("%d replicas still without Redis", n)
				}
				if used := w.usedOver(5 * time.Second); used < 0.985 {
					w.t.Errorf("%.4f of the quota used afterwards", used)
				}
			})
		})
	}
}

func micros(at time.Time) string { return strconv.FormatInt(at.UnixMicro(), 10) }
