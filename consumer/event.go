package consumer

import (
	"fmt"
	"log/slog"
	"time"

	"convdel/consumer/internal/breaker"
	"convdel/consumer/internal/offsets"
	"convdel/schema"
)

// record is a record as it was read from Kafka. It is kept whole, since a dead letter has it byte for byte.
type record struct {
	partition  *partition
	offset     int64
	time       time.Time
	key, value []byte
	headers    []schema.Header
	// omitted describes the part that was not read, since it is beyond the bounds; nil if there is none.
	omitted *schema.Omitted
	// batch is set where value is a batch that can't be read: the offsets for which the record stands.
	batch *schema.Batch
}

// id is TOPIC/PARTITION/OFFSET, the key of its dead letter and of its outcome.
func (r *record) id(topic string) string {
	return schema.DeadLetter{Topic: topic, Partition: r.partition.id, Offset: r.offset}.ID()
}

// provenance is what dead letters and outcomes say of the service that writes them.
type provenance struct {
	// topic is the source records', group the consumer group.
	topic, group string
	// outcomeTopic is where the ends of events are recorded, empty if they are not. hidesAccounts says that no accounts are
	// recorded there.
	outcomeTopic  string
	hidesAccounts bool
}

// event is a record on its way to its end.
type event struct {
	record
	seq offsets.Seq
	// size is the number of bytes that it holds of the capacity.
	size int64
	// at is the time of the event. The oldest event is called first.
	at           time.Time
	conversation schema.Conversation
	clearRamble  bool
	// names are its CloudEvents attributes, which its outcome repeats; nil if it has none, or if outcomes are not recorded.
	names *eventNames
	// trace is the ID of the trace that it belongs to, for exemplars and the log: that of its span, or else its publisher's; empty if it has
	// none.
	trace string
	// span is nil if none is recorded.
	span EventSpan
	// origin says that an operator has published the record again, and from which dead letter; nil otherwise.
	origin *schema.ReplayOrigin

	// calls is how many there were for it. shared says that the last one answered other events as well.
	calls  int
	shared bool
	// listed is when the list began that lets it be called, zero if none has. revoked says that it waits for another one, and that its
	// conversation is kept meanwhile.
	listed  time.Time
	revoked bool
	// attempts are its failed calls, and the call that has ended it.
	attempts breaker.Attempts
	// listing are the failed lists that may still count. Those that do are among attempts.
	listing breaker.Attempts
	// first is when the first call of attempts began, or the last call if none counts. last is when the last call began.
	first, last time.Time
	// code and err are the last answer's.
	code int
	err  error
}

// cut says that the drain of the event's partition has taken too long: what waits to be written is left to the next owner.
func (ev *event) cut() bool { return ev.partition.cutOff.Load() }

// beginWrite counts a write of the event's dead letter or outcome, unless it is cut. endWrite notes that the write has ended.
func (ev *event) beginWrite() bool { return ev.partition.beginWrite() }
func (ev *event) endWrite()        { ev.partition.endWrite() }

// told is what a line of the log says of an event: which one it is, its trace if it has one, and the attributes.
func (ev *event) told(topic string, attrs ...slog.Attr) []slog.Attr {
	all := append(make([]slog.Attr, 0, len(attrs)+2), slog.String("record", ev.id(topic)))
	if ev.trace != "" {
		all = append(all, slog.String("trace_id", ev.trace))
	}
	return append(all, attrs...)
}

// eventNames are the CloudEvents attributes of an event.
type eventNames struct{ id, source, erasure string }

// namesOf returns the attributes of an event; nil if it has none.
func namesOf(e schema.Event) *eventNames {
	if e.ID == "" && e.Source == "" && e.ErasureID == "" {
		return nil
	}
	return &eventNames{id: e.ID, source: e.Source, erasure: e.ErasureID}
}

// size is the number of bytes of the attributes.
func (n *eventNames) size() int64 {
	if n == nil {
		return 0
	}
	return int64(len(n.id) + len(n.source) + len(n.erasure))
}

// decoded says whether the record is an event: an event has a conversation.
func (ev *event) decoded() bool { return ev.conversation != schema.Conversation{} }

// decode reads the event in a record.
func (r *record) decode() (schema.Event, error) {
	if r.omitted != nil {
		return schema.Event{}, fmt.Errorf("record is beyond the bounds: %s", r.omitted.Why)
	}
	return schema.Decode(r.value, r.headers)
}

// expired says whether the event is older than maxAge allows, and makes that its error. 0 allows any age.
func (ev *event) expired(maxAge time.Duration) bool {
	if maxAge == 0 {
		return false
	}
	age := time.Since(ev.at)
	if age <= maxAge {
		return false
	}
	ev.err = fmt.Errorf("event is %s old, more than the %s allowed", age.Round(time.Second), maxAge)
	return true
}

// answered notes an answer that fails or ends the event, to a call that began at started.
func (ev *event) answered(a Answer, started time.Time) {
	ev.last, ev.code, ev.err = started, a.Code, a.Err
	if a.Verdict != Permanent && a.Verdict != Deleted {
		return
	}
	if ev.attempts.Counted++; ev.attempts.Counted == 1 {
		ev.first = started // those before may have been forgotten while this call was under way: the breaker has opened
	}
}
