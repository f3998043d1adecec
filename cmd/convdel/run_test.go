package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"convdel/imclient"
	"convdel/imclient/imtest"
	"convdel/schema"
)

// logLine finds the JSON log's record with a message.
func logLine(t *testing.T, log, message string) map[string]any {
	t.Helper()
	for line := range strings.Lines(log) {
		var record map[string]any
		if err := json.Unmarshal([]byte(line), &record); err != nil {
			t.Fatalf("not JSON: %q", line)
		}
		if record["msg"] == message {
			return record
		}
	}
	return nil
}

func TestRunServesAndStopsCleanly(t *testing.T) {
	t.Parallel()
	b := newBroker(t)
	sim := startSim(t, imtest.Config{})
	env := required().with(environment{"CONVDEL_BROKERS": b.address, "CONVDEL_IM_ENDPOINT": sim.URL, "CONVDEL_ADMIN_ADDR": "127.0.0.1:0"})
	p := start(t, env, nil, "run", "--create-topics", "--quota", "local")
	var listens map[string]any
	await(t, "the admin address is logged", func() bool {
		listens = logLine(t, p.stderr.String(), "admin listens")
		return listens != nil
	})
	url, _ := listens["url"].(string)
	await(t, "ready", func() bool {
		code, _ := get(t, url+"/readyz")
		return code == http.StatusOK
	})
	input := `{"From_Account":"a","Type":1,"To_Account":"b"}` + "\n" + `{"From_Account":"code-50001","Type":1,"To_Account":"b"}`
	if run := invoke(t, env, input, "publish"); run.status != exitDone {
		t.Fatal(run.stderr)
	}
	await(t, "all is committed", func() bool {
		done, err := b.drained(t.Context())
		return done && err == nil
	})
	_, metrics := get(t, url+"/metrics")
	for _, want := range []string{
		`convdel_events_total{outcome="deleted"} 1`, `convdel_events_total{outcome="permanent"} 1`, "go_goroutines ", "process_cpu_seconds_total ",
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("/metrics lacks %s", want)
		}
	}
	noSecrets(t, metrics)
	if status := p.end(); status != exitDone {
		t.Errorf("status %d", status)
	}
	if sim.Deleted("a", int(schema.C2C), "b") != 1 || sim.Stats().Calls != 2 {
		t.Errorf("the simulator saw %+v", sim.Stats())
	}
	begin, end := logLine(t, p.stderr.String(), "convdel starts"), logLine(t, p.stderr.String(), "convdel stops")
	settings, _ := begin["settings"].(map[string]any)
	if begin["version"] == nil || settings["brokers"] != b.address || settings["quota"] != "local" || settings["im_identifier"] != nil /* a default */ {
		t.Errorf("start: %v", begin)
	}
	totals, _ := end["totals"].(map[string]any)
	if totals["consumed"] != 2.0 || totals["deleted"] != 1.0 || totals["permanent"] != 1.0 || totals["calls"] != 2.0 || end["level"] != "INFO" {
		t.Errorf("end: %v", end)
	}
	if p.stdout.String() != "" {
		t.Errorf("stdout %q", p.stdout.String())
	}
}

func TestRunFailsWithoutItsTopics(t *testing.T) {
	t.Parallel()
	b := newBroker(t)
	run := invoke(t, required(), "", "run", "--brokers", b.address, "--topic", "no.such.topic", "--admin-addr", "")
	end := logLine(t, run.stderr, "convdel stops")
	text, _ := end["error"].(string)
	if run.status != exitFailed || end["level"] != "ERROR" || !strings.Contains(text, "no.such.topic") {
		t.Errorf("status %d, log %s", run.status, run.stderr)
	}
}

func TestWhatTheClientRefusesIsWrongUsage(t *testing.T) {
	t.Parallel()
	var stderr bytes.Buffer
	err := errors.Join(&imclient.ConfigError{Setting: "HTTPS_PROXY", Value: "(not shown)", Want: "a URL"})
	if status := report(&console{stderr: &stderr}, asUsage(err)); status != exitUsage || !strings.Contains(stderr.String(), "HTTPS_PROXY") {
		t.Errorf("status %d, stderr %q", status, stderr.String())
	}
	if status := report(&console{stderr: &stderr}, asUsage(errors.New("port in use"))); status != exitFailed {
		t.Errorf("status %d", status)
	}
}

func TestAdminAddressInUse(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = taken.Close() })
	addr := taken.Addr().String()
	run := invoke(t, required(), "", "run", "--admin-addr", addr)
	if run.status != exitFailed || !strings.HasPrefix(run.stderr, "convdel: --admin-addr (CONVDEL_ADMIN_ADDR) "+addr+": ") || strings.Count(run.stderr, "\n") != 1 {
		t.Errorf("status %d, stderr %q", run.status, run.stderr)
	}
}

// get fetches a page.
func get(t *testing.T, url string) (status int, body string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

// TestPromise10_RunAsksWhereToBegin: a group without offsets ends with status 1 on an old topic, with one line that lists
// the choices. A group of another app ends so, too; the line names both apps and how to take the group over.
func TestPromise10_RunAsksWhereToBegin(t *testing.T) {
	t.Parallel()
	b := newBroker(t)
	env := required().with(environment{"CONVDEL_BROKERS": b.address, "CONVDEL_ADMIN_ADDR": "", "CONVDEL_CREATE_TOPICS": "true"})
	first := start(t, env, nil, "run", "--group", "first", "--im-endpoint=http://127.0.0.1:1")
	await(t, "a generation", func() bool { return strings.Contains(first.stderr.String(), "generation begins") })
	if status := first.end(); status != exitDone {
		t.Fatalf("status %d", status)
	}
	publishAged(t, b.address, 50*time.Hour)
	for _, c := range []struct {
		args []string
		want []string
	}{
		{[]string{"--group", "mistyped"}, []string{"group mistyped has no offsets", "1 records", "the oldest 50h0m0s old", "--start earliest", "--start latest", "a time"}},
		{[]string{"--group", "first", "--im-sdkappid", "1400000001"}, []string{
			"group first belongs to app 1400000000", "dead letters in " + schema.DeadLetterTopic, "this is app 1400000001", "--adopt 1400000000",
		}},
	} {
		run := invoke(t, env, "", append([]string{"run"}, c.args...)...)
		end := logLine(t, run.stderr, "convdel stops")
		text, _ := end["error"].(string)
		if run.status != exitFailed || end["level"] != "ERROR" || strings.Contains(text, "\n") {
			t.Errorf("%v: status %d, log %s", c.args, run.status, run.stderr)
		}
		for _, want := range c.want {
			if !strings.Contains(text, want) {
				t.Errorf("%v: %q lacks %q", c.args, text, want)
			}
		}
	}
}

// publishAged publishes an event with an age.
func publishAged(t *testing.T, broker string, age time.Duration) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(broker))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	r := &kgo.Record{Topic: schema.Topic, Value: []byte(`{"From_Account":"a","Type":1,"To_Account":"b"}`), Timestamp: time.Now().Add(-age)}
	if err := client.ProduceSync(t.Context(), r).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

// TestFloodOfBadRecordsIsShortInTheLog: the log has the first ten dead letters of a class and a count of the others.
func TestFloodOfBadRecordsIsShortInTheLog(t *testing.T) {
	t.Parallel()
	b := newBroker(t)
	env := required().with(environment{"CONVDEL_BROKERS": b.address, "CONVDEL_ADMIN_ADDR": "", "CONVDEL_CREATE_TOPICS": "true", "CONVDEL_IM_ENDPOINT": "http://127.0.0.1:1"})
	p := start(t, env, nil, "run")
	await(t, "a generation", func() bool { return strings.Contains(p.stderr.String(), "generation begins") })
	client, err := kgo.NewClient(kgo.SeedBrokers(b.address))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	const bad = 500
	records := make([]*kgo.Record, bad)
	for i := range records {
		records[i] = &kgo.Record{Topic: schema.Topic, Value: fmt.Appendf(nil, "no event, number %d", i)}
	}
	if err := client.ProduceSync(t.Context(), records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	await(t, "all is committed", func() bool {
		done, err := b.drained(t.Context())
		return done && err == nil
	})
	if status := p.end(); status != exitDone {
		t.Errorf("status %d", status)
	}
	log := p.stderr.String()
	count := logLine(t, log, "more lines like this within a minute")
	if n := strings.Count(log, `"msg":"dead letter"`); n != 10 || count["like"] != "dead letter" || count["class"] != "undecodable" || count["more"] != float64(bad-n) {
		t.Errorf("%d lines, count %v", n, count)
	}
}
