package consumer

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"
)

// onlyWall returns a time whose wall clock alone is set forward by whole seconds, as it is after the machine was suspended.
func onlyWall(t time.Time, seconds uint64) time.Time {
	const nanosecondBits = 30 // the seconds stand above them
	*(*uint64)(unsafe.Pointer(&t)) += seconds << nanosecondBits
	return t
}

// TestEarlierByBothClocks: a time that one of the clocks has reached is not earlier.
func TestEarlierByBothClocks(t *testing.T) {
	t.Parallel()
	now := time.Now()
	suspended := onlyWall(now, 10)
	if suspended.Sub(now) != 0 || suspended.Round(0).Sub(now.Round(0)) != 10*time.Second {
		t.Fatalf("%s and %s", now, suspended)
	}
	until := now.Add(9 * time.Second)
	for name, tc := range map[string]struct {
		at   time.Time
		want bool
	}{
		"before":                 {now, true},
		"reached":                {until, false},
		"suspended":              {suspended, false},
		"suspended for less":     {onlyWall(now, 8), true},
		"the wall clock is slow": {onlyWall(until, ^uint64(19)), false},
	} {
		if got := earlier(tc.at, until); got != tc.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

// TestAllowedTime: calls leave until the time that is allowed, with the quota turned off as well, and go on with the next one.
func TestAllowedTime(t *testing.T) {
	t.Parallel()
	for name, callsPerSecond := range map[string]int{"quota": 200, "off": 0} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l := newLimiter(callsPerSecond, nil)
				l.beside = newLimiter(callsPerSecond, nil)
				l.setShare(200)
				time.Sleep(2 * time.Second)
				l.allow(time.Now().Add(time.Second))
				for _, l := range []*limiter{l, l.beside} {
					p, err := l.wait(t.Context())
					if err != nil {
						t.Fatal(err)
					}
					p.unused()
				}
				time.Sleep(time.Second)
				for _, l := range []*limiter{l, l.beside} {
					ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
					if _, err := l.wait(ctx); !errors.Is(err, context.DeadlineExceeded) {
						t.Errorf("a call leaves after the time: %v", err)
					}
					cancel()
				}
				time.AfterFunc(10*time.Second, func() { l.allow(time.Now().Add(time.Second)) })
				began := time.Now()
				p, err := l.wait(t.Context())
				if err != nil || time.Since(began) != 10*time.Second {
					t.Errorf("%v after %s", err, time.Since(began))
				}
				p.unused()
				l.allow(time.Time{})
				if _, granted := l.try(); granted {
					t.Error("a call leaves though none may")
				}
			})
		})
	}
}
