package revival

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"convdel/consumer/internal/breaker"
)

// TestDeskGivesOutWhatIsDue plays events that come and lists that fail for some accounts or for all. No account is listed twice at
// once or before it is due, and as long as any account can be listed, one is given out.
func TestDeskGivesOutWhatIsDue(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		upTo := func(n int, what string) int { return rapid.IntRange(0, n-1).Draw(t, what) }
		now := time.Unix(1_800_000_000, 0)
		d := NewDesk[int]()
		var under []*Account[int]
		events := 0
		for range 100 {
			now = now.Add(time.Duration(upTo(100, "passes")) * time.Millisecond)
			if upTo(2, "comes") == 0 {
				d.Wait(fmt.Sprint("a", upTo(8, "account")), events, now.Add(-time.Duration(upTo(1000, "age"))*time.Second))
				events++
			}
			if upTo(2, "lists") == 0 {
				a, _ := d.Next(upTo(10, "probes") == 0, now)
				if a == nil {
					for _, other := range d.accounts {
						if !other.listed && len(other.waiting) > 0 && !other.due.After(now) {
							t.Fatalf("nothing is given out, and %s waits", other.Name)
						}
					}
					continue
				}
				if a.listed || a.due.After(now) || len(a.waiting) == 0 {
					t.Fatalf("%+v is given out at %s", a, now)
				}
				d.Begin(a, breaker.Call{Began: now})
				under = append(under, a)
				continue
			}
			if len(under) == 0 {
				continue
			}
			a := under[0]
			under = under[1:]
			if upTo(3, "fails") == 0 || a.Name == "a0" {
				d.Failed(a, now.Add(time.Duration(upTo(3000, "delay"))*time.Millisecond))
			} else {
				d.Read(a, NewList(a.Call.Began), now)
				d.Retain(a, func(int, bool) bool { return upTo(10, "stays") == 0 })
			}
		}
		total := 0
		for name, a := range d.accounts {
			total += len(a.waiting)
			if len(a.waiting) == 0 && !a.listed {
				t.Fatalf("%s is kept, and nobody waits for it", name)
			}
			oldest := now
			for _, w := range a.waiting {
				if w.at.Before(oldest) {
					oldest = w.at
				}
			}
			if len(a.waiting) > 0 && !a.oldest.Equal(oldest) {
				t.Fatalf("the oldest event of %s is of %s, not of %s", name, oldest, a.oldest)
			}
		}
		if total != d.Len() {
			t.Fatalf("%d events wait, %d are counted", total, d.Len())
		}
	})
}

// TestDeskTakesTheOldestEvent of those accounts whose lists have not failed, and those that have in turns with them.
func TestDeskTakesTheOldestEvent(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_800_000_000, 0)
	d := NewDesk[string]()
	for i, name := range []string{"b", "a", "d", "c", "bad", "worse"} {
		d.Wait(name, name, now.Add(-time.Duration(10-i)*time.Hour))
		d.Wait(name, name, now)
	}
	d.Wait("c", "c", now.Add(-24*time.Hour))
	for i, name := range []string{"worse", "bad"} {
		a := d.accounts[name]
		d.Begin(a, breaker.Call{Began: now})
		d.Failed(a, now.Add(time.Duration(2-i)*time.Second))
	}
	if _, due := d.Next(false, now); due != now.Add(time.Second) {
		t.Errorf("due %s", due)
	}
	var got strings.Builder
	for {
		a, _ := d.Next(false, now.Add(time.Minute))
		if a == nil {
			break
		}
		got.WriteString(a.Name + " ")
		d.Begin(a, breaker.Call{Began: now.Add(time.Minute)})
	}
	if got.String() != "bad c worse b a d " {
		t.Errorf("turns: %s", &got)
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
	var got strings.Builder
	for range 3 {
		a, _ := d.Next(true, now)
		got.WriteString(a.Name)
		d.Begin(a, breaker.Call{Began: now})
	}
	if got.String() != "cba" {
		t.Errorf("probes: %s", &got)
	}
}

// TestDeskKnowsTheAsked: a list that is read is an attempt of the events that waited when it began, whether the last one has failed or not.
func TestDeskKnowsTheAsked(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_800_000_000, 0)
	d := NewDesk[string]()
	check := func(a *Account[string], want string) {
		t.Helper()
		got := strings.Join(d.Asked(a), " ")
		var kept []string
		d.Retain(a, func(event string, asked bool) bool {
			if asked {
				kept = append(kept, event)
			}
			return true
		})
		if got != want || strings.Join(kept, " ") != want {
			t.Errorf("asked: %q, by Retain %q, want %q", got, kept, want)
		}
	}
	d.Wait("a", "first", now)
	a := d.accounts["a"]
	check(a, "")
	d.Begin(a, breaker.Call{Began: now})
	d.Wait("a", "second", now.Add(-time.Hour))
	check(a, "first")
	d.Failed(a, now)
	d.Begin(a, breaker.Call{Began: now})
	d.Wait("a", "third", now)
	check(a, "first second")
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
		s.put(strconv.Itoa(i%60), l, l.began)
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
	s.put("other", NewList(now.Add(time.Minute+10500*time.Millisecond)), now.Add(time.Minute+10500*time.Millisecond))
	if len(s.lists) != 2 || s.lists["new"] == nil || len(s.order) != 2 {
		t.Errorf("%d lists are kept, %d in order", len(s.lists), len(s.order))
	}
}
