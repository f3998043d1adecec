package status

import (
	"encoding/json"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"convdel/consumer"
	"convdel/internal/notable"
	"convdel/schema"
)

var noon = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

// TestTimeToEmpty: a pure function of rates and what is left, which says when it does not know.
func TestTimeToEmpty(t *testing.T) {
	t.Parallel()
	known := func(ended, arriving float64) Rates { return Rates{Ended: ended, Arriving: arriving, Known: true} }
	for _, c := range []struct {
		left    int64
		rates   Rates
		paused  bool
		seconds float64
		says    string
	}{
		{0, Rates{}, false, 0, "nothing is left"},
		{0, known(0, 0), true, 0, "nothing is left"},
		{1000, known(100, 0), false, 10, "about 10s"},
		{1000, known(100, 50), false, 20, "about 20s"},
		{360_000, known(100, 0), false, 3600, "about 1h0m"},
		{1000, known(100, 0), true, -1, "calls are paused"},
		{1000, Rates{Ended: 100}, false, -1, "not been measured"},
		{1000, known(0, 0), false, -1, "nothing has ended"},
		{1000, known(0, 7), false, -1, "nothing has ended"},
		{1000, known(100, 150), false, -1, "by 50 a second"},
		{1000, known(100, 100), false, -1, "as much is published as ends"},
		{1000, known(100, 99.5), false, -1, "as much is published as ends"},
		{150, known(100, 150), false, 1.5, "keeps up"},
		{1 << 60, known(1, 0), false, 1 << 60, "about 3650d"},
	} {
		got := TimeToEmpty(c.left, c.rates, c.paused)
		if got.Known != (c.seconds >= 0) || got.Known && got.Seconds != c.seconds || !strings.Contains(got.Text, c.says) {
			t.Errorf("%d left, %+v, paused %v: %+v, want %v, %s", c.left, c.rates, c.paused, got, c.seconds, c.says)
		}
	}
}

func sample(second int, ended, unfinished int64, generation int) Sample {
	return Sample{At: noon.Add(time.Duration(second) * time.Second), Ended: ended, Calls: 2 * ended, Failed: ended / 10, Unfinished: unfinished, Generation: generation, Partitions: 6}
}

// TestRates: what ends and what arrives follows from the last minute of one generation; calls from the last seconds.
func TestRates(t *testing.T) {
	t.Parallel()
	var steady, rebalanced, quick []Sample
	for i := range 60 {
		steady = append(steady, sample(5*i, int64(500*i), int64(9000-250*i), 1))
		rebalanced = append(rebalanced, sample(5*i, int64(500*i), int64(9000-250*i), 1+i/58))
		quick = append(quick, sample(5*i, int64(500*i*i), 50, 1))
	}
	now := steady[59].At.Add(time.Second)
	for name, c := range map[string]struct {
		samples []Sample
		now     time.Time
		want    Rates
	}{
		"none":         {nil, now, Rates{}},
		"one":          {steady[:1], steady[0].At, Rates{}},
		"steady":       {steady, now, Rates{Ended: 100, Arriving: 50, Calls: 200, Failed: 10, Known: true}},
		"two samples":  {steady[:2], steady[1].At, Rates{Ended: 100, Arriving: 50, Calls: 200, Failed: 10, Known: true}},
		"a rebalance":  {rebalanced, now, Rates{Ended: 100, Arriving: 50, Calls: 200, Failed: 10, Known: true}},
		"just joined":  {rebalanced[:59], rebalanced[58].At, Rates{Calls: 200, Failed: 10}},
		"nobody looks": {steady, now.Add(time.Minute), Rates{}},
		"calls are of the last seconds": {quick, now, Rates{
			Ended: float64(500*59*59-500*47*47) / 60, Arriving: float64(500*59*59-500*47*47) / 60, Calls: float64(1000*59*59-1000*57*57) / 10,
			Failed: float64(50*59*59-50*57*57) / 10, Known: true,
		}},
	} {
		if got := ratesOf(c.samples, c.now); got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
	for name, c := range map[string]struct {
		kept, present int
		want          Rates
	}{
		"up to the present":       {10, 12, Rates{Ended: 100, Arriving: 50, Calls: 200, Failed: 10, Known: true}},
		"one, and the present":    {0, 5, Rates{Ended: 100, Arriving: 50, Calls: 200, Failed: 10, Known: true}},
		"too short to say":        {0, 4, Rates{}},
		"a burst has just begun":  {-1, 3, Rates{Calls: 1200.0 / 8, Failed: 60.0 / 8, Ended: 600.0 / 23, Arriving: 600.0 / 23, Known: true}},
		"nobody has taken a note": {0, 60, Rates{}},
	} {
		h := &History{}
		at := func(second int) Sample { return sample(second, int64(100*second), int64(9000-50*second), 1) }
		if c.kept < 0 { // nothing to do for 20 seconds, before
			for second := -20; second <= 0; second += 5 {
				h.Add(sample(second, 0, 50, 1))
			}
			at = func(second int) Sample { return sample(second, int64(200*second), 50, 1) }
		}
		for second := 0; second <= c.kept; second += 5 {
			h.Add(at(second))
		}
		got := h.Rates(at(c.present))
		if math.Abs(got.Failed-c.want.Failed) > .2 { // a whole number of each ten
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
		if got.Failed = c.want.Failed; got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
	h := &History{}
	for i := range 1000 {
		h.Add(sample(5*i, 0, 0, 1))
	}
	if n := len(h.Samples()); n != int(Span/Every)+1 {
		t.Errorf("%d samples are kept", n)
	}
}

// TestSentences: each state has a sentence that says since when, why and what comes next.
func TestSentences(t *testing.T) {
	t.Parallel()
	since := noon.Add(-90 * time.Second)
	pause := func(reason consumer.PauseReason, next time.Time) *consumer.Pause {
		return &consumer.Pause{Reason: reason, Since: since, NextProbe: next, Err: errors.New("im api: code 70009")}
	}
	live := consumer.Status{Live: true, Generation: 2, Partitions: 1, Since: since}
	with := func(edit func(*consumer.Status)) consumer.Status {
		s := live
		edit(&s)
		return s
	}
	for name, c := range map[string]struct {
		status consumer.Status
		left   int64
		state  State
		says   []string
	}{
		"idle":          {live, 0, Working, []string{"Works: nothing is left to do."}},
		"busy":          {live, 4000, Working, []string{"4,000 events are unfinished", "Time to empty: unknown, it has not been measured yet."}},
		"no partitions": {with(func(s *consumer.Status) { s.Partitions = 0 }), 0, Working, []string{"owns no partition"}},
		"paused": {with(func(s *consumer.Status) { s.Paused = pause(consumer.PauseHalt, noon.Add(12*time.Second)) }), 9, Pausing, []string{
			"Paused since 2026-11-25T11:58:30Z (1m30s)", "credential", "(im api: code 70009)", "next probe is due in 12s",
		}},
		"probing":      {with(func(s *consumer.Status) { s.Paused = pause(consumer.PauseOutage, time.Time{}) }), 9, Pausing, []string{"A probe is under way."}},
		"probe due":    {with(func(s *consumer.Status) { s.Paused = pause(consumer.PauseDenied, noon) }), 9, Pausing, []string{"permission", "due now"}},
		"lists paused": {with(func(s *consumer.Status) { s.Paused = pause(consumer.PauseLists, time.Time{}) }), 9, Working, []string{"Works", "need their account's list wait since"}},
		"stalled":      {with(func(s *consumer.Status) { s.Stalled = &consumer.Stall{Since: since, Why: "nothing moves: x."} }), 9, Stalled, []string{"Stands still since 2026-11-25T11:58:30Z (1m30s): nothing moves: x."}},
		"fallback":     {with(func(s *consumer.Status) { s.QuotaFallback = true }), 0, Working, []string{"shared budget fails"}},
		"throttled": {with(func(s *consumer.Status) { s.Throttled = &consumer.Throttle{At: noon.Add(-time.Second)} }), 9, Working, []string{
			"9 events are unfinished", "too fast: 0 a second are made at most",
		}},
		"held": {with(func(s *consumer.Status) {
			s.Throttled = &consumer.Throttle{At: noon.Add(-time.Minute), Until: noon.Add(31 * time.Second)}
		}), 9, Working, []string{
			"too fast: it wants none until 2026-11-25T12:00:31Z (31s).",
		}},
		"no kafka":      {consumer.Status{Since: since, Absent: "dial: refused", Unreached: "dial: refused"}, 0, NoKafka, []string{"No Kafka since 2026-11-25T11:58:30Z (1m30s): dial: refused."}},
		"refused":       {consumer.Status{Since: since, Absent: "no right to read"}, 0, Absent, []string{"No working member of its group", "no right to read."}},
		"joining":       {consumer.Status{Since: since}, 0, Joining, []string{"Joining its group since 2026-11-25T11:58:30Z"}},
		"joining again": {consumer.Status{Since: since, Generation: 3}, 0, Joining, []string{"Joining its group again"}},
		"rebalance":     {consumer.Status{Since: since, Generation: 3, Draining: true, Absent: "drains"}, 3, Draining, []string{"opens its partitions anew", "3 calls are under way"}},
		"stopping":      {consumer.Status{Since: since, Draining: true, Stopping: true, Absent: "drains", Unreached: "x"}, 3, Draining, []string{"told to stop", "nothing new begins"}},
	} {
		s := consumer.Snapshot{
			At: noon, Status: c.status, Unfinished: consumer.Unfinished{Calling: int(min(c.left, 3))},
		}
		if c.left > 0 {
			s.Partitions = []consumer.OwnedPartition{{Unfinished: c.left}}
		}
		r := Of(s, Source{History: &History{}})
		for _, text := range c.says {
			if !strings.Contains(r.Sentence, text) {
				t.Errorf("%s: %q lacks %q", name, r.Sentence, text)
			}
		}
		if known := c.status.Live || c.left > 0; r.Unfinished.Known != known || !known && (r.Empty.Known || !strings.Contains(r.Empty.Text, "no partition")) {
			t.Errorf("%s: what is left: %+v, %+v, known %v", name, r.Unfinished, r.Empty, known)
		}
		if r.State != c.state || !strings.HasSuffix(r.Sentence, ".") || strings.HasSuffix(r.Sentence, "..") {
			t.Errorf("%s: %s: %q", name, r.State, r.Sentence)
		}
	}
}

// snapshotOf has accounts in every text that can hold one.
func snapshotOf() consumer.Snapshot {
	err := errors.New("im api: code 50004: alice is not known to bob, usersig=eJwtzE0LgkAUheG_cpl1yNzRkRJaVBhEtaqoXUTz4S2dxhnH")
	return consumer.Snapshot{
		At: noon, Status: consumer.Status{Live: true, Partitions: 1},
		Oldest: []consumer.UnfinishedEvent{{
			Partition: 3, Offset: 7, Time: noon, State: consumer.StateWaiting, Attempts: 2, Code: 50004, Err: err, Due: noon.Add(time.Second),
			Conversation: schema.Conversation{From: "alice", Type: schema.C2C, To: "bob"},
		}},
	}
}

// TestAccountsAreHidden unless they are allowed: the event's own are hidden in its error, too. What looks like a secret never shows.
func TestAccountsAreHidden(t *testing.T) {
	t.Parallel()
	scrub := func(text string) string { before, _, _ := strings.Cut(text, "usersig="); return before }
	lines := []notable.Line{{Time: noon, Message: "m", Attrs: []notable.Attr{{Name: "a", Value: "b"}}}}
	for _, shown := range []bool{false, true} {
		r := Of(snapshotOf(), Source{Replica: Replica{Topic: "events"}, History: &History{}, Accounts: shown, Clean: scrub, Lines: lines})
		text, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		for _, account := range []string{"alice", "bob"} {
			if strings.Contains(string(text), account) != shown {
				t.Errorf("accounts shown %v: %s", shown, text)
			}
		}
		if strings.Contains(string(text), "eJwt") || r.Oldest[0].Record != "events/3/7" || r.AccountsHidden == shown || len(r.Log) != 1 || len(r.Log[0].Attrs) != 1 {
			t.Errorf("accounts shown %v: %s", shown, text)
		}
	}
}

// TestReportHasLists: an empty list is a list in JSON, and times that are not known are absent.
func TestReportHasLists(t *testing.T) {
	t.Parallel()
	text, err := json.Marshal(Of(consumer.Snapshot{At: noon}, Source{History: &History{}, Settings: []Setting{}}))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"partitions":[]`, `"oldest":[]`, `"dead_letters":[]`, `"log":[]`, `"settings":[]`, `"ended":{}`} {
		if !strings.Contains(string(text), want) {
			t.Errorf("%s lacks %s", text, want)
		}
	}
	if strings.Contains(string(text), `"since"`) || strings.Contains(string(text), "null") {
		t.Errorf("%s", text)
	}
}

func report(generation int, state State, unfinished int64, partitions ...Partition) *Report {
	return &Report{
		At: noon, Replica: Replica{Generation: generation, Group: "g", Topic: "t"}, State: state, Quota: Quota{Used: 40, Share: 50, Limit: 200},
		Rates: Rates{Ended: 30, Arriving: 10, Calls: 40, Known: true}, Unfinished: Unfinished{Known: true, Total: unfinished}, Partitions: partitions,
		DeadLetters: []Letters{{"permanent", "50001", 2}},
		Oldest:      []Event{{Record: "t/1/" + string(rune('0'+generation)), Time: noon.Add(-time.Duration(generation) * time.Minute)}},
	}
}

// TestFleet: replicas are added up; a partition is shown once, by its owner; those that don't answer are named.
func TestFleet(t *testing.T) {
	t.Parallel()
	f := FleetOf([]Answer{
		{URL: "http://a", Report: report(3, Working, 300, Partition{Partition: 0, Unfinished: 100}, Partition{Partition: 2, Unfinished: 200})},
		{URL: "http://b", Report: report(2, Pausing, 50, Partition{Partition: 2, Unfinished: 20}, Partition{Partition: 1, Unfinished: 30})},
		{URL: "http://c", Error: "connection refused"},
	}, noon)
	var owners []string
	for _, p := range f.Partitions {
		owners = append(owners, p.Replica)
	}
	if !slices.Equal(owners, []string{"http://a", "http://b", "http://a"}) || f.Partitions[2].Unfinished != 200 {
		t.Errorf("partitions: %+v", f.Partitions)
	}
	if f.Unfinished != 330 || f.Quota != (Quota{Used: 80, Share: 100, Limit: 200}) || f.Rates.Ended != 60 || f.Empty.Known {
		t.Errorf("%+v", f)
	}
	if !slices.Equal(f.DeadLetters, []Letters{{"permanent", "50001", 4}}) || f.Oldest[0].Record != "t/1/3" || len(f.Oldest) != 2 || !f.Answered() {
		t.Errorf("%+v", f)
	}
	if want := "2 of 3 replicas answer: 1 working, 1 paused. 330 events are unfinished; time to empty: unknown, calls are paused at http://b."; f.Sentence != want {
		t.Errorf("%q, want %q", f.Sentence, want)
	}
	if !slices.Contains(f.Notes, "no answer from http://c: connection refused") {
		t.Errorf("%q", f.Notes)
	}
	if away := FleetOf([]Answer{{URL: "http://a", Report: &Report{State: NoKafka}}}, noon); away.Empty.Known || !strings.Contains(away.Sentence, "is not known") {
		t.Errorf("%+v", away)
	}
	if none := FleetOf([]Answer{{URL: "http://c", Error: "x"}}, noon); none.Answered() || none.Sentence != "No replica answers." {
		t.Errorf("%+v", none)
	}
}

// TestFleetsTimeToEmpty is the longest of the replicas' own ones: what one of them has left, no other does. It is unknown if one of them is.
func TestFleetsTimeToEmpty(t *testing.T) {
	t.Parallel()
	unmeasured := report(1, Working, 100)
	unmeasured.Rates.Known = false
	for name, c := range map[string]struct {
		reports []*Report
		seconds float64
		says    string
	}{
		"one has all":  {[]*Report{report(1, Working, 4000), report(1, Working, 0)}, 200, "about 3m20s"},
		"the longest":  {[]*Report{report(1, Working, 400), report(1, Working, 4000), report(1, Working, 1000)}, 200, "about 3m20s"},
		"nothing":      {[]*Report{report(1, Working, 0), report(1, Working, 0)}, 0, "nothing is left"},
		"idle, paused": {[]*Report{report(1, Working, 400), report(1, Pausing, 0)}, 20, "about 20s"},
		"one paused":   {[]*Report{report(1, Working, 400), report(1, Pausing, 4)}, 0, "unknown, calls are paused at http://1"},
		"paused":       {[]*Report{report(1, Pausing, 4)}, 0, "unknown, calls are paused"},
		"two unknown":  {[]*Report{unmeasured, report(1, Pausing, 4)}, 0, "unknown, it has not been measured yet at http://0, nor is it known of 1 other replica"},
	} {
		var answers []Answer
		for i, r := range c.reports {
			answers = append(answers, Answer{URL: "http://" + string(rune('0'+i)), Report: r})
		}
		if got := FleetOf(answers, noon).Empty; got.Seconds != c.seconds || got.Text != c.says || got.Known == strings.HasPrefix(c.says, "unknown") {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// TestFleetOfAnotherVersion: a replica in a state that this version does not know has answered all the same.
func TestFleetOfAnotherVersion(t *testing.T) {
	t.Parallel()
	f := FleetOf([]Answer{{URL: "http://a", Report: report(1, "resting", 0)}, {URL: "http://b", Report: report(1, Working, 0)}}, noon)
	if want := "2 of 2 replicas answer: 1 working, 1 resting. 0 events are unfinished."; f.Sentence != want {
		t.Errorf("%q", f.Sentence)
	}
}

// TestReportsAreBounded: a report from elsewhere with impossible numbers is none, and texts are cut.
func TestReportsAreBounded(t *testing.T) {
	t.Parallel()
	for name, edit := range map[string]func(r *Report){
		"huge":         func(r *Report) { r.Unfinished.Total = math.MaxInt64 },
		"negative":     func(r *Report) { r.Unfinished.Total = -1 },
		"letters":      func(r *Report) { r.DeadLetters[0].Letters = math.MaxInt64 },
		"ended":        func(r *Report) { r.Ended = map[string]int64{"deleted": -5} },
		"partition":    func(r *Report) { r.Partitions = []Partition{{Unfinished: math.MaxInt64}} },
		"rate":         func(r *Report) { r.Rates.Ended = 1e308 },
		"quota":        func(r *Report) { r.Quota.Used = -1 },
		"many lines":   func(r *Report) { r.Log = make([]Line, 51) },
		"many events":  func(r *Report) { r.Oldest = make([]Event, 21) },
		"partitions":   func(r *Report) { r.Partitions = make([]Partition, 100_001) },
		"many letters": func(r *Report) { r.DeadLetters = make([]Letters, 10_001) },
		"many attrs":   func(r *Report) { r.Log = []Line{{Attrs: make([]Setting, 1001)}} },
	} {
		r := report(1, Working, 5)
		if edit(r); r.Bound() == nil {
			t.Errorf("%s is taken", name)
		}
	}
	long := strings.Repeat("é", 1<<20)
	r := report(1, State(long), 5)
	r.Sentence, r.Replica.Version, r.Paused = long, long, &Paused{Reason: long, LastError: long}
	r.Oldest[0] = Event{Record: long, State: long, LastError: long, Conversation: long}
	r.DeadLetters[0] = Letters{Class: long, Code: long}
	r.Log = []Line{{Level: long, Message: long, Attrs: []Setting{{long, long}}}}
	if err := r.Bound(); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(r)
	if err != nil || len(text) > 16<<10 || !strings.Contains(string(text), "é…") || !utf8.Valid(text) {
		t.Errorf("%v, %d bytes", err, len(text))
	}
}
