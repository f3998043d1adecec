package consumer

import (
	"crypto/sha256"
	"encoding/hex"

	"github.com/segmentio/kafka-go"

	"convdel/schema"
)

// letterForm is how much of its source record a letter has, and how it is written. A letter that the topic does not take in
// one form is written in the next.
type letterForm int

const (
	// formWhole letters are written together, formAlone ones one at a time: others may have made the batch too large.
	formWhole letterForm = iota
	formAlone
	// formCompressed letters are written alone and compressed, as all that follow.
	formCompressed
	// formNoValue letters lack the source record's value, formLeast ones its key and headers as well.
	formNoValue
	formLeast
)

// leftOut names what a letter of the form lacks.
func (f letterForm) leftOut() string {
	switch f {
	case formWhole, formAlone, formCompressed:
		return ""
	case formNoValue:
		return "value"
	case formLeast:
	}
	return "value, key and headers"
}

// letterID is the key of the letter's record.
func (s *session) letterID(l *letter) string {
	return schema.DeadLetter{Topic: s.cfg.Topic, Partition: l.partition.id, Offset: l.offset}.ID()
}

// compose makes the dead-letter record: the source record's bytes, as far as the letter's form has them, with headers that
// say why. The letter of a replayed record names the one that it replaces.
func (s *session) compose(l *letter) kafka.Message {
	d := s.describe(l)
	source, value := l.headers, l.value
	if l.form.leftOut() != "" {
		s.leaveOut(l, &d)
		value = nil
	}
	if l.form == formLeast {
		d.Key, source = nil, nil
	}
	if value == nil {
		value = []byte{} // a null value would mean that the letter is settled
	}
	headers := d.Headers(source)
	message := kafka.Message{Key: []byte(d.ID()), Value: value, Headers: make([]kafka.Header, len(headers))}
	for i, h := range headers {
		message.Headers[i] = kafka.Header{Key: h.Key, Value: h.Value}
	}
	return message
}

// describe is what a letter says of its event.
func (s *session) describe(l *letter) schema.DeadLetter {
	d := schema.DeadLetter{
		Class:        schema.Class(l.outcome),
		Code:         l.code,
		Attempts:     l.attempts.Counted,
		FirstAttempt: l.first,
		LastAttempt:  l.last,
		Topic:        s.cfg.Topic,
		Partition:    l.partition.id,
		Offset:       l.offset,
		Timestamp:    l.time,
		Key:          l.key,
		Group:        s.cfg.Group,
		NullValue:    l.value == nil && l.batch == nil && l.omitted == nil && l.unloaded == nil,
		Omitted:      l.omitted,
		Batch:        l.batch,
	}
	if l.err != nil {
		d.Error = l.err.Error()
	}
	if origin := l.origin(); origin != nil && origin.Topic == s.cfg.Topic {
		d.Timestamp, d.Replays, d.ReplayOf = origin.Timestamp, origin.Replays, origin.ID()
	}
	return d
}

// leaveOut says in a letter what its form leaves out, and keeps the event where there is one.
func (s *session) leaveOut(l *letter, d *schema.DeadLetter) {
	d.NullValue = false
	if l.omitted == nil {
		content := l.content()
		why := l.missing
		if why == "" {
			why = l.form.leftOut() + ": larger than the dead-letter topic takes"
		}
		d.Omitted = &schema.Omitted{Why: why, Size: content.size, SHA256: hex.EncodeToString(content.sha256[:])}
		d.Event = content.event
	}
}

// content is what a letter keeps of a record whose bytes it has given back.
type content struct {
	size   int64
	sha256 [sha256.Size]byte
	// event is the one in the record, as a letter carries it; nil if it had not decoded.
	event []byte
	// whole is the hash of key, value and headers, by which the record is known again.
	whole [sha256.Size]byte
	// origin is what the record is a replay of; nil if it is none.
	origin *schema.ReplayOrigin
}

// content describes the source record, which is there unless it has been unloaded.
func (l *letter) content() content {
	if l.unloaded != nil {
		return *l.unloaded
	}
	c := content{size: int64(len(l.value)), sha256: sha256.Sum256(l.value), whole: hashRecord(&l.record), origin: l.origin()}
	if e, err := schema.Decode(l.value, l.headers); err == nil && l.batch == nil {
		c.event, _ = e.EncodeWhole() // what has been decoded can be encoded
	}
	return c
}

// origin is what the source record is a replay of; nil if it is none.
func (l *letter) origin() *schema.ReplayOrigin {
	if l.unloaded != nil {
		return l.unloaded.origin
	}
	if origin, ok := schema.Origin(l.headers); ok {
		return &origin
	}
	return nil
}

// hashRecord is a hash of a record's key, value and headers that tells null from empty.
func hashRecord(r *record) [sha256.Size]byte {
	h := sha256.New()
	add := func(b []byte) {
		mark := []byte{0}
		if b != nil {
			mark[0] = 1
		}
		sum := sha256.Sum256(b)
		h.Write(mark)
		h.Write(sum[:])
	}
	add(r.key)
	add(r.value)
	for _, header := range r.headers {
		add([]byte(header.Key))
		add(header.Value)
	}
	return [sha256.Size]byte(h.Sum(nil))
}
