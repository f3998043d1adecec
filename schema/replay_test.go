package schema_test

import (
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"convdel/schema"
)

func TestReplayHeaders(t *testing.T) {
	t.Parallel()
	d := deadLetter()
	d.Replays = 0
	got := d.ReplayHeaders(d.Headers(headersOf("ce_id: 1", "b: 2")))
	want := headersOf("ce_id: 1", "b: 2", "dlt-topic: conversation.delete.requested", "dlt-partition: 3",
		"dlt-offset: 10457", "dlt-timestamp: 2026-03-01T08:29:59.25Z", "dlt-replays: 1")
	if !reflect.DeepEqual(got, want) {
		t.Errorf("ReplayHeaders = %q\nwant %q", got, want)
	}
	origin, ok := schema.Origin(got)
	if !ok || origin != (schema.ReplayOrigin{Topic: d.Topic, Partition: 3, Offset: 10457, Timestamp: d.Timestamp, Replays: 1}) {
		t.Errorf("Origin = %+v, %v", origin, ok)
	}
}

// TestDeadLettersOfReplaysNameTheOneBefore: however often a record is dead-lettered and replayed, each of its dead letters
// names the previous one and counts one replay more. The first record's time and the source's headers stay.
func TestDeadLettersOfReplaysNameTheOneBefore(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		d, source := genDeadLetter(t), schema.SourceHeaders(genHeaders(t))
		d.Replays, d.ReplayOf, d.Omitted, d.Event, d.Batch = 0, "", nil, nil, nil
		published := d.Timestamp
		letter := d.Headers(source)
		for n := 1; n <= 3; n++ {
			before, err := schema.ParseDeadLetter(letter)
			if err != nil {
				t.Fatal(err)
			}
			replay := before.ReplayHeaders(letter)
			origin, ok := schema.Origin(replay)
			if !ok || origin.Replays != n || origin.ID() != before.ID() || !origin.Timestamp.Equal(published) {
				t.Fatalf("origin %+v, %v after replay %d of %s", origin, ok, n, before.ID())
			}
			if !reflect.DeepEqual(schema.SourceHeaders(replay), source) {
				t.Fatalf("source headers %q have become %q", source, replay)
			}
			next := genDeadLetter(t)
			next.Omitted, next.Event, next.Batch = nil, nil, nil
			next.Timestamp, next.Replays, next.ReplayOf = origin.Timestamp, origin.Replays, origin.ID()
			letter = next.Headers(replay)
		}
	})
}

func TestOriginIgnoresStrayHeaders(t *testing.T) {
	t.Parallel()
	good := func() []schema.Header {
		return headersOf("dlt-topic: t", "dlt-partition: 0", "dlt-offset: 0", "dlt-timestamp: 2026-03-01T08:30:00Z", "dlt-replays: 1")
	}
	if _, ok := schema.Origin(good()); !ok {
		t.Fatal("no origin")
	}
	recordTime := time.Date(2026, 4, 1, 0, 0, 0, 0, time.UTC)
	check := func(name string, headers []schema.Header) {
		t.Helper()
		if origin, ok := schema.Origin(headers); ok || origin != (schema.ReplayOrigin{}) {
			t.Errorf("%s: Origin = %+v, %v", name, origin, ok)
		}
		if at := schema.EventTime(schema.Event{}, headers, recordTime); !at.Equal(recordTime) {
			t.Errorf("%s: EventTime = %s", name, at)
		}
	}
	check("none", nil)
	check("a dead letter's headers, never replayed", schema.DeadLetter{Class: schema.ClassExpired, Topic: "t"}.Headers(nil))
	for i, h := range good() {
		if h.Key != schema.HeaderTimestamp {
			check("without "+h.Key, slices.Delete(good(), i, i+1))
		}
		check("twice "+h.Key, append(good(), h))
		for _, value := range []string{"", "x/y", "-1", "01", "1e3", "\x00"} {
			if h.Key == schema.HeaderTopic && value != "" {
				value += "/"
			}
			broken := good()
			broken[i].Value = []byte(value)
			check(h.Key+" "+value, broken)
		}
	}
	zero := good()
	zero[4].Value = []byte("0")
	check("never replayed", zero)
}

func TestOriginWithoutTimestamp(t *testing.T) {
	t.Parallel()
	d := schema.DeadLetter{Topic: "t", Offset: 7}
	headers := d.ReplayHeaders(nil)
	origin, ok := schema.Origin(headers)
	if !ok || origin != (schema.ReplayOrigin{Topic: "t", Offset: 7, Replays: 1}) {
		t.Errorf("Origin = %+v, %v", origin, ok)
	}
	recordTime := time.Date(2026, 4, 1, 0, 0, 0, 0, time.UTC)
	if at := schema.EventTime(schema.Event{}, headers, recordTime); !at.Equal(recordTime) {
		t.Errorf("EventTime = %s", at)
	}
}

func TestEventTime(t *testing.T) {
	t.Parallel()
	recordTime := time.Date(2026, 4, 1, 0, 0, 0, 0, time.UTC)
	replay := deadLetter().ReplayHeaders(nil)
	late := deadLetter()
	late.Timestamp = cloudEvent().Time.Add(time.Second)
	for _, c := range []struct {
		name    string
		event   schema.Event
		headers []schema.Header
		want    time.Time
	}{
		{"of the record", event(), nil, recordTime},
		{"of the record that it first was", event(), replay, deadLetter().Timestamp},
		{"of the event", cloudEvent(), nil, cloudEvent().Time},
		{"of the event, replayed", cloudEvent(), late.ReplayHeaders(nil), cloudEvent().Time},
		{"of an event that claims to be younger than the record that it first was", cloudEvent(), replay, deadLetter().Timestamp},
		{"of no event, replayed", schema.Event{}, replay, deadLetter().Timestamp},
	} {
		if got := schema.EventTime(c.event, c.headers, recordTime); !got.Equal(c.want) {
			t.Errorf("%s: EventTime = %s, want %s", c.name, got, c.want)
		}
	}
}

// TestEventTimeIsNoneInWhichTheRecordWasThere: a publisher's clock that is ahead makes no event younger than its record is
// known to be.
func TestEventTimeIsNoneInWhichTheRecordWasThere(t *testing.T) {
	t.Parallel()
	written := time.Date(2026, 4, 1, 0, 0, 0, 0, time.UTC)
	ahead := cloudEvent()
	ahead.Time = written.Add(48 * time.Hour)
	later := written.Add(time.Hour)
	for name, at := range map[string]time.Time{
		"the event's clock":          schema.EventTime(ahead, nil, written),
		"the record's clock too":     schema.EventTime(ahead, nil, ahead.Time, later, written, time.Time{}),
		"no time of the record":      schema.EventTime(ahead, nil, time.Time{}, written),
		"no event":                   schema.EventTime(schema.Event{}, nil, later, written),
		"an origin in times to come": schema.EventTime(schema.Event{}, schema.DeadLetter{Topic: "t", Timestamp: ahead.Time}.ReplayHeaders(nil), written),
	} {
		if !at.Equal(written) {
			t.Errorf("%s: EventTime = %s, want %s", name, at, written)
		}
	}
	if at := schema.EventTime(ahead, nil, time.Time{}); !at.Equal(ahead.Time) {
		t.Errorf("with nothing else known: EventTime = %s", at)
	}
}
