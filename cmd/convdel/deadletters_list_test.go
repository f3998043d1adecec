package main

import (
	"encoding/json"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"convdel/consumer/cluster"
	"convdel/consumer/deadletter"
	"convdel/imclient"
	"convdel/schema"
)

func TestLettersListTable(t *testing.T) {
	t.Parallel()
	run := mixedShelf(t).do("list")
	shows(t, run,
		"ID AGE CLASS CODE ATTEMPTS CONVERSATION ERROR",
		id(2)+" 1h0m permanent 50001 6 C2C user2 → friend im api: code 50004",
		id(4)+" 1h0m undecodable - 6 - not an event",
		id(5)+" 1h0m exhausted 50004 6 +1 replay C2C user5 → friend",
		"listed 5, all that are open in "+schema.DeadLetterTopic,
		"2 records are of the topic not convdel's",
	)
	if strings.Contains(run.stdout, id(1)) {
		t.Errorf("a letter whose replay failed again is listed twice:\n%s", run.stdout)
	}
}

func TestLettersListFitsTheTerminal(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	s.put(letterOf(1, func(l *testLetter) { l.Error = strings.Repeat("很长的错误", 60) }))
	for width, lines := range map[int]int{80: 4, 100: 4, 160: 2} { // a narrow terminal needs two lines for each letter
		run := invoke(t, environment{"CONVDEL_BROKERS": s.address, "COLUMNS": strconv.Itoa(width)}, "", "deadletters", "list")
		table, _, _ := strings.Cut(run.stdout, "\n\n")
		if n := strings.Count(table, "\n") + 1; n != lines {
			t.Errorf("width %d: %d lines:\n%s", width, n, table)
		}
		if !strings.HasSuffix(table, "…") {
			t.Errorf("width %d: the error is not cut:\n%s", width, table)
		}
		for line := range strings.SplitSeq(table, "\n") {
			if cells(line) > width {
				t.Errorf("width %d: a line takes %d columns: %q", width, cells(line), line)
			}
		}
	}
}

func TestLettersListForPrograms(t *testing.T) {
	t.Parallel()
	s := mixedShelf(t)
	var whole struct {
		Letters                []listedLetter
		Open, Foreign, Records int
	}
	run := s.do("list", "--format", "json", "--class", "permanent")
	if err := json.Unmarshal([]byte(run.stdout), &whole); err != nil || len(whole.Letters) != 1 || whole.Open != 5 || whole.Foreign != 2 || whole.Records != 8 {
		t.Fatalf("%v: %s", err, run.stdout)
	}
	if l := whole.Letters[0]; l.ID != id(2) || l.Code != 50001 || l.From != "user2" || l.To != "friend" || l.Type != "C2C" ||
		l.AgeSeconds < 3600 || l.AgeSeconds > 3660 || l.Attempts != 6 || time.Since(l.Written) > time.Minute {
		t.Errorf("letter %+v", l)
	}
	run = s.do("list", "--format", "json", "--account", "nobody")
	if err := json.Unmarshal([]byte(run.stdout), &whole); err != nil || whole.Letters == nil || len(whole.Letters) != 0 {
		t.Errorf("%v: %s", err, run.stdout)
	}
	run = s.do("list", "--format", "ndjson")
	if strings.Count(run.stdout, "\n") != 5 || !strings.Contains(run.stderr, "listed 5") {
		t.Errorf("ndjson: %+v", run)
	}
}

func TestLettersFilters(t *testing.T) {
	t.Parallel()
	s := mixedShelf(t)
	for args, want := range map[string]string{
		"--class permanent,expired":                  "2 3",
		"--class permanent --class undecodable":      "2 4",
		"--code 50001,50004":                         "2 5 6",
		"--code 0":                                   "3 4",
		"--account user3":                            "3",
		"--account friend --limit 1":                 "2",
		"--since 2h":                                 "2 3 4 5 6",
		"--since 1d --until 30m":                     "",
		"--until 2001-02-03T04:05:06Z":               "",
		"--since 2001-02-03T04:05:06+01:00":          "2 3 4 5 6",
		"--id " + id(4) + "," + id(1) + "," + id(5):  "4 5",
		"--class exhausted --code 50001 --since 10d": "",
	} {
		run := s.do(append([]string{"list", "--format", "ndjson"}, strings.Fields(args)...)...)
		var got []string
		for line := range strings.Lines(run.stdout) {
			var l listedLetter
			if err := json.Unmarshal([]byte(line), &l); err != nil {
				t.Fatal(err)
			}
			got = append(got, l.ID[strings.LastIndexByte(l.ID, '/')+1:])
		}
		slices.Sort(got)
		if strings.Join(got, " ") != want || run.status != exitDone {
			t.Errorf("%s: %v, want %s; stderr %q", args, got, want, run.stderr)
		}
	}
}

func TestLettersOfAnEmptyOrMissingTopic(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	for _, args := range [][]string{{"list"}, {"list", "--summary"}} {
		shows(t, s.do(args...), "no open dead letters in "+schema.DeadLetterTopic)
	}
	shows(t, s.do("replay", "--all", "--yes"), "Nothing to replay: 0 open dead letters")
	if run := s.do("export"); run.status != exitDone || run.stdout != "" || !strings.Contains(run.stderr, "no open dead letters") {
		t.Errorf("export: %+v", run)
	}
	for _, args := range [][]string{{"list"}, {"export"}, {"replay"}, {"discard", "--reason", "x"}, {"show", id(1)}} {
		run := s.do(append(args, "--dead-letter-topic", "no.such.topic")...)
		if run.status != exitFailed || run.stdout != "" || !strings.Contains(run.stderr, "no.such.topic") || strings.Count(run.stderr, "\n") != 1 {
			t.Errorf("%v: %+v", args, run)
		}
	}
}

func TestLettersSummary(t *testing.T) {
	t.Parallel()
	began := time.Now()
	s := mixedShelf(t)
	run := s.do("list", "--summary", "--since", "6h")
	took := time.Since(began)
	shows(t, run,
		"counted 5, all that are open", "2 records are",
		"2 letters EXHAUSTED, code 50004", "1 letter PERMANENT, code 50001", "1 letter UNDECODABLE, code -",
		"meaning the account was never imported into the app", "newest "+id(2),
		"next convdel deadletters discard --brokers="+s.address+" --class=permanent --code=50001 --since=6h --reason 'WHY'",
		"next convdel deadletters replay --brokers="+s.address+" --class=exhausted --code=50004 --since=6h",
		"next convdel deadletters export --brokers="+s.address+" --class=undecodable --code=0 --since=6h > letters.ndjson",
		"next convdel deadletters discard --brokers="+s.address+" --class=expired",
	)
	if strings.Index(run.stdout, "EXHAUSTED") > strings.Index(run.stdout, "PERMANENT") {
		t.Error("the largest group is not first")
	}
	ages := regexp.MustCompile(`\((\d+)s ago\)`).FindAllStringSubmatch(run.stdout, -1)
	for _, age := range ages {
		if seconds, err := strconv.Atoi(age[1]); err != nil || seconds > int(took.Seconds())+1 {
			t.Errorf("%s, after %v", age[0], took)
		}
	}
	if len(ages) != 8 {
		t.Errorf("%d ages, want two of each of 4 groups", len(ages))
	}
	var whole letterSummary
	run = s.do("list", "--summary", "--format", "json", "--code", "50004")
	if err := json.Unmarshal([]byte(run.stdout), &whole); err != nil || len(whole.Groups) != 1 || whole.Selected != 2 || whole.Open != 5 ||
		whole.Foreign != 2 || whole.Groups[0].Letters != 2 || whole.Groups[0].Advice == "" || whole.Groups[0].First.After(whole.Groups[0].Last) {
		t.Errorf("%v: %s", err, run.stdout)
	}
	if run = s.do("list", "--summary", "--format", "ndjson"); strings.Count(run.stdout, "\n") != 4 {
		t.Errorf("ndjson: %s", run.stdout)
	}
}

func TestAdviceIsForSettledTimes(t *testing.T) {
	t.Parallel()
	known := 0
	for _, class := range schema.Classes() {
		for code := range 80_000 {
			meaning, advice := explain(class, code)
			if meaning == "" || advice == "" || strings.Contains(advice, "tried again") || strings.Contains(meaning, "tried again") {
				t.Fatalf("%s %d: %q, %q", class, code, meaning, advice)
			}
			if !strings.Contains(advice, "replay") && !strings.Contains(advice, "discard") {
				t.Fatalf("%s %d: %q does not end the letter", class, code, advice)
			}
			if plain, _ := imclient.Explain(code); class == schema.ClassExhausted && code != 0 && plain == meaning {
				known++
			}
		}
	}
	if known != 79_999 {
		t.Errorf("the meaning of %d codes is the API's", known)
	}
}

func TestLettersWatch(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	s.put(letterOf(1))
	w := start(t, environment{"CONVDEL_BROKERS": s.address}, strings.NewReader(""), "deadletters", "list", "--watch", "--code", "50004")
	await(t, "what is there", func() bool { return strings.Contains(w.stdout.String(), id(1)) })
	s.put(letterOf(2), letterOf(3, classed(schema.ClassPermanent, 50001)), letterOf(4))
	await(t, "what comes", func() bool {
		return strings.Contains(w.stdout.String(), id(2)) && strings.Contains(w.stdout.String(), id(4))
	})
	if status := w.end(); status != exitDone || strings.Contains(w.stdout.String(), id(3)) || strings.Count(w.stdout.String(), "CLASS") != 1 {
		t.Errorf("status %d", status)
	}
}

// TestRemediesAreForEveryReason: the plan has a remedy for each of the library's reasons.
func TestRemediesAreForEveryReason(t *testing.T) {
	t.Parallel()
	s := &settling{maxAge: "24h", cfg: tableConfig{cluster: cluster.Config{}, topic: "x"}}
	for _, why := range []deadletter.Left{
		deadletter.LeftTooOld, deadletter.LeftNotNamed, deadletter.LeftOtherTopic, deadletter.LeftOmitted, deadletter.LeftBatch, deadletter.LeftOutcomeTopic,
	} {
		if s.remedy(why, deadletter.Plan{}) == "" {
			t.Errorf("nothing said about %q", why)
		}
	}
}
