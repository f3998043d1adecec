package revival

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"convdel/schema"
)

func conversation(account string, n int) schema.Conversation {
	return schema.Conversation{From: account, Type: schema.C2C, To: fmt.Sprint("c", n)}
}

// TestRule rules on one event by lists of all kinds.
func TestRule(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 25, 10, 0, 0, 700e6, time.UTC)
	began := at.Add(time.Hour)
	asked := conversation("alice", 1)
	for _, c := range []struct {
		name  string
		shown []time.Time
		doubt string
		began time.Time
		later time.Duration
		to    schema.Conversation
		want  Ruling
	}{
		{name: "message before", shown: []time.Time{at.Add(-time.Second)}, want: Execute},
		{name: "message in the event's second, which may be before it", shown: []time.Time{at.Truncate(time.Second)}, want: Revived},
		{name: "message since", shown: []time.Time{at.Add(time.Minute)}, want: Revived},
		{name: "message of unknown time", shown: []time.Time{{}}, want: Revived},
		{name: "not shown", want: Execute},
		{name: "not shown, in doubt", doubt: "it changed", want: Wait},
		{name: "message since, in doubt", shown: []time.Time{at.Add(time.Minute)}, doubt: "it changed", want: Revived},
		{name: "message before, in doubt", shown: []time.Time{at.Add(-time.Minute)}, doubt: "it changed", want: Execute},
		{name: "ten seconds later", later: Serves, want: Execute},
		{name: "more than ten seconds later", later: Serves + 1, want: Wait},
		{name: "list older than the event", began: at.Add(-1), want: Wait},
		{name: "list of the event's moment", began: at, want: Wait},
		{name: "a group of the same name is shown", shown: []time.Time{at.Add(time.Minute)}, to: schema.Conversation{From: "alice", Type: schema.G2C, To: "c1"}, want: Execute},
	} {
		if c.began.IsZero() {
			c.began = began
		}
		l := NewList(c.began)
		for _, last := range c.shown {
			l.Show(asked, last)
		}
		l.Close(c.doubt)
		event := asked
		if c.to.To != "" {
			event = c.to
		}
		if got := l.Rule(event, at, c.began.Add(c.later)); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
	var none *List
	if got := none.Rule(asked, at, began); got != Wait {
		t.Errorf("no list: %d", got)
	}
	if got := NewList(began).Rule(asked, at, began); got != Wait {
		t.Errorf("list that is not read to its end: %d", got)
	}
}

// TestListHasABound: it takes no more than so many conversations.
func TestListHasABound(t *testing.T) {
	t.Parallel()
	l := NewList(time.Now())
	n := 0
	for l.Show(conversation("alice", n), time.Now()) {
		n++
	}
	if n != maxShown || len(l.last) != maxShown {
		t.Errorf("%d conversations, %d kept, want %d", n, len(l.last), maxShown)
	}
}

// TestNoListPermitsARevivedConversation plays accounts whose conversations get messages while lists are read and put on the desk. Whatever
// the order, no event is executed if a list that serves it could have shown a message since; none is called revived without a message;
// and the lists kept stay bounded.
func TestNoListPermitsARevivedConversation(t *testing.T) {
	t.Parallel()
	executed, revived := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		upTo := func(n int, what string) int { return rapid.IntRange(0, n-1).Draw(t, what) }
		now := time.Unix(1_800_000_000, 0)
		d := NewDesk[int]()
		messages := map[schema.Conversation][]time.Time{}
		for range 100 {
			now = now.Add(time.Duration(upTo(2000, "passes")) * time.Millisecond)
			account := fmt.Sprint("a", upTo(2, "account"))
			c := conversation(account, upTo(3, "conversation"))
			switch upTo(3, "what") {
			case 0:
				messages[c] = append(messages[c], now)
			case 1: // its list, read completely or not
				l := NewList(now)
				doubt := ""
				for n := range 3 {
					of := messages[conversation(account, n)]
					switch {
					case len(of) == 0:
					case upTo(6, "lacks") == 0:
						doubt = "it lacks some"
					default:
						l.Show(conversation(account, n), of[len(of)-1])
					}
				}
				l.Close(doubt)
				a := &Account[int]{Name: account}
				d.accounts[account] = a
				d.Read(a, l, now)
				d.drop(a)
			case 2:
				at := now.Add(-time.Duration(upTo(30_000, "age")) * time.Millisecond)
				ruling := d.Rule(c, at, now)
				since, seen := 0, 0 // messages since, and those that a list that serves must know of
				for _, m := range messages[c] {
					if m.Unix() >= at.Unix() {
						since++
						if now.Sub(m) > Serves {
							seen++
						}
					}
				}
				switch {
				case ruling == Execute && seen > 0:
					t.Fatalf("%v of %s is executed at %s, messages %v", c, at, now, messages[c])
				case ruling == Revived && since == 0:
					t.Fatalf("%v of %s is revived at %s, messages %v", c, at, now, messages[c])
				case ruling == Execute:
					executed++
				case ruling == Revived:
					revived++
				}
			}
		}
	})
	if executed == 0 || revived == 0 {
		t.Errorf("%d executed, %d revived", executed, revived)
	}
}
