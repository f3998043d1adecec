package revival

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"convdel/consumer/internal/breaker"
)

// TestDeskGivesOutWhatIsDue plays events that come and lists that fail for some accounts or for all. No account is listed twice at
// once or before it is due, and as long as any account can be listed, one is given out.
func TestDeskGivesOutWhatIsDue(t *testing.T) {
	t.Parallel()
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 2))
		now := time.Unix(1_800_000_000, 0)
		d := NewDesk[int]()
		under := map[*Account[int]]bool{}
		events := 0
		for range 400 {
			now = now.Add(time.Duration(r.Int64N(int64(100 * time.Millisecond))))
			if r.IntN(2) == 0 {
				d.Wait(fmt.Sprint("a", r.IntN(12)), events, now.Add(-time.Duration(r.IntN(1000))*time.Second))
				events++
			}
			if r.IntN(2) == 0 {
				a, _ := d.Next(r.IntN(10) == 0, now)
				if a == nil {
					for _, other := range d.accounts {
						if !other.listed && len(other.waiting) > 0 && !other.due.After(now) {
							t.Fatalf("seed %d: nothing is given out, and %s waits", seed, other.Name)
						}
					}
					continue
				}
				if under[a] || a.listed || a.due.After(now) || len(a.waiting) == 0 {
					t.Fatalf("seed %d: %+v is given out at %s", seed, a, now)
				}
				d.Begin(a, breaker.Call{Began: now})
				under[a] = true
				continue
			}
			for a := range under {
				delete(under, a)
				if r.IntN(3) == 0 || a.Name == "a0" {
					d.Failed(a, now.Add(time.Duration(r.IntN(int(3*time.Second)))))
				} else {
					d.Read(a, NewList(a.Call.Began), now)
					d.Retain(a, func(int) bool { return r.IntN(20) == 0 })
				}
				break
			}
		}
		total := 0
		for name, a := range d.accounts {
			total += len(a.waiting)
			for i, w := range a.waiting {
				if w.at.Before(a.oldest) || i == 0 && len(a.waiting) == 1 && !w.at.Equal(a.oldest) {
					t.Fatalf("seed %d: the oldest event of %s is not of %s", seed, name, a.oldest)
				}
			}
		}
		if total != d.Len() {
			t.Fatalf("seed %d: %d events wait, %d are counted", seed, total, d.Len())
		}
	}
}

// TestDeskTakesTheOldestEvent of those accounts whose lists have not failed, and those that have in turns with them.
func TestDeskTakesTheOldestEvent(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_800_000_000, 0)
	d := NewDesk[string]()
	for i, name := range []string{"b", "a", "d", "c", "bad"} {
		d.Wait(name, name, now.Add(-time.Duration(10-i)*time.Hour))
		d.Wait(name, name, now)
	}
	d.Wait("c", "c", now.Add(-24*time.Hour))
	bad := d.accounts["bad"]
	d.Begin(bad, breaker.Call{Began: now})
	d.Failed(bad, now.Add(time.Second))
	if _, due := d.Next(false, now); due != now.Add(time.Second) {
		t.Errorf("due %s", due)
	}
	got := ""
	for later := now; ; later = later.Add(time.Second) {
		a, _ := d.Next(false, later)
		if a == nil {
			break
		}
		got += a.Name + " "
		d.Begin(a, breaker.Call{Began: later})
	}
	if got != "c bad b a d " && got != "bad c b a d " {
		t.Errorf("turns: %s", got)
	}
}

// TestDeskProbes with the account that was never listed, then with the one whose list is the longest ago.
func TestDeskProbes(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_800_000_000, 0)
	d := NewDesk[string]()
	for i, name := range []string{"a", "b", "c"} {
		d.Wait(name, name, now)
		if name != "c" {
			a := d.accounts[name]
			d.Begin(a, breaker.Call{Began: now.Add(-time.Duration(i) * time.Minute)})
			d.Failed(a, now)
		}
	}
	got := ""
	for range 3 {
		a, _ := d.Next(true, now)
		got += a.Name
		d.Begin(a, breaker.Call{Began: now})
	}
	if got != "cba" {
		t.Errorf("probes: %s", got)
	}
}

// TestShelfIsBounded: lists that serve no longer are dropped, and the oldest first where there are too many.
func TestShelfIsBounded(t *testing.T) {
	t.Parallel()
	var s shelf
	now := time.Unix(1_800_000_000, 0)
	for i := range 100 {
		l := NewList(now.Add(time.Duration(i) * time.Millisecond))
		for n := range 500 {
			l.Show(conversation("x", n), now)
		}
		s.put(fmt.Sprint(i%60), l, l.began)
	}
	kept := 0
	for _, l := range s.lists {
		kept += len(l.last)
	}
	if kept != 39*500 || len(s.order) != 39 || s.lists["39"] == nil || s.lists["0"] != nil {
		t.Errorf("%d lists with %d conversations are kept", len(s.order), kept)
	}
	s.put("new", NewList(now.Add(time.Minute)), now.Add(time.Minute))
	if len(s.lists) != 1 || len(s.order) != 1 || s.shown != 1 {
		t.Errorf("%d lists are kept, %d in order, showing %d", len(s.lists), len(s.order), s.shown)
	}
	s.put("new", NewList(now.Add(time.Minute+time.Second)), now.Add(time.Minute+time.Second))
	s.put("other", NewList(now.Add(time.Minute+12*time.Second)), now.Add(time.Minute+12*time.Second))
	if len(s.lists) != 1 || len(s.order) != 1 {
		t.Errorf("%d lists are kept, %d in order", len(s.lists), len(s.order))
	}
}
