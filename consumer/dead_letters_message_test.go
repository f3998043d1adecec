package consumer

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"

	"convdel/schema"
)

// TestDeadLetterForms: what is refused gets the next form, at once while there is one. After the last one it is whole again,
// later, unless its source record is gone.
func TestDeadLetterForms(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		form  deadLetterForm
		gone  bool
		next  deadLetterForm
		again bool
	}{
		{formWhole, false, formAlone, true},
		{formAlone, false, formCompressed, true},
		{formCompressed, false, formNoValue, true},
		{formNoValue, false, formLeast, true},
		{formLeast, false, formWhole, false},
		{formLeast, true, formLeast, false},
	} {
		l := &deadLetter{form: test.form, gone: test.gone}
		if again := l.shrink(); again != test.again || l.form != test.next {
			t.Errorf("form %d, gone %t: form %d, at once %t; want %d, %t", test.form, test.gone, l.form, again, test.next, test.again)
		}
	}
	l := &deadLetter{form: formNoValue}
	if l.lose(); l.form != formLeast || !l.gone {
		t.Errorf("without its source record: form %d", l.form)
	}
}

// TestRefusals: a smaller form helps against what a broker says of one record, and against nothing else.
func TestRefusals(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		err  error
		want bool
	}{
		{kafka.MessageSizeTooLarge, true},
		{kafka.RecordListTooLarge, true},
		{kafka.InvalidRecord, true},
		{kafka.InvalidMessage, true},
		{kafka.MessageTooLargeError{}, true},
		{fmt.Errorf("wrapped: %w", kafka.MessageSizeTooLarge), true},
		{kafka.NotEnoughReplicas, false},
		{kafka.TopicAuthorizationFailed, false},
		{errors.New("connection reset"), false},
	} {
		if got := isRefusal(test.err); got != test.want {
			t.Errorf("%v: %t, want %t", test.err, got, test.want)
		}
	}
}

// messaged is a message of a dead letter, as whoever reads the topic sees it.
type messaged struct {
	schema.DeadLetter
	value []byte
	own   []schema.Header
}

func readMessage(t *testing.T, l *deadLetter) messaged {
	t.Helper()
	m := l.message(provenance{topic: "events", group: "group"})
	headers := make([]schema.Header, len(m.Headers))
	for i, h := range m.Headers {
		headers[i] = schema.Header{Key: h.Key, Value: h.Value}
	}
	d, err := schema.ParseDeadLetter(headers)
	if err != nil {
		t.Fatal(err)
	}
	if string(m.Key) != d.ID() || m.Value == nil || d.Group != "group" {
		t.Fatalf("key %q, value %v, group %s", m.Key, m.Value, d.Group)
	}
	return messaged{d, m.Value, schema.SourceHeaders(headers)}
}

// TestDeadLetterMessages: each form has the part of the source record that it says, and what is left out is described the same,
// be the record in memory or not.
func TestDeadLetterMessages(t *testing.T) {
	t.Parallel()
	value := []byte(`{"From_Account":"a","Type":1,"To_Account":"b","ClearRamble":1,"P":"` + string(bytes.Repeat([]byte("x"), keptBytes)) + `"}`)
	whole := func() *deadLetter {
		l := queued(7, int64(len(value)))
		l.key, l.value, l.headers = []byte("key"), value, []schema.Header{{Key: "own", Value: []byte("1")}}
		l.time, l.err, l.attempts.Counted = time.Unix(1000, 0), errRefused, 1
		return l
	}
	for _, test := range []struct {
		form                    deadLetterForm
		value, keyAndOwn, event bool
		omitted                 string
	}{
		{formWhole, true, true, false, ""},
		{formAlone, true, true, false, ""},
		{formCompressed, true, true, false, ""},
		{formNoValue, false, true, true, "value: larger than the dead-letter topic takes"},
		{formLeast, false, false, true, "value, key and headers: larger than the dead-letter topic takes"},
	} {
		l := whole()
		l.form = test.form
		m := readMessage(t, l)
		if bytes.Equal(m.value, value) != test.value || (m.Key != nil) != test.keyAndOwn || len(m.own) == 1 != test.keyAndOwn || (m.Event != nil) != test.event {
			t.Errorf("form %d: %d bytes, key %q, %d headers, event %s", test.form, len(m.value), m.Key, len(m.own), m.Event)
		}
		if m.Omitted == nil && test.omitted != "" || m.Omitted != nil && m.Omitted.Why != test.omitted {
			t.Errorf("form %d omits %+v", test.form, m.Omitted)
		}
		if m.Error != errRefused.Error() || m.Attempts != 1 || m.Partition != 3 || m.Offset != 7 || !m.Timestamp.Equal(l.time) {
			t.Errorf("form %d says %+v", test.form, m.DeadLetter)
		}
	}
	inMemory, unread := whole(), whole()
	d := &deadLetters{deadLettersConfig: deadLettersConfig{capacity: testCapacity(8, 1<<20)}}
	if err := d.capacity.acquireBytes(t.Context(), unread.size); err != nil {
		t.Fatal(err)
	}
	d.giveBack(unread)
	if unread.value != nil || unread.digest == nil || unread.size != 0 || !d.capacity.bytes.TryAcquire(1<<20) {
		t.Errorf("%d bytes in memory, %d in flight", len(unread.value), unread.size)
	}
	inMemory.lose()
	unread.lose()
	a, b := readMessage(t, inMemory), readMessage(t, unread)
	if *a.Omitted != *b.Omitted || a.Omitted.Size != int64(len(value)) || !bytes.Equal(a.Event, b.Event) || a.NullValue || b.NullValue {
		t.Errorf("in memory %+v, without %+v", a, b)
	}
	if want := "value, key and headers: the source record was gone from its topic when the letter could be written"; a.Omitted.Why != want {
		t.Errorf("omitted: %s", a.Omitted.Why)
	}
}

// TestHashRecord: a record that differs in any part, null told from empty, is another one.
func TestHashRecord(t *testing.T) {
	t.Parallel()
	header := func(key, value string) []schema.Header { return []schema.Header{{Key: key, Value: []byte(value)}} }
	seen := make(map[[32]byte]int)
	for i, r := range []record{
		{},
		{key: []byte{}},
		{value: []byte{}},
		{key: []byte("a")},
		{value: []byte("a")},
		{key: []byte("a"), value: []byte("b")},
		{key: []byte("ab")},
		{headers: header("a", "b")},
		{headers: header("ab", "")},
		{headers: []schema.Header{{Key: "ab"}}},
		{headers: append(header("a", "b"), header("a", "b")...)},
	} {
		hash := hashRecord(&r)
		if before, ok := seen[hash]; ok {
			t.Errorf("record %d has the hash of record %d", i, before)
		}
		seen[hash] = i
	}
}
