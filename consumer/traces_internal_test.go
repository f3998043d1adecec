package consumer

import (
	"context"
	"strconv"
	"strings"
	"testing"
	"time"

	"convdel/schema"
)

// TestParentOf: the publisher's span is named by a header, or by the event itself.
func TestParentOf(t *testing.T) {
	t.Parallel()
	header := func(key, value string) schema.Header { return schema.Header{Key: key, Value: []byte(value)} }
	for _, c := range []struct {
		value   string
		headers []schema.Header
		want    string
	}{
		{"{}", nil, ""},
		{"{}", []schema.Header{header("traceparent", "a"), header("traceparent", "b")}, "b"},
		{"{}", []schema.Header{header("ce_traceparent", "a")}, "a"},
		{"{}", []schema.Header{header("ce_traceparent", "a"), header("traceparent", "b")}, "b"},
		{`{"specversion":"1.0","traceparent":"a"}`, nil, "a"},
		{`{"specversion":"1.0","traceparent":"a"}`, []schema.Header{header("traceparent", "b")}, "b"},
		{`{"traceparent":"a"}`, nil, ""},
		{`{"specversion":"1.0","data":{"traceparent":"a"}}`, nil, ""},
		{`{"specversion":"1.0","traceparent":7}`, nil, ""},
		{`{"specversion":"1.0","traceparent":"a"`, nil, ""},
		{`{"specversion":"1.0","traceparent":"a","x":"` + strings.Repeat("x", schema.MaxValueSize) + `"}`, nil, ""},
	} {
		if got := parentOf(&record{value: []byte(c.value), headers: c.headers}); got != c.want {
			t.Errorf("%.60s %v: %q, want %q", c.value, c.headers, got, c.want)
		}
	}
}

// withoutTraces does what is done for the span of an event.
func withoutTraces(ctx context.Context, t *eventTraces, ev *event, events []*event) bool {
	t.begin(ev, t.now())
	_, span := beginCall(ctx, events)
	t.end(ev, OutcomeDeleted)
	return span == nil
}

// TestWithoutTracesNothingIsAllocated for them.
func TestWithoutTracesNothingIsAllocated(t *testing.T) { //nolint:paralleltest // it counts the allocations of the process
	ev := &event{}
	events := []*event{ev}
	ctx := t.Context()
	if n := testing.AllocsPerRun(100, func() { withoutTraces(ctx, newEventTraces(Config{}), ev, events) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// BenchmarkWithoutTraces is what traces cost an event while they are off.
func BenchmarkWithoutTraces(b *testing.B) {
	ev := &event{}
	events := []*event{ev}
	b.ReportAllocs()
	for b.Loop() {
		if !withoutTraces(b.Context(), nil, ev, events) {
			b.Fatal("a span")
		}
	}
}

// TestFirstRetryOfACause: a cause is told once, and again after a minute without it. The memory is bounded.
func TestFirstRetryOfACause(t *testing.T) {
	t.Parallel()
	var c causes
	at := time.Now()
	busy, slow := cause{code: 50004}, cause{reason: "timeout"}
	for i, step := range []struct {
		of    cause
		after time.Duration
		want  bool
	}{
		{busy, 0, true},
		{busy, 0, false},
		{slow, 0, true},
		{busy, time.Minute, false},
		{slow, time.Second, true},
		{busy, 59 * time.Second, false},
		{busy, time.Minute + 1, true},
	} {
		at = at.Add(step.after)
		if got := c.first(step.of, at); got != step.want {
			t.Errorf("step %d: %t", i, got)
		}
	}
	at = at.Add(time.Hour)
	for n := range 3 * maxCauses {
		if !c.first(cause{reason: strconv.Itoa(n)}, at) {
			t.Errorf("cause %d is not told", n)
		}
	}
	if len(c.last) > maxCauses {
		t.Errorf("%d causes are remembered", len(c.last))
	}
	if c.first(cause{reason: "0"}, at) {
		t.Error("a cause is told again")
	}
}
