package consumer

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"convdel/consumer/internal/quota"
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
				l := newLimiter(200, nil)
				l.setShare(200)
				time.Sleep(quota.Window)
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
		l := newLimiter(200, nil)
		began := time.Now()
		l.setShare(200)
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
		l := newLimiter(200, nil)
		l.setShare(0)
		if n := len(departures(t, l, time.Minute, func() time.Duration { return 0 })); n != 0 {
			t.Errorf("%d departures without a quota", n)
		}
	})
}

func TestLimiterSlowsDownWhenThrottledAndRecovers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(200, nil)
		l.setShare(200)
		time.Sleep(quota.Window)
		for range 50 {
			l.throttled(0, time.Time{}) // a burst of such answers is one reason to slow down
		}
		slow := len(departures(t, l, time.Second, func() time.Duration { return 0 }))
		if slow > 150 || slow < 100 {
			t.Errorf("%d calls in the second after throttled answers, want about 140", slow)
		}
		time.Sleep(10 * quota.Window)
		_ = departures(t, l, 10*time.Second, func() time.Duration { return 0 })
		if n := len(departures(t, l, 10*time.Second, func() time.Duration { return 0 })); n < 1950 {
			t.Errorf("%d calls in 10 s after the recovery, want nearly 2000", n)
		}
	})
}

// TestLimiterWakesWhoWaitsForPermits: a caller that waits because all permits are out is woken when the calls have left,
// although the limit has risen above their number meanwhile.
func TestLimiterWakesWhoWaitsForPermits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(200, nil)
		l.setShare(200)
		for range 22 { // to the least pace, four calls a second
			time.Sleep(quota.Window / 2)
			l.throttled(0, time.Time{})
		}
		if pace := l.pace(); pace != 4 {
			t.Fatalf("%v calls a second, want the least pace", pace)
		}
		var out []*permit
		for range 4 {
			p, err := l.wait(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, p)
			l.throttled(0, time.Time{})
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
		time.Sleep(2 * quota.Window)
		if p, granted := l.try(); granted { // another caller's question raises the limit
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

// TestLimiterTellsWhoHasNoTime: a caller that waits because all permits of a whole pace are out is woken by what becomes
// of them, or by another share.
func TestLimiterTellsWhoHasNoTime(t *testing.T) {
	t.Parallel()
	for name, tell := range map[string]func(*limiter, *permit){
		"sent":   func(_ *limiter, p *permit) { p.sent() },
		"unused": func(_ *limiter, p *permit) { p.unused() },
		"share":  func(l *limiter, _ *permit) { l.setShare(2) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l := newLimiter(200, nil)
				l.setShare(1)
				p, err := l.wait(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				waited := make(chan error, 1)
				go func() {
					_, err := l.wait(ctx)
					waited <- err
				}()
				time.Sleep(time.Minute)
				select {
				case err := <-waited:
					t.Errorf("a second permit for a share of one call, or an error: %v", err)
				default:
				}
				tell(l, p)
				began := time.Now()
				if err := <-waited; err != nil || time.Since(began) > quota.Window {
					t.Errorf("granted after %s, error %v", time.Since(began), err)
				}
			})
		})
	}
}

// TestLimiterWakesWhoWasRefused: a caller that was told that no call may leave is woken by the next time, also where the clock has been set back meanwhile,
// so that the time before it is none that has passed.
func TestLimiterWakesWhoWasRefused(t *testing.T) {
	t.Parallel()
	for name, quota := range map[string]int{"quota": 200, "no quota": 0} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l := newLimiter(quota, nil)
				l.setShare(200)
				time.Sleep(time.Minute)
				l.allow(time.Time{})
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				waited := make(chan error, 1)
				go func() {
					p, err := l.wait(ctx)
					p.unused()
					waited <- err
				}()
				synctest.Wait()
				l.mu.Lock()
				l.until = time.Now().Add(time.Second) // what a clock that is set back makes of a time that had passed
				l.mu.Unlock()
				l.allow(time.Now().Add(2 * time.Second))
				if err := <-waited; err != nil {
					t.Errorf("never woken: %v", err)
				}
			})
		})
	}
}

func TestLimiterFractionOfACall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(200, nil)
		l.setShare(0.5)
		time.Sleep(quota.Window)
		if n := len(departures(t, l, time.Minute, func() time.Duration { return 0 })); n < 28 || n > 31 {
			t.Errorf("%d calls in a minute at half a call a second", n)
		}
	})
}

func BenchmarkLimiter(b *testing.B) {
	l := newLimiter(200, nil)
	l.setShare(1e9)
	time.Sleep(quota.Window)
	for b.Loop() {
		p, err := l.wait(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		p.sent()
	}
}
