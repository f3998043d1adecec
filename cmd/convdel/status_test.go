package main

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"convdel/imclient/imtest"
	"convdel/internal/status"
)

// runAgainst starts a service and returns the URL of its admin address.
func runAgainst(t *testing.T, env environment, args ...string) (p *background, url string) {
	t.Helper()
	p = start(t, env, nil, append([]string{"run", "--create-topics"}, args...)...)
	await(t, "the admin address is logged", func() bool {
		line := logLine(t, p.stderr.String(), "admin listens")
		url, _ = line["url"].(string)
		return url != ""
	})
	return p, url
}

// looksLikeSecret is a signature as another program would have logged it.
const looksLikeSecret = "eJwtzE0LgkAUheG*cpl1yNzRkRJaVBhEtaqoXUTz4S2dxhnHtOi-Z*ry"

// TestStatusHidesAccounts: events fail with errors that name their accounts and hold what looks like a secret. No page, no JSON and no
// screen shows either, with markup or without; with admin-accounts, accounts are shown, and are text.
func TestStatusHidesAccounts(t *testing.T) {
	t.Parallel()
	for _, shown := range []bool{false, true} {
		b := newBroker(t)
		sim := startSim(t, imtest.Config{})
		const account = `<script>zq"xylo`
		sim.Script(imtest.Fault{Account: account, Code: 50004, Info: "no " + account + ", usersig=" + looksLikeSecret})
		sim.Script(imtest.Fault{Account: "code-parted", Code: 50001, Info: "C2Ccode-parted and to-whom-it-concerns"})
		env := required().with(environment{"CONVDEL_BROKERS": b.address, "CONVDEL_IM_ENDPOINT": sim.URL, "CONVDEL_ADMIN_ADDR": "127.0.0.1:0"})
		_, url := runAgainst(t, env, fmt.Sprint("--admin-accounts=", shown), "--retry-initial=1s", "--max-attempts=20")
		input := fmt.Sprintf(`{"From_Account":%q,"Type":1,"To_Account":"to-whom-it-concerns"}`, account) + "\n" +
			`{"From_Account":"code-parted","Type":1,"To_Account":"to-whom-it-concerns"}`
		if run := invoke(t, env, input, "publish"); run.status != exitDone {
			t.Fatal(run.stderr)
		}
		var body string
		await(t, "an attempt has failed, and there is a dead letter", func() bool {
			_, body = get(t, url+"/status")
			return strings.Contains(body, `"code": 50004`) && strings.Contains(body, `"code": "50001"`) && strings.Contains(body, `"dead letter"`)
		})
		_, page := get(t, url+"/")
		_, ready := get(t, url+"/readyz")
		screen := invoke(t, env, "", "status", "--admin", url)
		if screen.status != exitDone || screen.stderr != "" || !strings.Contains(screen.stdout, "50004") {
			t.Errorf("status %d %s\n%s", screen.status, screen.stderr, screen.stdout)
		}
		for what, text := range map[string]string{"/status": body, "/": page, "/readyz": ready, "screen": screen.stdout} {
			noSecrets(t, text)
			if strings.Contains(text, looksLikeSecret[:20]) || what == "/" && strings.Contains(text, "<script") {
				t.Errorf("%s shows what it must not:\n%s", what, text)
			}
			for _, word := range []string{"whom", "parted", "xylo"} {
				visible := strings.Contains(text, word)
				if visible && !shown {
					t.Errorf("%s shows %q:\n%s", what, word, text)
				}
				if !visible && shown && what != "/readyz" && what != "screen" {
					t.Errorf("%s lacks %q", what, word)
				}
			}
		}
	}
}

// answering is a replica that answers with a report.
func answering(t *testing.T, r status.Report) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		if request.URL.Path != "/status" {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		_ = json.NewEncoder(w).Encode(r)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func testReport(partition int, state status.State) status.Report {
	now := time.Now().UTC()
	return status.Report{
		At: now, State: state, Sentence: "It is \x1b[31m" + string(state) + ".", Replica: status.Replica{Version: "v1", Group: "g", Topic: "t"},
		Quota: status.Quota{Used: 50, Share: 100, Limit: 200}, Rates: status.Rates{Ended: 50, Known: true}, Unfinished: status.Unfinished{Known: true, Total: 500},
		Partitions:  []status.Partition{{Partition: partition, Committed: 10, End: 510, Unfinished: 500, Oldest: now.Add(-time.Minute)}},
		Oldest:      []status.Event{{Record: fmt.Sprintf("t/%d/10", partition), Time: now.Add(-time.Minute), State: "waiting", Attempts: 3, LastError: "\u202eim api", Due: now.Add(time.Hour)}},
		DeadLetters: []status.Letters{{Class: "permanent", Code: "50001", Letters: 1500}},
		Log:         []status.Line{{Time: now, Level: "WARN", Message: "dead letter"}},
	}
}

// TestStatusOfReplicas: any number of replicas are added up, those that do not answer are named, and nothing commands the terminal.
func TestStatusOfReplicas(t *testing.T) {
	t.Parallel()
	stranger := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"hello":"world"}`)) }))
	t.Cleanup(stranger.Close)
	away := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Redirect(w, &http.Request{Method: http.MethodGet}, "http://127.0.0.1:1/status", http.StatusFound)
	}))
	t.Cleanup(away.Close)
	urls := []string{answering(t, testReport(0, status.Working)), answering(t, testReport(1, status.Pausing)), stranger.URL, away.URL, "127.0.0.1:1"}
	run := invoke(t, nil, "", "status", "--admin", strings.Join(urls, ","))
	if run.status != exitDone {
		t.Fatalf("status %d: %s", run.status, run.stderr)
	}
	for _, want := range []string{
		"2 of 5 replicas answer: 1 working, 1 paused. 1,000 events are unfinished; time to empty: unknown, calls are paused at " + urls[1] + ".",
		"no answer from " + stranger.URL + ": the answer is no status of convdel", "no answer from " + away.URL + ": http status 302",
		"no answer from http://127.0.0.1:1: ", "of a limit of 200", "1m0s ago", "t/1/10", "3,000         permanent  50001", "WARN", `It is \x1b[31mpaused.`,
	} {
		if !strings.Contains(run.stdout, want) {
			t.Errorf("lacks %q", want)
		}
	}
	if strings.ContainsAny(run.stdout, "\x1b\u202e") || t.Failed() {
		t.Errorf("%s", run.stdout)
	}
	run = invoke(t, nil, "", "status", "--admin", strings.Join(urls, ","), "--format", "json")
	var f status.Fleet
	if err := json.Unmarshal([]byte(run.stdout), &f); err != nil || f.Unfinished != 1000 || len(f.Replicas) != 5 || len(f.Partitions) != 2 ||
		f.Oldest[0].LastError != "\u202eim api" || strings.ContainsAny(run.stdout, "\x1b\u202e") {
		t.Errorf("%v\n%s", err, run.stdout)
	}
}

// TestStatusFromKafka: if no replica answers, Kafka says how far the group has come. If that is of no use either, the exit status is 1.
func TestStatusFromKafka(t *testing.T) {
	t.Parallel()
	b := newBroker(t)
	sim := startSim(t, imtest.Config{})
	env := required().with(environment{"CONVDEL_BROKERS": b.address, "CONVDEL_IM_ENDPOINT": sim.URL, "CONVDEL_ADMIN_ADDR": "127.0.0.1:0"})
	p, url := runAgainst(t, env)
	await(t, "ready", func() bool {
		code, _ := get(t, url+"/readyz")
		return code == http.StatusOK
	})
	if run := invoke(t, env, `{"From_Account":"code-50001-a","Type":1,"To_Account":"b"}`, "publish"); run.status != exitDone {
		t.Fatal(run.stderr)
	}
	await(t, "all is committed", func() bool {
		done, err := b.drained(t.Context())
		return done && err == nil
	})
	p.end()
	if run := invoke(t, env, `{"From_Account":"a","Type":1,"To_Account":"b"}`, "publish"); run.status != exitDone {
		t.Fatal(run.stderr)
	}
	run := invoke(t, env, "", "status", "--admin", url)
	for _, want := range []string{"No replica answers.", "no answer from " + url, "Kafka says of group convdel: Empty, 0 members; 1 offset is unfinished; at most 1 dead letter", "PARTITION"} {
		if !strings.Contains(run.stdout, want) || run.status != exitDone {
			t.Errorf("status %d, lacks %q:\n%s%s", run.status, want, run.stdout, run.stderr)
		}
	}
	for _, c := range []struct {
		args []string
		says string
	}{
		{nil, "Kafka was not asked: --brokers is not given"}, {[]string{"--brokers", b.address, "--topic", "no.such.topic"}, "Kafka says nothing of group convdel: topic no.such.topic"},
	} {
		run := invoke(t, nil, "", append([]string{"status", "--admin", url}, c.args...)...)
		if run.status != exitFailed || !strings.Contains(run.stdout, c.says) || !strings.Contains(run.stderr, "neither a replica nor Kafka has answered") {
			t.Errorf("%q: status %d: %s%s", c.args, run.status, run.stdout, run.stderr)
		}
	}
	for _, args := range [][]string{
		{"--admin", ""}, {"--admin", "ftp://a"}, {"--admin", "http://a/b"}, {"--admin", "http://u:p@a"}, {"--admin", "http://a?b"}, {"--format", "xml"}, {"--every", "1ms"},
	} {
		if run := invoke(t, nil, "", append([]string{"status"}, args...)...); run.status != exitUsage || run.stdout != "" || strings.Contains(run.stderr, "u:p") {
			t.Errorf("%q: status %d: %s%s", args, run.status, run.stdout, run.stderr)
		}
	}
}

// TestStatusWatch: without a terminal, each screen follows the one before, until the command is told to stop. Its exit status is that of the
// last screen.
func TestStatusWatch(t *testing.T) {
	t.Parallel()
	for _, format := range []string{formatTable, formatJSON} {
		p := start(t, nil, nil, "status", "--admin", answering(t, testReport(0, status.Working)), "--watch", "--every", "100ms", "--format", format)
		await(t, "three screens", func() bool { return strings.Count(p.stdout.String(), "1 of 1 replica answers") >= 3 })
		if status := p.end(); status != exitDone {
			t.Errorf("%s: status %d", format, status)
		}
		if format == formatTable {
			if strings.Contains(p.stdout.String(), "\x1b") {
				t.Errorf("%q", p.stdout.String())
			}
			continue
		}
		for line := range strings.Lines(p.stdout.String()) {
			if !json.Valid([]byte(line)) {
				t.Errorf("no JSON: %q", line)
			}
		}
	}
	p := start(t, nil, nil, "status", "--admin", "127.0.0.1:1", "--watch", "--every", "100ms")
	await(t, "a screen", func() bool { return strings.Contains(p.stdout.String(), "No replica answers") })
	if status := p.end(); status != exitFailed {
		t.Errorf("nothing answers: status %d", status)
	}
}

// TestAScreenFits: a terminal wraps long lines, so they count as the rows that they take. The first line is cut rather than left out.
func TestAScreenFits(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		columns, rows int
		lines, want   []string
	}{
		{10, 3, []string{"a", "b", "c", "d"}, []string{"a", "b", "c"}},
		{10, 3, []string{"a", "0123456789", "c", "d"}, []string{"a", "0123456789", "c"}},
		{10, 3, []string{"a", "0123456789a", "c", "d"}, []string{"a", "0123456789a"}},
		{10, 3, []string{"a", "b", "0123456789a", "d"}, []string{"a", "b"}},
		{4, 3, []string{"a", "日本語", "d"}, []string{"a", "日本語"}},
		{4, 2, []string{"0123456789"}, []string{"0123456…"}},
		{0, 2, []string{"0123456789", "b", "c"}, []string{"0123456789", "b"}},
		{10, 5, []string{"", "", "a"}, []string{"", "", "a"}},
	} {
		if got := screenful(c.lines, c.columns, c.rows); !slices.Equal(got, c.want) {
			t.Errorf("%q on %d x %d: %q, want %q", c.lines, c.columns, c.rows, got, c.want)
		}
	}
}

// TestStatusOfLiars: what a stranger answers in a replica's place costs neither the other replicas' answers nor the terminal.
func TestStatusOfLiars(t *testing.T) {
	t.Parallel()
	huge, long := testReport(1, status.Working), testReport(2, status.State(strings.Repeat("s", 1000)))
	huge.Quota.Used, huge.Unfinished.Total = 1e308, math.MaxInt64
	long.Sentence, long.Log[0].Message = strings.Repeat("long ", 1<<18), strings.Repeat("long ", 1<<18)
	liar := answering(t, huge)
	urls := strings.Join([]string{answering(t, testReport(0, status.Working)), liar, answering(t, long)}, ",")
	for _, format := range []string{"table", "json"} {
		run := invoke(t, nil, "", "status", "--admin", urls, "--format", format)
		if run.status != exitDone || len(run.stdout) > 20<<10 || !strings.Contains(run.stdout, "1,000 events are unfinished") ||
			!strings.Contains(run.stdout, "no answer from "+liar+": the numbers in the answer can't be true") {
			t.Errorf("%s: status %d, %s, %d bytes\n%.2000s", format, run.status, run.stderr, len(run.stdout), run.stdout)
		}
	}
}
