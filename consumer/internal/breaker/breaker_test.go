package breaker

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"convdel/schema"
)

const callTimeout = 5 * time.Second

// script drives a breaker through a story, one step a line:
//
//	SECONDS NAME ANSWER [TOOK]   a call that began then is answered (after TOOK milliseconds, 50 by default)
//	SECONDS open REASON, SECONDS closed, SECONDS admit go|probe|wait   what must hold then
//	SECONDS counted NAME N       so many failed calls count against the event of that name, after it is taken
type script struct {
	t         *testing.T
	b         *Breaker
	began     time.Time
	standings map[string]*Standing
	attempts  map[string]*Attempts
	replays   bool
	alone     bool
	few, full bool
}

var kinds = map[string]Kind{
	"deleted": Deleted, "refused": Refused, "denied": Denied, "coded": Coded, "unreached": Unreached,
	"throttled": Throttled, "renewed": Renewed, "halted": Halted,
}

func newScript(t *testing.T) *script {
	t.Helper()
	return &script{
		t: t, b: New(callTimeout), began: time.Unix(1_000_000, 0),
		standings: map[string]*Standing{}, attempts: map[string]*Attempts{},
	}
}

func (s *script) run(text string) {
	s.t.Helper()
	for line := range strings.Lines(text) {
		if words := strings.Fields(line); len(words) > 0 {
			s.step(line, words)
		}
	}
}

func (s *script) step(line string, words []string) {
	s.t.Helper()
	seconds, err := strconv.ParseFloat(words[0], 64)
	if err != nil {
		s.t.Fatal(err)
	}
	now := s.began.Add(time.Duration(seconds * float64(time.Second)))
	p, open := s.b.Open()
	switch words[1] {
	case "open":
		if !open || string(p.Reason) != words[2] {
			s.t.Fatalf("%s: open %t for %q", line, open, p.Reason)
		}
	case "closed":
		if open {
			s.t.Fatalf("%s: open for %q", line, p.Reason)
		}
	case "admit":
		got, _ := s.b.Admit(now)
		if name := []string{"go", "probe", "wait"}[got]; name != words[2] {
			s.t.Fatalf("%s: %s", line, name)
		}
	case "counted":
		s.b.Take(s.of(words[2]))
		if got := s.of(words[2]).Counted; strconv.Itoa(got) != words[3] {
			s.t.Fatalf("%s: %d", line, got)
		}
	default:
		took := 50.0
		if len(words) > 3 {
			if took, err = strconv.ParseFloat(words[3], 64); err != nil {
				s.t.Fatal(err)
			}
		}
		s.call(words[1], kinds[words[2]], now, now.Add(time.Duration(took*float64(time.Millisecond))))
	}
}

func (s *script) of(name string) *Attempts {
	if s.attempts[name] == nil {
		s.attempts[name], s.standings[name] = &Attempts{}, &Standing{}
	}
	return s.attempts[name]
}

// call makes a call, as a probe where the breaker hands one out, and does with the ruling what the consumer does.
func (s *script) call(name string, k Kind, began, answered time.Time) Ruling {
	a := s.of(name)
	admission, _ := s.b.Admit(began)
	s.b.Take(a)
	e := Evidence{
		Call: s.b.Begin(began, admission == Probe), Kind: k, Standing: s.standings[name], Replay: s.replays, Few: s.alone || s.few, Full: s.alone || s.full,
		Conversation: schema.Conversation{From: name, Type: schema.C2C, To: "x"},
	}
	return s.answer(e, a, answered)
}

func (s *script) answer(e Evidence, a *Attempts, now time.Time) Ruling {
	r := s.b.Answered(e, now)
	switch {
	case !e.Kind.Failure():
	case !r.Void:
		s.b.Fail(e, a, now)
	case e.Call.Probe && s.b.IsOpen():
		s.b.Probed([]*Attempts{a})
	}
	if r.Change == Opened {
		for _, waiting := range s.attempts {
			s.b.Forget(waiting)
		}
	}
	return r
}

// fail is so many first failures of different conversations, ten a second from a time on.
func fail(from float64, n int, answer string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "%f c%d-%s %s\n", from+float64(i)/10, i, answer, answer)
	}
	return b.String()
}

// within is so many first failures of different conversations within so many seconds from a time on.
func within(from, seconds float64, n int, answer string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "%f w%d-%f %s\n", from+seconds*float64(i)/float64(n), i, from, answer)
	}
	return b.String()
}

func TestScripts(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"twenty votes that all fail open it": fail(0, 19, "unreached") + "1.95 closed\n" + "1.95 last unreached\n" + "2 open outage",
		"a conversation votes once":          strings.Repeat("0 a unreached\n", 30) + "1 closed",
		"nine of ten is enough":              within(0, 1, 10, "deleted") + within(1, 3.5, 89, "coded") + "4.6 closed\n4.7 x coded\n4.8 open outage",
		"a hundred votes are enough":         within(0, 1, 9, "deleted") + within(1, 3.5, 90, "coded") + "4.6 closed\n4.7 x coded\n4.8 open outage",
		"old votes do not count":             fail(0, 20, "deleted") + fail(15, 20, "coded") + "17 open outage",
		"votes of ten tenths count":          "0 g deleted\n" + within(.1, .8, 60, "unreached") + "8.9 good deleted\n" + within(9, .7, 37, "coded") + "9.75 closed\n9.8 x coded\n9.9 open outage",
		"votes of an eleventh do not":        "0 g deleted\n" + within(.1, .8, 80, "unreached") + "9.9 good deleted\n" + within(10, .9, 19, "coded") + "11 closed",
		"votes do not come back":             "-15 good deleted\n" + within(0, .9, 19, "unreached") + "5 good deleted\n10.5 x coded\n10.6 closed",
		"89 of a hundred are not most":       within(0, 1, 11, "deleted") + within(1, 3, 89, "coded") + "4.1 closed",
		"a success does not open it":         within(0, .9, 20, "deleted") + within(3, .9, 100, "coded") + "10.5 good deleted\n10.6 closed",
		"refusals do not vote":               fail(0, 10, "refused") + fail(1, 20, "coded") + "3.1 open outage",
		"throttled answers do not vote":      fail(0, 50, "throttled") + fail(5, 20, "coded") + "7.1 open outage",
		"three that fail alike for the call timeout": `
			0 a unreached
			1 b unreached
			2 c unreached
			2.1 closed
			5 a unreached
			5.1 open outage`,
		"not before the call timeout": `
			0 a unreached
			1 b unreached
			2 c unreached
			4.94 a unreached
			4.99 closed
			4.95 b unreached
			5 open outage`,
		"two are not enough": `
			0 a unreached
			1 b unreached
			9 a unreached
			9.1 closed`,
		"a success that began later clears them": `
			0 a unreached
			1 b unreached
			1.5 good deleted
			2 c unreached
			7.5 c unreached
			7.6 closed`,
		"a success that began before does not": `
			0 a unreached
			0.1 b unreached
			-1 good deleted 1500
			2 c unreached
			5.2 a unreached
			5.3 open outage`,
		"the first answer to a halted credential opens it": `
			0 a halted
			0.1 open halt
			0.5 admit wait
			1.05 admit probe
			1.06 admit wait`,
		"five denied in a row": `
			0 a denied
			1 b denied
			2 good deleted
			3 c denied
			4 d denied
			5 e denied
			6 f denied
			6.1 closed
			7 g denied
			7.1 open denied`,
		"a probe that succeeds closes it":                  "0 a halted\n2 b deleted\n2.1 closed",
		"an error code lets the credential in":             "0 a halted\n2 b coded\n2.1 closed\n3 counted b 0",
		"an error code does not end an outage":             fail(0, 20, "unreached") + "5 b coded\n5.1 open outage",
		"a refusal does not end an outage":                 fail(0, 20, "unreached") + "5 b refused\n5.1 open outage\n5.1 admit probe",
		"only a success ends denied calls":                 "0 a denied\n1 b denied\n2 c denied\n3 d denied\n4 e denied\n6 f refused\n6.1 open denied\n7 g coded\n7.1 open outage",
		"refusals between do not hide that all are denied": "0 a denied\n1 b denied\n1.5 x refused\n2 c denied\n3 d denied\n4 e denied\n4.1 open denied",
		"denied probes count": fail(0, 20, "coded") + `
			4 a denied
			5 b denied
			6 c denied
			7 d denied
			7.1 open outage
			8 e denied
			8.1 open denied`,
		"the reason follows the probes":                       fail(0, 20, "unreached") + "5 b halted\n5.1 open halt\n9 c coded\n9.1 open outage\n20 d deleted\n21 closed",
		"an outage that was halted meanwhile needs a success": fail(0, 20, "coded") + "5 b halted\n9 c refused\n9.1 open halt\n10 d deleted\n10.1 closed",
		"a halt that was an outage meanwhile needs a success": `
			0 a halted
			2 b unreached
			2.1 open outage
			6 c halted
			6.1 open halt
			14 d coded
			14.1 open outage`,
		"probes come after 1, 2, 4 … 30 seconds": "0 a halted\n" + `
			1 admit wait
			1.06 a halted
			3 admit wait
			3.2 a halted
			7 admit wait
			7.3 a halted
			15 admit wait
			15.4 a halted
			31 admit wait
			31.5 a halted
			61 admit wait
			61.6 a halted
			91.6 admit wait
			91.7 admit probe`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			newScript(t).run(text)
		})
	}
}

// TestWitness: whose fault a failed call was.
func TestWitness(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"no witness, no attempt": `
			0 a unreached
			1 counted a 0
			2 a unreached
			3 counted a 0`,
		"a later success is one": `
			0 a unreached
			1 good deleted
			2 counted a 1
			2 a unreached
			3 counted a 1
			3 a unreached
			4 good deleted
			5 counted a 2`,
		"a success that began earlier is none": `
			1 a unreached
			0.9 good deleted 900
			2 counted a 0`,
		"an error code counts at once":               "0 a coded\n0.1 counted a 1\n1 a coded\n1.1 counted a 2",
		"opening forgets what has no witness":        "0 a coded\n0 b coded\n" + fail(0.1, 20, "unreached") + "3 open outage\n3 counted a 0\n3 counted b 0",
		"opening counts what has one":                "0 a unreached\n0 b coded\n0.05 good deleted\n" + fail(0.1, 60, "unreached") + "7 open outage\n7 counted a 1\n7 counted b 1",
		"what fails while it is open does not count": fail(0, 20, "coded") + "2 open outage\n4 a coded\n4.1 counted a 0",
		"a failed probe counts if the next one succeeds": fail(0, 20, "coded") + `
			4 a unreached
			10 good deleted
			10.1 closed
			10.2 counted a 1`,
		"what is forgotten is forgotten once": `
			0 a coded
			0.5 b halted
			0.6 open halt
			2 c coded
			2.1 closed
			3 a coded
			4 b halted
			4.1 counted a 0
			9 c coded
			9.1 closed
			10 a coded
			10.1 counted a 1`,
		"a throttled probe is the next one": fail(0, 20, "coded") + `
			4 a unreached
			10 b throttled
			20 good deleted
			20.2 counted a 0`,
		"only the last failed probe does": fail(0, 20, "coded") + `
			4 a unreached
			10 b unreached
			20 good deleted
			20.2 counted a 0
			20.2 counted b 1`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			newScript(t).run(text)
		})
	}
}

// TestEndedProbe: an event that has ended is out of reach of later rulings.
func TestEndedProbe(t *testing.T) {
	t.Parallel()
	s := newScript(t)
	s.run(fail(0, 20, "coded") + "4 a unreached")
	s.b.Ended(s.of("a"))
	s.run("10 good deleted\n10.1 closed\n10.2 counted a 0")
}

// TestLateAnswers: an answer to a call that began before the breaker changed says nothing of what is now.
func TestLateAnswers(t *testing.T) {
	t.Parallel()
	s := newScript(t)
	late := s.b.Begin(s.began, false)
	s.run(fail(0, 20, "unreached") + "2 open outage\n4 good deleted\n4.1 closed")
	for i := range 30 {
		name := "late" + strconv.Itoa(i)
		r := s.answer(Evidence{Call: late, Kind: Coded, Standing: &Standing{}, Conversation: schema.Conversation{From: name}}, s.of(name), s.began.Add(5*time.Second))
		if !r.Void || s.of(name).Counted > 0 || s.b.IsOpen() {
			t.Fatalf("ruling %+v, %d counted, open %t", r, s.of(name).Counted, s.b.IsOpen())
		}
	}
	if r := s.answer(Evidence{Call: late, Kind: Halted, Standing: &Standing{}}, s.of("h"), s.began.Add(5*time.Second)); !r.Void || s.b.IsOpen() {
		t.Errorf("a late halt: %+v", r)
	}
	if r := s.answer(Evidence{Call: late, Kind: Refused, Standing: &Standing{}}, s.of("r"), s.began.Add(5*time.Second)); r.Void {
		t.Error("a late refusal does not end its events")
	}
	if r := s.answer(Evidence{Call: late, Kind: Denied, Standing: &Standing{}}, s.of("d"), s.began.Add(5*time.Second)); r.Void {
		t.Error("a late denial does not end its events")
	}
}

// TestSlippedCalls: a call that begins as the breaker opens, and is no probe, neither counts nor closes it.
func TestSlippedCalls(t *testing.T) {
	t.Parallel()
	s := newScript(t)
	s.run("0 a halted\n0.1 open halt")
	now := s.began.Add(200 * time.Millisecond)
	for i, k := range []Kind{Coded, Unreached, Halted, Denied, Deleted} {
		e := Evidence{Call: s.b.Begin(now, false), Kind: k, Standing: &Standing{}, Conversation: schema.Conversation{From: strconv.Itoa(i)}}
		if r := s.answer(e, &Attempts{}, now.Add(time.Millisecond)); r.Void != (k != Deleted) || r.Change != Unchanged {
			t.Errorf("answer %d: %+v", k, r)
		}
	}
	s.run("0.3 open halt\n1.06 admit probe")
}

// TestReplays: dead letters that are tried again do not vote, and still tell when all of them fail.
func TestReplays(t *testing.T) {
	t.Parallel()
	s := newScript(t)
	s.replays = true
	s.run(fail(0, 40, "unreached") + "4.1 closed\n5.1 c0-unreached unreached\n5.2 open outage")
}

// TestAlone: memory that is full of one conversation can't tell an outage, so that its failures count after three minutes, until
// others come.
func TestAlone(t *testing.T) {
	t.Parallel()
	s := newScript(t)
	s.run("0 a unreached\n0.1 b unreached\n0.2 c unreached\n6 a unreached\n6.1 open outage")
	s.alone = true
	s.run("8 a unreached\n8.1 open outage\n60 a unreached\n110 a unreached\n160 a unreached\n160.1 open outage\n200 a unreached\n200.1 closed\n201 a unreached\n201.1 counted a 1\n" +
		fail(210, 40, "unreached") + "215 closed")
	s.alone = false // others have come
	s.run(fail(220, 20, "unreached") + "222.1 open outage")
}

// TestNotAlone: it is not enough that few are pending, or that memory is full; and after a minute without such failures the three
// minutes begin anew.
func TestNotAlone(t *testing.T) {
	t.Parallel()
	const three = "0 a unreached\n0.1 b unreached\n0.2 c unreached\n6 a unreached\n6.1 open outage\n"
	var probes strings.Builder
	for at := 50; at < 400; at += 50 {
		fmt.Fprintf(&probes, "%d a unreached\n%d.1 open outage\n", at, at)
	}
	few := newScript(t)
	few.few = true
	few.run(three + probes.String())
	full := newScript(t)
	full.full = true
	full.run(three + probes.String())
	gap := newScript(t)
	gap.alone = true
	gap.run(three + "50 a unreached\n150 a unreached\n200 a unreached\n250 a unreached\n300 a unreached\n300.1 open outage\n340 a unreached\n340.1 closed")
}

// TestAloneForLong: failures count after three minutes in which there was one every minute. Only an outage ends by that.
func TestAloneForLong(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"0 a unreached\n60 a unreached\n120 a unreached\n180 a unreached\n180.1 counted a 1",
		"0 a unreached\n60 a unreached\n120 a unreached\n179 a unreached\n179.1 counted a 0",
		"0 a unreached\n61 a unreached\n121 a unreached\n181 a unreached\n181.1 counted a 0\n240 a unreached\n241 a unreached\n241.1 counted a 1",
		"0 a unreached\n60 a unreached\n120 a unreached\n180 a unreached\n185 b halted\n190 a unreached\n190.1 open outage\n193 a unreached\n193.1 closed",
	} {
		s := newScript(t)
		s.alone = true
		s.run(text)
	}
}

// TestLastAttempts: no event is given up while all fail.
func TestLastAttempts(t *testing.T) {
	t.Parallel()
	s := newScript(t)
	last := func(at float64) {
		now := s.began.Add(time.Duration(at * float64(time.Second)))
		e := Evidence{Call: s.b.Begin(now, false), Kind: Coded, Standing: s.standings["a"], Last: true}
		if r := s.answer(e, s.of("a"), now); r.Void || r.Change != Unchanged {
			t.Errorf("at %f: %+v", at, r)
		}
	}
	s.run("0 a coded\n0.1 b coded\n0.2 c coded\n0.3 closed")
	last(0.4)
	s.run("0.4 counted a 1\n0.5 good deleted")
	last(0.6)
	s.run("0.6 counted a 2")
}

// TestQuiet: where the API wants a minute without any call, it gets it, hurry or not.
func TestQuiet(t *testing.T) {
	t.Parallel()
	s := newScript(t)
	s.answer(Evidence{Call: s.b.Begin(s.began, false), Kind: Halted, Standing: &Standing{}, Quiet: time.Minute}, s.of("a"), s.began)
	s.run("30 admit wait")
	s.b.Hurry(s.began.Add(40 * time.Second))
	s.run("59 admit wait\n60 admit probe")
}

// TestHurry: a new credential is probed with at once.
func TestHurry(t *testing.T) {
	t.Parallel()
	s := newScript(t)
	s.run("0 a halted\n1.1 b halted\n3.2 c halted\n4 admit wait")
	s.b.Hurry(s.began.Add(4 * time.Second))
	s.run("4 admit probe")
	s.b.Abandon()
	s.run("4.1 admit probe")
}

// TestFetching: while it is open there is something to probe with, and little more.
func TestFetching(t *testing.T) {
	t.Parallel()
	s := newScript(t)
	if !s.b.MayFetch(1_000_000) {
		t.Error("a closed breaker holds fetching back")
	}
	s.run("0 a halted")
	if !s.b.MayFetch(49) || s.b.MayFetch(50) {
		t.Error("want 50 conversations")
	}
	s.run("1.1 b halted")
	if !s.b.MayFetch(69) || s.b.MayFetch(70) {
		t.Error("want 70 conversations after a probe")
	}
}
