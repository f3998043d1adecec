package consumer_test

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"convdel/consumer"
)

// spans records the spans of events, by offset, as texts.
type spans struct {
	mu   sync.Mutex
	text map[int64]string
	open int
}

func (s *spans) note(offset int64, format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.text[offset] += fmt.Sprintf(format, args...)
}

// began counts spans that have begun, less those that have ended.
func (s *spans) began(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open += n
}

// Event begins the span of an event; offset 0 has none.
func (s *spans) Event(e consumer.TracedEvent) consumer.EventSpan {
	if e.Offset == 0 {
		return nil
	}
	s.began(1)
	s.note(e.Offset, "%s", e.Parent)
	return &span{s, e.Offset}
}

type span struct {
	of     *spans
	offset int64
}

func (s *span) Trace() string { return fmt.Sprintf("%032d", s.offset) }

func (s *span) Call(ctx context.Context, attempt, events int) (context.Context, consumer.CallSpan) {
	s.of.began(1)
	s.of.note(s.offset, " call %d of %d:", attempt, events)
	return ctx, callSpan{s}
}

func (s *span) Shares(c consumer.CallSpan) {
	if call, ok := c.(callSpan); ok {
		s.of.note(s.offset, " shares that of %d", call.offset)
	}
}

func (s *span) End(e consumer.TracedEnd) {
	s.of.began(-1)
	s.of.note(s.offset, " ends %q %d after %d", e.Outcome, e.Code, e.Attempts)
}

type callSpan struct{ *span }

func (s callSpan) End(a consumer.Answer) {
	s.of.began(-1)
	s.of.note(s.offset, " %d", a.Code)
}

// TestSpansOfEvents: each event has a span from its fetch to its end, also if it is left undone, and each call belongs to one.
func TestSpansOfEvents(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{}, func(w *world) {
		w.api.set(time.Second, func(c consumer.Call, _ int) consumer.Answer {
			if c.Conversation == conversation(2) {
				return verdict(consumer.Transient, 50004)
			}
			return verdict(consumer.Deleted, 0)
		})
		s := &spans{text: map[int64]string{}}
		values := [][]byte{eventValue(0), eventValue(1), eventValue(2), []byte("no event"), eventValue(3), eventValue(3), eventValue(3)}
		var records []*kgo.Record
		for _, v := range values {
			records = append(records, &kgo.Record{Topic: testTopic, Value: v})
		}
		records[1].Headers = []kgo.RecordHeader{{Key: "traceparent", Value: []byte("publisher")}}
		w.produce(records...)
		r := w.start(func(c *consumer.Config) { c.Traces, c.MaxAttempts, c.MaxCalls = s, 2, 1 })
		w.awaitDrained(5 * time.Minute)
		w.api.set(time.Hour, func(consumer.Call, int) consumer.Answer { return verdict(consumer.Deleted, 0) })
		w.publish(0, eventValue(8), eventValue(9))
		time.Sleep(10 * time.Second)
		r.stop()
		want := map[int64]string{
			1: `publisher call 1 of 1: 0 ends "deleted" 0 after 1`, 2: ` call 1 of 1: 50004 call 2 of 1: 50004 ends "exhausted" 50004 after 2`,
			3: ` ends "undecodable" 0 after 0`, 4: ` call 1 of 3: 0 ends "deleted" 0 after 1`, 5: ` shares that of 4 ends "deleted" 0 after 1`,
			6: ` shares that of 4 ends "deleted" 0 after 1`, 7: ` call 1 of 1: 0 ends "" 0 after 1`, 8: ` ends "" 0 after 0`,
		}
		if !maps.Equal(s.text, want) || s.open != 0 {
			w.t.Errorf("%d spans are open; got %v\nwant %v", s.open, s.text, want)
		}
		wantTold(w)
	})
}

// wantTold checks the lines of the log: one for the dead letter of each record, and one for the first retry, with their traces.
func wantTold(w *world) {
	w.t.Helper()
	log := w.log.String()
	for message, offsets := range map[string][]int{`msg="dead letter"`: {2, 3}, `msg="a call has failed, `: {2}} {
		if n := strings.Count(log, message); n != len(offsets) {
			w.t.Errorf("%d lines have %s", n, message)
		}
		for _, offset := range offsets {
			found := false
			for line := range strings.Lines(log) {
				found = found || strings.Contains(line, message) && strings.Contains(line, fmt.Sprintf("%s/0/%d", testTopic, offset)) &&
					strings.Contains(line, fmt.Sprintf("%032d", offset))
			}
			if !found {
				w.t.Errorf("no line has %s of record %d and its trace", message, offset)
			}
		}
	}
}
