package consumer

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// departures makes calls for a while, each leaving after delay, and returns when they left.
func departures(t *testing.T, l *limiter, d time.Duration, delay func() time.Duration) []time.Time {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	var (
		mu   sync.Mutex
		left []time.Time
		wg   sync.WaitGroup
	)
	for {
		p, err := l.wait(ctx)
		if err != nil {
			p.unused()
			break
		}
		wg.Go(func() {
			time.Sleep(delay())
			p.sent()
			mu.Lock()
			defer mu.Unlock()
			left = append(left, time.Now())
		})
	}
	wg.Wait()
	slices.SortFunc(left, time.Time.Compare)
	return left
}

// mostIn returns the greatest number of times within any closed interval of length d.
func mostIn(d time.Duration, times []time.Time) int {
	most, from := 0, 0
	for i, at := range times {
		for at.Sub(times[from]) > d {
			from++
		}
		most = max(most, i-from+1)
	}
	return most
}

func TestLimiterUsesTheQuotaAndNeverMore(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name  string
		least float64 // the part of the quota that is used
		delay func() time.Duration
	}{
		{"at once", 0.985, func() time.Duration { return 0 }},
		{"up to 5 ms late", 0.985, func() time.Duration { return rand.N(5 * time.Millisecond) }},
		// A permit counts while its request has not left: what is late costs its share.
		{"one in twenty 200 ms late", 0.97, func() time.Duration {
			if rand.N(20) == 0 {
				return 200 * time.Millisecond
			}
			return 0
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l := newLimiter(false)
				l.setQuota(200)
				time.Sleep(window)
				times := departures(t, l, 30*time.Second, tc.delay)
				if most := mostIn(time.Second, times); most > 200 {
					t.Errorf("%d departures in a second", most)
				}
				if used := float64(len(times)) / 6000; used < tc.least {
					t.Errorf("%.3f of the quota used, want %.3f", used, tc.least)
				}
			})
		})
	}
}

func TestLimiterQuietAfterAChange(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(false)
		began := time.Now()
		l.setQuota(200)
		p, err := l.wait(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		p.sent()
		if quiet := time.Since(began); quiet < time.Second {
			t.Errorf("first call %s after a new quota: another replica's calls may still count", quiet)
		}
	})
}

func TestLimiterWithoutQuotaLetsNothingGo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(false)
		l.setQuota(0)
		if n := len(departures(t, l, time.Minute, func() time.Duration { return 0 })); n != 0 {
			t.Errorf("%d departures without a quota", n)
		}
	})
}

func TestLimiterSlowsDownWhenThrottledAndRecovers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(false)
		l.setQuota(200)
		time.Sleep(window)
		for range 50 {
			l.throttled() // a burst of such answers is one reason to slow down
		}
		slow := len(departures(t, l, time.Second, func() time.Duration { return 0 }))
		if slow > 150 || slow < 100 {
			t.Errorf("%d calls in the second after throttled answers, want about 140", slow)
		}
		time.Sleep(10 * window)
		_ = departures(t, l, 10*time.Second, func() time.Duration { return 0 })
		if n := len(departures(t, l, 10*time.Second, func() time.Duration { return 0 })); n < 1950 {
			t.Errorf("%d calls in 10 s after the recovery, want nearly 2000", n)
		}
	})
}

// TestLimiterWakesWhoWaitsForPermits: who waits because all permits are out is woken when they are settled,
// although the limit has risen above their number meanwhile.
func TestLimiterWakesWhoWaitsForPermits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(false)
		l.setQuota(200)
		l.mood, l.lastRaise = leastMood, time.Now().Add(window) // four calls a second
		time.Sleep(window)
		var out []*permit
		for range 4 {
			p, err := l.wait(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, p)
			l.lastRaise = time.Now()
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		waited := make(chan error, 1)
		go func() {
			p, err := l.wait(ctx)
			p.unused()
			waited <- err
		}()
		synctest.Wait()
		time.Sleep(2 * window)
		if p, granted := l.try(); granted { // somebody else's question raises the limit
			p.sent()
		}
		for _, p := range out {
			p.sent()
		}
		if err := <-waited; err != nil {
			t.Errorf("never woken: %v", err)
		}
	})
}

func TestLimiterFractionOfACall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(false)
		l.setQuota(0.5)
		time.Sleep(window)
		if n := len(departures(t, l, time.Minute, func() time.Duration { return 0 })); n < 28 || n > 31 {
			t.Errorf("%d calls in a minute at half a call a second", n)
		}
	})
}

func TestShareAddsUp(t *testing.T) {
	t.Parallel()
	for _, total := range []int{1, 3, 7, 64, 199, 200} {
		for replicas := 1; replicas <= 5; replicas++ {
			sum := 0.0
			for r := range replicas {
				var owned []int
				for id := r; id < total; id += replicas {
					owned = append(owned, id)
				}
				if len(owned) > 0 {
					sum += share(200, owned, total)
				}
			}
			if sum != 200 {
				t.Errorf("%d partitions, %d replicas: shares add up to %v", total, replicas, sum)
			}
		}
	}
	for _, tc := range []struct{ calls, partitions int }{{5, 6}, {10, 64}, {200, 400}, {200, 1000}} {
		sum := 0.0
		for id := range tc.partitions {
			sum += share(tc.calls, []int{id}, tc.partitions)
		}
		if sum > float64(tc.calls)+1e-9 || sum < float64(tc.calls)-1e-9 {
			t.Errorf("%d calls over %d replicas with a partition each: shares add up to %v", tc.calls, tc.partitions, sum)
		}
	}
}

func BenchmarkLimiter(b *testing.B) {
	l := newLimiter(false)
	l.setQuota(1e9)
	l.closed = time.Time{}
	for b.Loop() {
		p, err := l.wait(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		p.sent()
	}
}
