package membership

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write what the scripts give into testdata")

// TestScripts plays each script of testdata. A script is a sequence of commands, each followed by "----" and the orders that it
// gives. -update writes the orders anew.
//
//	new [instance=ID] [heartbeat=D]     a member of topic t, with a session of 12 s and a rebalance timeout of 30 s
//	after D [heartbeats=CODE|none]      time passes, and heartbeats are answered at once; with none, each stays without an answer
//	freeze D                            time passes, and the process does not notice
//	join, sync, heartbeat, leave ...    the answer to the last request of the kind; @N ... the answer to request N:
//	                                    ok or code=N or err [pause=D], member= leader= protocol= generation= partitions= members=ID:CLAIMS@GENERATION;...
//	                                    assigned=0,1 [basis=N] [withheld], bytes=TEXT
//	given-up 0,1   partitions N   commit-refused CODE generation=N member=ID   stop   state   may-call
func TestScripts(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) < 20 {
		t.Fatal("scripts missing", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			t.Parallel()
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := play(t, string(want))
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
			} else if got != string(want) {
				t.Errorf("%s: got\n%s", file, firstDifference(got, string(want)))
			}
		})
	}
}

func firstDifference(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range g {
		if i >= len(w) || g[i] != w[i] {
			return strings.Join(g[max(0, i-8):min(len(g), i+8)], "\n") + "\ninstead of\n" + strings.Join(w[min(i, len(w)):min(len(w), i+8)], "\n")
		}
	}
	return got
}

// play returns a script with the orders that its commands give.
func play(t *testing.T, script string) string {
	t.Helper()
	s := stage{t: t, now: start, last: map[string]int{}}
	var out strings.Builder
	expected := false
	for line := range strings.Lines(script) {
		line = strings.TrimRight(line, "\n")
		switch {
		case line == "----":
			expected = true
		case expected && line != "":
		case line == "" || strings.HasPrefix(line, "#"):
			out.WriteString(line + "\n")
			expected = false
		default:
			out.WriteString(line + "\n----\n")
			s.out = &out
			s.do(line)
		}
	}
	return out.String()
}

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// stage is a member in a script.
type stage struct {
	t    *testing.T
	m    *Member
	now  time.Time
	last map[string]int
	out  *strings.Builder
	// answers has codes for heartbeats, beaten counts these.
	answers string
	beaten  int
}

func (s *stage) do(line string) {
	name, rest, _ := strings.Cut(line, " ")
	args := arguments(rest)
	switch name {
	case "new":
		s.now = start
		cfg := Config{Topic: "t", InstanceID: args["instance"], Session: 12 * time.Second, Rebalance: 30 * time.Second, Heartbeat: 500 * time.Millisecond}
		s.m = New(cfg, s.now)
	case "after":
		s.pass(s.duration(strings.Fields(rest)[0]), args["heartbeats"])
		return
	case "freeze":
		s.now = s.now.Add(s.duration(rest))
		return
	case "given-up":
		s.m.GivenUp(s.now, s.list(rest))
	case "partitions":
		s.m.Partitions(s.now, s.number(rest))
	case "commit-refused":
		of := s.m.Identity()
		of.Generation = int32(s.number(args["generation"]))
		if id, ok := args["member"]; ok {
			of.MemberID = id
		}
		s.m.CommitRefused(s.now, int16(s.number(strings.Fields(rest)[0])), of)
	case "stop":
		s.m.Stop(s.now)
	case "state":
		s.state()
	case "may-call":
		s.until(s.m.MayCall())
	case "may-write":
		s.until(s.m.MayWrite())
	default:
		s.answer(name, args)
	}
	s.tell()
}

func (s *stage) until(at time.Time) {
	if at.IsZero() {
		fmt.Fprintln(s.out, "never")
		return
	}
	fmt.Fprintf(s.out, "until %v\n", at.Sub(start))
}

func arguments(text string) map[string]string {
	args := map[string]string{}
	for field := range strings.FieldsSeq(text) {
		key, value, _ := strings.Cut(field, "=")
		args[key] = value
	}
	return args
}

// pass lets time pass, with a tick whenever the member wants one.
func (s *stage) pass(d time.Duration, heartbeats string) {
	end := s.now.Add(d)
	s.answers, s.beaten = heartbeats, 0
	s.tell()
	for s.m.Wake().After(s.now) && !s.m.Wake().After(end) {
		s.now = s.m.Wake()
		s.m.Tick(s.now)
		s.tell()
	}
	if w := s.m.Wake(); !w.IsZero() && !w.After(s.now) {
		s.t.Errorf("at %v the member wants a tick at %v", s.now, w)
	}
	s.now = end
	if s.beaten > 0 {
		fmt.Fprintf(s.out, "%d heartbeats\n", s.beaten)
	}
	s.answers = ""
}

// tell writes the orders. In a time with heartbeats=CODE, it answers heartbeats.
func (s *stage) tell() {
	for {
		orders := s.m.Orders()
		if len(orders) == 0 {
			return
		}
		for _, o := range orders {
			send, ok := o.(Send)
			if ok {
				s.last[kind(send.Request)] = send.Number
			}
			if _, beat := send.Request.(Heartbeat); beat && s.answers != "" {
				s.beaten++
				if s.answers != "none" {
					s.m.Answered(s.now, Answer{Number: send.Number, Code: int16(s.number(s.answers))})
				}
				continue
			}
			fmt.Fprintf(s.out, "%v %s\n", s.now.Sub(start), describe(o))
		}
	}
}

func (s *stage) answer(name string, args map[string]string) {
	number, ok := s.last[name]
	if n, isNumber := strings.CutPrefix(name, "@"); isNumber {
		number, ok = s.number(n), true
	}
	if !ok {
		s.t.Fatalf("no %s", name)
	}
	if name[0] != '@' && number != s.pending(name) {
		s.t.Errorf("%s: #%d is not under way", s.t.Name(), number)
	}
	a := Answer{
		Number: number, MemberID: args["member"], LeaderID: args["leader"], Protocol: args["protocol"],
		Code: int16(s.number(args["code"])), Generation: int32(s.number(args["generation"])), Partitions: s.number(args["partitions"]),
	}
	if _, failed := args["err"]; failed {
		a.Err = errors.New("connection reset")
	}
	if args["pause"] != "" {
		a.Pause = s.duration(args["pause"])
	}
	if members := args["members"]; members != "" {
		for m := range strings.SplitSeq(members, ";") {
			a.Members = append(a.Members, s.member(m, a.Protocol))
		}
	}
	_, withheld := args["withheld"]
	b := basis{number: s.number(args["basis"]), withheld: withheld}
	b.known = args["basis"] != ""
	if assigned, ok := args["assigned"]; ok {
		a.Assignment = assignmentBytes("t", share{s.list(assigned), b})
	} else if args["bytes"] != "" {
		a.Assignment = []byte(args["bytes"])
	}
	s.m.Answered(s.now, a)
}

// member reads ID[/INSTANCE]:CLAIMS@GENERATION.
func (s *stage) member(text, protocol string) JoinedMember {
	id, rest, _ := strings.Cut(text, ":")
	id, instance, _ := strings.Cut(id, "/")
	list, generation, _ := strings.Cut(rest, "@")
	version := int16(withClaims)
	if protocol == Range {
		version = 0
	}
	return JoinedMember{id, instance, subscriptionBytes("t", version, claims{int32(s.number(generation)), s.list(list)})}
}

func (s *stage) number(text string) int {
	if text == "" {
		return 0
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		s.t.Fatal(err)
	}
	return n
}

func (s *stage) duration(text string) time.Duration {
	d, err := time.ParseDuration(text)
	if err != nil {
		s.t.Fatal(err)
	}
	return d
}

func (s *stage) list(text string) (ps []int) {
	for n := range strings.FieldsFuncSeq(text, func(r rune) bool { return r == ',' || r == ' ' }) {
		from, to, isRange := strings.Cut(n, "-")
		if !isRange {
			to = from
		}
		for p := s.number(from); p <= s.number(to); p++ {
			ps = append(ps, p)
		}
	}
	return ps
}

func (s *stage) state() {
	st, id := s.m.State(), s.m.Identity()
	fmt.Fprintf(s.out, "%v, %q generation %d, protocol %q, leader %t, held %v, giving up %v, stopping %t\n", st.Phase,
		id.MemberID, id.Generation, st.Protocol, s.m.leader, st.Held, st.GivingUp, !s.m.stopping.IsZero())
}

// pending returns the number of the request under way.
func (s *stage) pending(name string) int {
	return map[string]request{"join": s.m.join, "sync": s.m.sync, "heartbeat": s.m.heartbeat, "leave": s.m.leave}[name].number
}

func kind(r Request) string {
	switch r.(type) {
	case Join:
		return "join"
	case Sync:
		return "sync"
	case Heartbeat:
		return "heartbeat"
	}
	return "leave"
}

func describe(o Order) string {
	switch o := o.(type) {
	case Send:
		return fmt.Sprintf("#%d %s", o.Number, describeRequest(o.Request))
	case Gain:
		if !o.Begin.IsZero() {
			return fmt.Sprintf("gain %v at %v", o.Partitions, o.Begin.Sub(start))
		}
		return fmt.Sprintf("gain %v", o.Partitions)
	case GiveUp:
		return fmt.Sprintf("give up %v", o.Partitions)
	case Lose:
		return fmt.Sprintf("lose: %v", o.Why)
	case Pause:
		return fmt.Sprintf("pause: %v", o.Why)
	case Resume:
		return "resume"
	case Refused:
		return fmt.Sprintf("refused: %v; again at %v", o.Err, o.Again.Sub(start))
	case End:
		return fmt.Sprintf("end: %v", o.Err)
	}
	return "?"
}

func describeRequest(r Request) string {
	switch r := r.(type) {
	case Join:
		var offers []string
		for _, p := range r.Protocols {
			c, _ := readSubscription("t", p.Metadata)
			text := p.Name
			if p.Name == Cooperative {
				text += fmt.Sprintf(" with %v of generation %d", c.partitions, c.generation)
			}
			offers = append(offers, text)
		}
		return fmt.Sprintf("join %q: %s", r.MemberID, strings.Join(offers, ", "))
	case Sync:
		parts := []string{fmt.Sprintf("sync %q in %d", r.MemberID, r.Generation)}
		for _, a := range r.Assignments {
			s, err := readAssignment("t", a.Bytes)
			if err != nil {
				return err.Error()
			}
			part := fmt.Sprintf("%s gets %v", a.MemberID, s.partitions)
			if s.basis.withheld {
				part += " for now"
			}
			parts = append(parts, part)
		}
		return strings.Join(parts, "; ")
	case Heartbeat:
		return fmt.Sprintf("heartbeat %q in %d", r.MemberID, r.Generation)
	case Leave:
		return fmt.Sprintf("leave %q", r.MemberID)
	}
	return "?"
}
