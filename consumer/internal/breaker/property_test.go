package breaker

import (
	"slices"
	"strconv"
	"testing"
	"time"

	"pgregory.net/rapid"

	"convdel/schema"
)

// member is a conversation, pending or not, with one event.
type member struct {
	conversation schema.Conversation
	life         int
	replay       bool
	standing     Standing
	// attempts are the breaker's, failures the naive model's.
	attempts *Attempts
	failures *failures
	calling  bool
}

// trial drives a breaker and the naive model through the same story.
type trial struct {
	b       *Breaker
	n       *naive
	members []*member
	lives   int
	calls   []underWay
	// kinds are what the API answers at the moment, few, full and replays how the memory is filled.
	kinds              []Kind
	few, full, replays bool
}

type underWay struct {
	of   *member
	call Call
}

// moods are what an API may answer for a while; a kind that stands more than once comes more often.
func moods() [][]Kind {
	mostly := func(n int, k Kind, others ...Kind) []Kind { return append(slices.Repeat([]Kind{k}, n), others...) }
	return [][]Kind{
		{Deleted},
		{Coded},
		{Unreached},
		{Denied},
		{Coded, Unreached},
		{Coded, Unreached, Deleted},
		{Denied, Refused, Deleted},
		mostly(9, Unreached, Deleted), mostly(12, Coded, Deleted), mostly(9, Deleted, Coded, Unreached),
		mostly(5, Deleted, Halted), mostly(10, Coded, Throttled, Renewed, Halted), mostly(8, Unreached, Refused),
		{Deleted, Refused, Denied, Coded, Unreached, Throttled, Renewed, Halted},
	}
}

func newTrial(conversations int, fired map[string]int) *trial {
	tr := &trial{b: New(callTimeout), n: &naive{now: time.Unix(1_000_000, 0), fired: fired}, kinds: moods()[0]}
	for i := range conversations {
		m := &member{conversation: schema.Conversation{From: strconv.Itoa(i)}}
		tr.begin(m)
		tr.members = append(tr.members, m)
	}
	return tr
}

// begin has a conversation pending anew.
func (tr *trial) begin(m *member) {
	tr.lives++
	m.life, m.replay, m.standing, m.attempts, m.failures = tr.lives, tr.replays, Standing{}, &Attempts{}, &failures{}
}

// call makes a call if the breaker lets one go.
func (tr *trial) call(t *rapid.T) (made bool) {
	admission, until := tr.b.Admit(tr.n.now)
	if want, wantUntil := tr.n.admit(); admission != want || !until.Equal(wantUntil) {
		t.Fatalf("admission %d until %s, want %d until %s", admission, until, want, wantUntil)
	}
	if admission == Wait {
		return false
	}
	m := tr.members[rapid.IntRange(0, len(tr.members)-1).Draw(t, "conversation")]
	if m.calling {
		if admission == Probe {
			tr.b.Abandon()
			tr.n.probing = false
		}
		return true
	}
	tr.b.Take(m.attempts)
	tr.n.taken(m.failures)
	m.calling = true
	tr.calls = append(tr.calls, underWay{m, tr.b.Begin(tr.n.now, admission == Probe)})
	return true
}

// answer answers a call and compares the rulings.
func (tr *trial) answer(t *rapid.T) {
	i := rapid.IntRange(0, len(tr.calls)-1).Draw(t, "which")
	c := tr.calls[i]
	tr.calls = slices.Delete(tr.calls, i, i+1)
	m, k := c.of, rapid.SampledFrom(tr.kinds).Draw(t, "answer")
	e := Evidence{
		Call: c.call, Kind: k, Conversation: m.conversation, Standing: &m.standing, Replay: m.replay,
		Last: k == Coded && m.attempts.Counted >= 5, Few: tr.few && k.Failure(), Full: tr.full && k.Failure(),
	}
	if (k == Halted || k == Throttled || k == Unreached) && rapid.Bool().Draw(t, "quiet") {
		e.Quiet = rapid.SampledFrom([]time.Duration{time.Second, 10 * time.Second, time.Minute}).Draw(t, "for")
	}
	m.calling = false
	got, want := tr.b.Answered(e, tr.n.now), tr.n.answered(heard{e: e, life: m.life})
	if got != want {
		t.Fatalf("ruling %+v on %+v, want %+v", got, e, want)
	}
	if k.Failure() && !got.Void {
		tr.b.Fail(e, m.attempts, tr.n.now)
		tr.n.failed(e, m.failures)
	}
	if k.Failure() && got.Void && c.call.Probe && tr.b.IsOpen() {
		tr.b.Probed([]*Attempts{m.attempts})
		tr.n.probed = []*failures{m.failures}
	}
	if got.Change == Opened {
		for _, m := range tr.members {
			tr.b.Forget(m.attempts)
			tr.n.forgets(m.failures)
		}
	}
	if !got.Void && (k.Final() || m.attempts.Counted >= 6) {
		tr.begin(m)
	}
}

// check compares all that can be seen of the breaker.
func (tr *trial) check(t *rapid.T) {
	p, open := tr.b.Open()
	n := tr.n
	if open != (n.reason != "") || open != tr.b.IsOpen() {
		t.Fatalf("open: %t, want %q", open, n.reason)
	}
	next := n.next
	if n.quiet.After(next) {
		next = n.quiet
	}
	if n.probing {
		next = time.Time{}
	}
	if open && (p.Reason != n.reason || !p.Since.Equal(n.since) || !p.NextProbe.Equal(next) || p.Probes != n.probes) {
		t.Fatalf("%+v, want %q since %s, the next probe at %s after %d", p, n.reason, n.since, next, n.probes)
	}
	for pending := range 200 {
		if want := !open || pending < 50+20*n.probes; tr.b.MayFetch(pending) != want {
			t.Fatalf("with %d pending fetching: %t", pending, !want)
		}
	}
	for _, m := range tr.members {
		counted, none := m.failures.counted()
		if m.attempts.Counted != counted || m.attempts.None() != none {
			t.Fatalf("%d count (none: %t) against %s, want %d", m.attempts.Counted, m.attempts.None(), m.conversation.From, counted)
		}
	}
}

// TestAgainstModel calls any conversations at any times, answers them in any order, and compares every ruling, and what counts
// against every event, with the definition.
func TestAgainstModel(t *testing.T) {
	t.Parallel()
	fired := map[string]int{}
	rapid.Check(t, func(t *rapid.T) {
		tr := newTrial(rapid.SampledFrom([]int{4, 20, 60}).Draw(t, "conversations"), fired)
		pass := func(most time.Duration) func(*rapid.T) {
			return func(t *rapid.T) {
				tr.n.now = tr.n.now.Add(time.Duration(rapid.Int64Range(0, int64(most)).Draw(t, "time")))
			}
		}
		call := func(t *rapid.T) {
			for range rapid.IntRange(1, 40).Draw(t, "calls") {
				if !tr.call(t) {
					return
				}
				tr.n.now = tr.n.now.Add(time.Millisecond)
			}
		}
		answer := func(t *rapid.T) {
			for range min(len(tr.calls), rapid.IntRange(1, 40).Draw(t, "answers")) {
				tr.answer(t)
				tr.n.now = tr.n.now.Add(time.Millisecond)
			}
		}
		acts := map[string]func(*rapid.T){
			"call": call, "call more": call, "answer": answer, "answer more": answer, "answer them": answer,
			"pass": pass(time.Second), "pass long": pass(20 * time.Second),
			"wait for the probe": func(*rapid.T) {
				if p, open := tr.b.Open(); open && p.NextProbe.After(tr.n.now) {
					tr.n.now = p.NextProbe
				}
			},
			"another mood": func(t *rapid.T) { tr.kinds = rapid.SampledFrom(moods()).Draw(t, "kinds") },
			"a probe and its answer": func(t *rapid.T) {
				if p, open := tr.b.Open(); open && p.NextProbe.After(tr.n.now) {
					tr.n.now = p.NextProbe
				}
				if tr.call(t) && len(tr.calls) > 0 {
					tr.answer(t)
				}
			},
			"hurry": func(*rapid.T) { tr.b.Hurry(tr.n.now); tr.n.hurry() },
			"fill": func(t *rapid.T) {
				filled := rapid.SampledFrom([][2]bool{{false, false}, {false, true}, {true, false}, {true, true}}).Draw(t, "few and full")
				tr.few, tr.full = filled[0], filled[1]
			},
			"minutes of failures in full memory": func(t *rapid.T) {
				tr.few, tr.full, tr.kinds = true, true, []Kind{Coded, Unreached}
				for range rapid.IntRange(3, 8).Draw(t, "failures") {
					pass(65 * time.Second)(t)
					if tr.call(t) && len(tr.calls) > 0 {
						tr.answer(t)
					}
				}
			},
			"replay": func(t *rapid.T) {
				tr.replays = rapid.IntRange(0, 4).Draw(t, "replays") == 0
			},
			"": tr.check,
		}
		for range 10 { // a story is longer than rapid makes one
			t.Repeat(acts)
		}
	})
	for _, rule := range []string{
		"late", "alone", "closes, being alone", "most fail", "all fail", "a last attempt is not counted", "opens: halt", "opens: denied",
		"closes: halt", "closes: denied", "closes: outage", "another reason", "a failed probe counts", "a witness", "a failure is forgotten",
	} {
		if fired[rule] == 0 && !testing.Short() {
			t.Errorf("never happened: %s", rule)
		}
	}
	t.Log(fired)
}
