package main

import (
	"bytes"
	"encoding/hex"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"convdel/imclient/imtest"
	"convdel/schema"
)

// spanCollector is an OTLP collector.
type spanCollector struct {
	*httptest.Server

	mu       sync.Mutex
	bodies   bytes.Buffer
	spans    []*otlp.Span
	resource map[string]string
	problems []string
}

func newSpanCollector(t *testing.T) *spanCollector {
	t.Helper()
	c := &spanCollector{resource: map[string]string{}}
	c.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		c.mu.Lock()
		defer c.mu.Unlock()
		var sent collector.ExportTraceServiceRequest
		if err != nil || r.URL.Path != "/v1/traces" || proto.Unmarshal(body, &sent) != nil {
			c.problems = append(c.problems, r.URL.Path)
		}
		c.bodies.Write(body)
		for _, of := range sent.GetResourceSpans() {
			for _, a := range of.GetResource().GetAttributes() {
				c.resource[a.GetKey()] = a.GetValue().GetStringValue()
			}
			for _, scope := range of.GetScopeSpans() {
				c.spans = append(c.spans, scope.GetSpans()...)
			}
		}
	}))
	t.Cleanup(c.Close)
	return c
}

// of returns the spans of a kind.
func (c *spanCollector) of(kind otlp.Span_SpanKind) (found []*otlp.Span) {
	for _, s := range c.spans {
		if s.GetKind() == kind {
			found = append(found, s)
		}
	}
	return found
}

func attributeOf(s *otlp.Span, key string) *common.AnyValue {
	for _, a := range s.GetAttributes() {
		if a.GetKey() == key {
			return a.GetValue()
		}
	}
	return nil
}

// tracedRun is a service that sends spans, and what it works with.
type tracedRun struct {
	*background

	broker *demoBroker
	sim    *imtest.Server
}

func startTraced(t *testing.T, more environment) *tracedRun {
	t.Helper()
	r := &tracedRun{broker: newBroker(t)}
	var err error
	r.sim, err = imtest.Start(imtest.Config{
		SDKAppID: 1400000000, Identifier: "administrator", SecretKey: testSecretKey, Latency: imtest.Fixed(100 * time.Millisecond),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.sim.Close)
	env := required().with(environment{
		"CONVDEL_BROKERS": r.broker.address, "CONVDEL_IM_ENDPOINT": r.sim.URL, "CONVDEL_ADMIN_ADDR": "127.0.0.1:0",
		"CONVDEL_MAX_ATTEMPTS": "2", "CONVDEL_RETRY_INITIAL": "1ms", "CONVDEL_LOG_ACCOUNTS": "false",
	}).with(more)
	r.background = start(t, env, nil, "run", "--create-topics", "--quota", "local", "--start", "earliest")
	return r
}

// publish writes records and waits until all have ended.
func (r *tracedRun) publish(t *testing.T, records ...*kgo.Record) {
	t.Helper()
	await(t, "the topic is there", func() bool { return strings.Contains(r.stderr.String(), "generation begins") })
	client, err := kgo.NewClient(kgo.SeedBrokers(r.broker.address), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if err := client.ProduceSync(t.Context(), records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	await(t, "all is committed", func() bool {
		done, err := r.broker.drained(t.Context())
		return done && err == nil
	})
}

const (
	publisherTrace  = "0af7651916cd43dd8448eb211c80319c"
	publisherParent = "00-" + publisherTrace + "-b7ad6b7169203331-01"
)

// tracedRecords are events of three wrappings, three of them of one conversation, one that is refused, one that fails, and no event.
func tracedRecords() []*kgo.Record {
	bare := func(from string, headers ...kgo.RecordHeader) *kgo.Record {
		return &kgo.Record{Topic: schema.Topic, Key: []byte("key-of-qzvw"), Value: []byte(`{"From_Account":"` + from + `","Type":1,"To_Account":"friend-qzvw"}`), Headers: headers}
	}
	header := func(key, value string) kgo.RecordHeader { return kgo.RecordHeader{Key: key, Value: []byte(value)} }
	return []*kgo.Record{
		bare("alice-qzvw", header("traceparent", publisherParent), header("tracestate", "vendor=state-qzvw")), bare("alice-qzvw"), bare("alice-qzvw"),
		bare("bob-qzvw", header("ce_specversion", "1.0"), header("ce_type", schema.EventType), header("ce_source", "/source-qzvw"), header("ce_id", "id-qzvw"),
			header("ce_traceparent", publisherParent)),
		{Topic: schema.Topic, Value: []byte(`{"specversion":"1.0","type":"` + schema.EventType + `","source":"/source-qzvw","id":"id-qzvw","traceparent":"` + publisherParent +
			`","data":{"From_Account":"carol-qzvw","Type":1,"To_Account":"friend-qzvw"}}`)},
		bare("code-50001"), bare("code-50004"),
		{Topic: schema.Topic, Value: []byte(`{"From_Account":{"dave-qzvw":1}}`)},
	}
}

// TestTracesOfARun: each event has a span with a link to its publisher's, each attempt one, and none of them says more than is listed.
func TestTracesOfARun(t *testing.T) {
	t.Parallel()
	c := newSpanCollector(t)
	r := startTraced(t, environment{"OTEL_EXPORTER_OTLP_ENDPOINT": c.URL})
	r.publish(t, tracedRecords()...)
	if status := r.end(); status != exitDone {
		t.Fatalf("status %d", status)
	}
	events, calls := c.of(otlp.Span_SPAN_KIND_CONSUMER), c.of(otlp.Span_SPAN_KIND_CLIENT)
	if len(events) != len(tracedRecords()) || len(c.spans) != len(events)+len(calls) || len(c.problems) > 0 || len(calls) != r.sim.Stats().Calls {
		t.Fatalf("%d events, %d calls of %d, %d spans, %v", len(events), len(calls), r.sim.Stats().Calls, len(c.spans), c.problems)
	}
	if c.resource["service.name"] != "convdel" {
		t.Errorf("resource %v", c.resource)
	}
	outcomes, linked := map[string]int{}, 0
	for _, e := range events {
		outcome := attributeOf(e, "convdel.outcome").GetStringValue()
		outcomes[outcome]++
		linked += checkEventSpan(t, e, calls)
	}
	if outcomes["deleted"] != 5 || outcomes["permanent"] != 1 || outcomes["exhausted"] != 1 || outcomes["undecodable"] != 1 || linked != 3 {
		t.Errorf("outcomes %v, %d linked", outcomes, linked)
	}
	for _, call := range calls {
		if attributeOf(call, "http.response.status_code").GetIntValue() != 200 || attributeOf(call, "server.address").GetStringValue() != "127.0.0.1" ||
			attributeOf(call, "http.request.method").GetStringValue() != http.MethodPost {
			t.Errorf("call %v", call)
		}
	}
	wantOnlyListed(t, c)
	if dead := logLine(t, r.stderr.String(), "dead letter"); dead["trace_id"] == nil || strings.Contains(r.stderr.String(), "qzvw") {
		t.Errorf("log %s", r.stderr.String())
	}
}

// checkEventSpan checks an event's span, and says how many links to the publisher it has.
func checkEventSpan(t *testing.T, e *otlp.Span, calls []*otlp.Span) (linked int) {
	t.Helper()
	answered := 0
	for _, call := range calls {
		if bytes.Equal(call.GetParentSpanId(), e.GetSpanId()) && bytes.Equal(call.GetTraceId(), e.GetTraceId()) {
			answered++
		}
	}
	for _, link := range e.GetLinks() {
		switch {
		case hex.EncodeToString(link.GetTraceId()) == publisherTrace:
			linked++
		case slices.ContainsFunc(calls, func(s *otlp.Span) bool { return bytes.Equal(s.GetSpanId(), link.GetSpanId()) }):
			answered++
		default:
			t.Errorf("a link leads nowhere: %v", link)
		}
	}
	attempts := attributeOf(e, "convdel.attempts").GetIntValue()
	if int64(answered) != attempts || len(e.GetParentSpanId()) > 0 || e.GetEndTimeUnixNano() < e.GetStartTimeUnixNano() {
		t.Errorf("%d calls, %d attempts of %v", answered, attempts, e)
	}
	return linked
}

// wantOnlyListed checks that spans have no attribute but those that docs/traces.md lists, and that nothing of the events is among what was sent.
func wantOnlyListed(t *testing.T, c *spanCollector) {
	t.Helper()
	document := readDocument(t, "traces.md")
	for _, s := range c.spans {
		for _, a := range s.GetAttributes() {
			if !strings.Contains(document, "| `"+a.GetKey()+"` |") {
				t.Errorf("docs/traces.md does not list %s", a.GetKey())
			}
		}
	}
	sent := c.bodies.Bytes()
	for _, secret := range []string{"qzvw", "usersig", "sdkappid", "code-5000", testSecretKey, "administrator", "1400000000"} {
		if bytes.Contains(sent, []byte(secret)) {
			t.Errorf("%q was sent", secret)
		}
	}
}

// TestADeadCollectorHoldsUpNothing: events end, and the stop is no more than about a second later.
func TestADeadCollectorHoldsUpNothing(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = silent.Close() })
	for name, endpoint := range map[string]string{"silent": "http://" + silent.Addr().String(), "gone": "http://127.0.0.1:1"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := startTraced(t, environment{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": endpoint})
			r.publish(t, tracedRecords()...)
			began := time.Now()
			if status := r.end(); status != exitDone || time.Since(began) > 10*time.Second {
				t.Errorf("status %d after %s", status, time.Since(began))
			}
			lost := logLine(t, r.stderr.String(), "spans not sent: they are lost, no event is")
			stops := logLine(t, r.stderr.String(), "convdel stops")
			if totals, _ := stops["totals"].(map[string]any); lost == nil || totals["deleted"] != 5.0 {
				t.Errorf("log %s", r.stderr.String())
			}
		})
	}
}

// TestTracesOfWrongSettings: what can't be used stops the start, and no value is shown.
func TestTracesOfWrongSettings(t *testing.T) {
	t.Parallel()
	for variable, value := range map[string]string{
		"OTEL_EXPORTER_OTLP_ENDPOINT": "ftp://user:passw0rd@host", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://collector.example:4318",
	} {
		env := required().with(environment{variable: value, "OTEL_EXPORTER_OTLP_HEADERS": "api-key=passw0rd"})
		run := invoke(t, env, "", "run")
		if run.status != exitUsage || !strings.Contains(run.stderr, variable+" must ") || strings.Contains(run.stderr, "passw0rd") {
			t.Errorf("status %d, stderr %q", run.status, run.stderr)
		}
	}
}

func readDocument(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
