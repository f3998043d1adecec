package sim

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"convdel/schema"
)

// idHeader is a header of each published record, and so of its dead letter. It names the planned record.
const idHeader = "sim-id"

// fate is the end that a record must come to, unless a fault of the day changes it.
type fate int

const (
	good        fate = iota // deleted
	flaky                   // deleted, after failures of its own
	refused                 // a dead letter of class permanent
	poisoned                // a dead letter of class exhausted
	undecodable             // a dead letter without a call
	expired                 // a dead letter without a call
	rolledBack              // no end: its transaction was aborted
	unreadable              // a dead letter for the unreadable rest of a batch
	revived                 // a dead letter without a call: its conversation has had a message since
)

func (f fate) String() string {
	return [...]string{"good", "flaky", "refused", "poisoned", "undecodable", "expired", "rolled back", "unreadable", "revived"}[f]
}

// planned is a record to be published.
type planned struct {
	id     string
	at     time.Duration
	fate   fate
	code   int // the API's code for a refused or poisoned record; 0 if it gives none
	key    []byte
	value  []byte // nil means null
	header []kgo.RecordHeader
	// age is how much earlier than its publication the record claims to be.
	age time.Duration
	// happened is the time that an expired record names.
	happened time.Time
	// partition is the record's partition, if the publisher does not choose it.
	partition int32

	// transaction says that the record is published in a transaction. It is committed unless the fate is rolledBack.
	transaction bool

	schema.Conversation
	clearRamble bool
	// named says that the event has CloudEvents attributes. eventID, source and erasureID are some of these; empty: those of [planned.wrap].
	named                      bool
	eventID, source, erasureID string
	// batched says that the record is part of an odd batch and published with it.
	batched bool
	// old says that the event is older than the age from which on its account's list must permit it. speaks says that its
	// conversation gets a message since, at the time message of the day, which may be before the day.
	old, speaks bool
	message     time.Duration
	// alone says that no other record has the same conversation.
	alone bool
}

// poisons are accounts whose calls always fail in the simulator, with the code of the answer and a weight for drawing them.
var poisons = []struct {
	account string
	code    int
	share   float64
}{
	{"code-50004", 50004, 0.3},
	{"code-70107", 70107, 0.2},
	{"code-60002", 60002, 0.1},
	{"result-70500", 70500, 0.1},
	{"http-502", 0, 0.1},
	{"reset", 0, 0.1},
	{"garbage", 0, 0.08},
	{"hang", 0, 0.02},
}

// drawEvents plans the records to publish.
func (d *drawer) drawEvents() []*planned {
	capacity := float64(d.sc.quota) * d.sc.length.Seconds()
	n, backlog := 60+d.IntN(min(900, int(capacity/2.5))), 0.25
	if d.sc.quota <= 40 && d.chance(0.4) { // enough to use the quota throughout the day
		n, backlog = 60+d.IntN(int(0.9*capacity)), 0.75
	}
	var all []*planned
	denied := 0 // an account that always lacks the permission looks like the service's own fault from the fifth on
	until, at := d.sc.length, d.between(0, 5*time.Second)
	if d.chance(backlog) {
		until = 10 * time.Second // a backlog for most of the day
	}
	for i := range n {
		if d.chance(0.1) { // otherwise it is in one burst with the previous one
			at = d.between(0, until)
		}
		e := &planned{id: strconv.Itoa(i), at: at, alone: true, clearRamble: d.chance(0.5)}
		e.Conversation = schema.Conversation{From: fmt.Sprintf("user-%d", i), Type: schema.C2C, To: "friend"}
		if d.chance(0.2) {
			e.Type, e.To = schema.G2C, "@TGS#group"
		}
		switch p := d.Float64(); {
		case p < 0.58:
		case p < 0.62: // the same two names, as two users in both directions and as user and group
			e.From, e.To, e.alone = fmt.Sprintf("twin-%d", d.IntN(3)), "twin", false
			if e.Type = schema.ConversationType(1 + d.IntN(2)); d.chance(0.5) {
				e.From, e.To = e.To, e.From
			}
		case p < 0.74: // several events for a few conversations
			e.From, e.alone = fmt.Sprintf("dup-%d", d.IntN(6)), false
		case p < 0.80:
			e.fate, e.From = flaky, fmt.Sprintf("flaky-%d-%d", 1+d.IntN(3), i)
		case p < 0.86:
			e.fate, e.code = refused, 50001+d.IntN(2)
			if denied < 3 && d.chance(0.2) {
				denied++
				e.code = 50003
			}
			e.From = fmt.Sprintf("%s-%d-%d", pick(d.Rand, []string{"code", "result"}), e.code, i)
		case p < 0.91:
			d.poison(e, i)
		case p < 0.97:
			e.fate = undecodable
		case d.sc.maxEventAge > 0:
			e.fate = expired
		}
		if d.sc.transactions && d.chance(0.1) {
			if e.transaction = true; e.fate == good && e.alone && d.chance(0.5) {
				e.fate = rolledBack
			}
		}
		d.wrap(e)
		all = append(all, e)
	}
	return all
}

// erasure returns the erasure that a third of the named events are part of; empty for the others.
func (e *planned) erasure() string {
	if e.erasureID != "" {
		return e.erasureID
	}
	if n, err := strconv.Atoi(e.id); err != nil || !e.named || n%3 > 0 {
		return ""
	}
	return "erasure of " + e.id
}

// event returns the CloudEvents id of a named event.
func (e *planned) event() string { return cmp.Or(e.eventID, e.id) }

func (d *drawer) poison(e *planned, i int) {
	p := d.Float64()
	for _, kind := range poisons {
		if p -= kind.share; p <= 0 {
			e.fate, e.code, e.From = poisoned, kind.code, fmt.Sprintf("%s-%d", kind.account, i)
			return
		}
	}
}

// wrap encodes an event in one of the accepted wrappings, or makes a record that is not an event.
func (d *drawer) wrap(e *planned) {
	e.key = pick(d.Rand, [][]byte{nil, []byte(e.Key()), []byte(e.Key()), []byte(e.id), {}})
	if d.chance(0.2) {
		e.header = append(e.header, kgo.RecordHeader{Key: "trace", Value: []byte{0, 0xff, byte(len(e.id))}})
	}
	if d.chance(0.05) { // unknown names may occur twice
		e.header = append(e.header, kgo.RecordHeader{Key: "trace", Value: []byte("1")}, kgo.RecordHeader{Key: "trace", Value: nil})
	}
	clearRamble := 0
	if e.clearRamble {
		clearRamble = 1
	}
	data := fmt.Sprintf(`{"From_Account":%q,"Type":%d,"To_Account":%q,"ClearRamble":%d}`, e.From, e.Type, e.To, clearRamble)
	happened := ""
	if e.fate == expired {
		e.age = d.sc.maxEventAge + d.between(time.Minute, 24*time.Hour)
		if e.happened = epoch.Add(e.at - e.age); d.chance(0.5) {
			happened = e.happened.Format(time.RFC3339Nano)
			e.age = 0
		}
	}
	switch p := d.Float64(); {
	case e.fate == undecodable:
		e.value = pick(d.Rand, [][]byte{
			nil,
			{},
			[]byte("\x00\xff garbage"), []byte(data[:len(data)-1]), []byte("[]"),
			[]byte(strings.Replace(data, `"Type":`, `"Type":"1","Was":`, 1)), []byte(strings.Replace(data, `"To_Account":"`, `"To_Account":"\u0007`, 1)),
			[]byte(strings.Replace(data, `"From_Account":`, `"from":`, 1)),
		})
		return
	case p < 0.5 && happened == "":
		e.value = []byte(data)
	case p < 0.75:
		e.value = fmt.Appendf(nil, `{"specversion":"1.0","type":%q,"source":"/sim","id":%q,"data":%s`, schema.EventType, e.id, data)
		if e.named = true; e.erasure() != "" {
			e.value = fmt.Appendf(e.value, `,"erasureid":%q`, e.erasure())
		}
		if happened != "" {
			e.value = fmt.Appendf(e.value, `,"time":%q`, happened)
		}
		e.value = append(e.value, '}')
	default:
		e.value = []byte(data)
		header := func(key, value string) { e.header = append(e.header, kgo.RecordHeader{Key: key, Value: []byte(value)}) }
		header("ce_specversion", "1.0")
		header("ce_type", schema.EventType)
		header("ce_source", "/sim")
		header("ce_id", e.id)
		if e.named = true; e.erasure() != "" {
			header("ce_erasureid", e.erasure())
		}
		if happened != "" {
			header("ce_time", happened)
		}
	}
}

// epoch is the time at which a synctest bubble begins.
var epoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// drawer draws a scenario.
type drawer struct {
	*rand.Rand
	sc *scenario
}

func (d *drawer) chance(p float64) bool { return d.Float64() < p }

// between draws from a uniform distribution, both ends included.
func (d *drawer) between(from, to time.Duration) time.Duration {
	if to <= from {
		return from
	}
	return from + time.Duration(d.Int64N(int64(to-from)+1))
}

func pick[T any](r *rand.Rand, from []T) T { return from[r.IntN(len(from))] }
