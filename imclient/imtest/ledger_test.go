package imtest_test

import (
	"errors"
	"net"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"convdel/imclient/imtest"
)

// TestQuotaHoldsForAnySecond calls at random times and compares with a model that counts every possible second.
func TestQuotaHoldsForAnySecond(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		quota := rapid.IntRange(1, 6).Draw(rt, "quota")
		gaps := rapid.SliceOfN(rapid.SampledFrom([]int{0, 1, 199, 200, 250, 333, 500, 999, 1000, 1001, 2500}), 1, 40).Draw(rt, "gaps")
		synctest.Test(t, func(t *testing.T) {
			cfg := config()
			cfg.Quota = quota
			sim, c := bubble(t, cfg)
			var let, all []time.Time
			peak := 0
			within := func(times []time.Time, now time.Time) int {
				n := 0
				for _, at := range times {
					if now.Sub(at) <= time.Second {
						n++
					}
				}
				return n
			}
			for _, gap := range gaps {
				time.Sleep(time.Duration(gap) * time.Millisecond)
				now := time.Now()
				want := 60007
				if within(let, now) < quota {
					want = 0
					let = append(let, now)
				}
				all = append(all, now)
				peak = max(peak, within(all, now))
				if code := c.call(t, "a"); code != want {
					t.Errorf("quota %d, calls at %v: code %d, want %d", quota, all, code, want)
				}
			}
			stats := sim.Stats()
			if stats.PeakPerSecond != peak || sim.PeakPerSecond() != peak {
				t.Errorf("peak %d, want %d", stats.PeakPerSecond, peak)
			}
			if stats.Calls != len(all) || stats.Throttled != len(all)-len(let) || stats.Deletes != len(let) {
				t.Errorf("%+v, want %d calls, %d let through", stats, len(all), len(let))
			}
		})
	})
}

// TestSecondHasBothEnds: a limiter that spaces calls evenly has to know that both ends of a second are included.
func TestSecondHasBothEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		sim, c := bubble(t, config())
		c.call(t, "a")
		time.Sleep(time.Second)
		c.call(t, "a")
		if peak := sim.PeakPerSecond(); peak != 2 {
			t.Errorf("peak %d for calls one second apart, want 2", peak)
		}
		sim.Reset()
		c.call(t, "a")
		time.Sleep(time.Second + 1)
		c.call(t, "a")
		if peak := sim.PeakPerSecond(); peak != 1 {
			t.Errorf("peak %d for calls more than one second apart, want 1", peak)
		}
	})
}

func TestConcurrent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cfg := config()
		cfg.Latency = imtest.Fixed(time.Second)
		sim, c := bubble(t, cfg)
		together := func(accounts ...string) {
			var all sync.WaitGroup
			for _, account := range accounts {
				all.Go(func() { c.call(t, account) })
			}
			all.Wait()
		}
		// Two calls in sequence are never under way at once, however close they are.
		for range 50 {
			together("a")
		}
		if overall, one := sim.Concurrent(); overall != 1 || one != 1 {
			t.Errorf("one after another: %d, %d", overall, one)
		}
		together("a", "b", "c")
		if overall, one := sim.Concurrent(); overall != 3 || one != 1 {
			t.Errorf("three conversations: %d, %d", overall, one)
		}
		together("a", "b", "a", "c")
		if overall, one := sim.Concurrent(); overall != 4 || one != 2 {
			t.Errorf("one of them twice: %d, %d", overall, one)
		}
		sim.Reset()
		if overall, one := sim.Concurrent(); overall != 0 || one != 0 {
			t.Errorf("after Reset: %d, %d", overall, one)
		}
	})
}

// TestDripIsUnderWayToItsEnd: a dripping answer keeps its call under way until its end.
func TestDripIsUnderWayToItsEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		sim, c := bubble(t, config())
		var all sync.WaitGroup
		all.Go(func() { c.call(t, "drip-6800") })
		all.Go(func() {
			time.Sleep(5 * time.Second)
			c.call(t, "drip-6800")
		})
		all.Wait()
		if _, one := sim.Concurrent(); one != 2 {
			t.Errorf("%d at once, want 2", one)
		}
	})
}

func TestRecordLimit(t *testing.T) {
	t.Parallel()
	for _, limit := range []int{-1, 1, 3, 7, 100} {
		cfg := config()
		cfg.RecordLimit = limit
		sim, c := start(t, cfg)
		for part := range 2 {
			for n := range 10 {
				c.call(t, strconv.Itoa(n))
				var want []string
				for k := max(0, n+1-max(limit, 0)); k <= n; k++ {
					want = append(want, strconv.Itoa(k))
				}
				var got []string
				for _, a := range sim.Arrivals() {
					got = append(got, a.From)
					if a.HTTPStatus != 200 {
						t.Errorf("limit %d: %+v", limit, a)
					}
				}
				if !slices.Equal(got, want) {
					t.Errorf("limit %d, part %d: got %v, want %v", limit, part, got, want)
				}
			}
			remembered := 0
			for n := range 10 {
				remembered += sim.Deleted(strconv.Itoa(n), 1, "b")
			}
			if want := min(10, max(0, limit)); remembered != want {
				t.Errorf("limit %d: %d deletions remembered, want %d", limit, remembered, want)
			}
			stats := sim.Stats()
			if stats.Calls != 10 || stats.Deletes != 10 || stats.PeakPerSecond == 0 || stats.Underway != 0 {
				t.Errorf("limit %d: %+v", limit, stats)
			}
			sim.Reset()
		}
	}
}

// TestResetWhileCalling: calls that are under way during a Reset are not mixed up with later ones.
func TestResetWhileCalling(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cfg := config()
		cfg.Latency = imtest.Fixed(time.Second)
		sim, c := bubble(t, cfg)
		var all sync.WaitGroup
		all.Go(func() { c.call(t, "old") })
		time.Sleep(time.Second / 2)
		sim.Reset()
		all.Go(func() { c.call(t, "code-50001") })
		all.Wait()
		arrivals := sim.Arrivals()
		if len(arrivals) != 1 || arrivals[0].From != "code-50001" || arrivals[0].Code != 50001 {
			t.Errorf("arrivals %+v", arrivals)
		}
		if stats := sim.Stats(); stats.Underway != 0 || stats.PeakConcurrent != 2 || stats.Calls != 1 {
			t.Errorf("%+v", stats)
		}
	})
}

func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	cfg := config()
	cfg.Quota = 500
	cfg.RecordLimit = 100
	sim, c := start(t, cfg)
	var all sync.WaitGroup
	for worker := range 16 {
		all.Go(func() {
			for n := range 50 {
				c.call(t, strconv.Itoa(worker*n%7))
				_ = sim.Arrivals()
				sim.Script(imtest.Fault{Account: "nobody"}).Remove()
			}
		})
	}
	all.Wait()
	stats := sim.Stats()
	if stats.Calls != 800 || stats.Deletes+stats.Throttled != 800 || stats.Underway != 0 {
		t.Errorf("%+v", stats)
	}
	if overall, _ := sim.Concurrent(); overall > 16 {
		t.Errorf("%d at once from 16 callers", overall)
	}
}

func TestServeReportsABrokenListener(t *testing.T) {
	t.Parallel()
	sim := imtest.New(config())
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = listener.Close()
	if err := sim.Serve(listener); !errors.Is(err, net.ErrClosed) {
		t.Errorf("got %v", err)
	}
	sim.Close()
	if err := sim.Serve(listener); err != nil {
		t.Errorf("after Close: %v", err)
	}
}
