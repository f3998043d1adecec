package consumer

import (
	"fmt"
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
	// replay says that an operator has published it again, from a dead letter.
	replay bool

	// called says that there was a call for it.
	called bool
	// attempts are its failed calls.
	attempts breaker.Attempts
	// first is when the first call of attempts began, or the last call if none counts. last is when the last call began.
	first, last time.Time
	// code and err are the last answer's.
	code int
	err  error
}

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
	if a.Verdict == Permanent {
		ev.attempts.Counted++
	}
}
