package consumer

import (
	"crypto/sha256"
	"encoding/hex"

	"github.com/segmentio/kafka-go"

	"convdel/schema"
)

// deadLetterForm is how a dead letter is written, and how much of its source record it has. What the topic refuses in one form
// is written in the next.
type deadLetterForm int

const (
	// formWhole dead letters are written together, those of all other forms alone: others in the batch may have made that too
	// large.
	formWhole deadLetterForm = iota
	formAlone
	// formCompressed dead letters are written compressed, as are those of the forms that follow.
	formCompressed
	// formNoValue dead letters lack the source record's value, formLeast ones its key and headers as well.
	formNoValue
	formLeast
)

// leftOut names what a dead letter of the form lacks.
func (f deadLetterForm) leftOut() string {
	switch f {
	case formWhole, formAlone, formCompressed:
		return ""
	case formNoValue:
		return "value"
	case formLeast:
	}
	return "value, key and headers"
}

// shrink gives a dead letter the next form, and says whether there is one. If not, its next write is of the whole source
// record where that is still to be had: the topic may take more by then.
func (l *deadLetter) shrink() bool {
	if l.form < formLeast {
		l.form++
		return true
	}
	if !l.gone {
		l.form = formWhole
	}
	return false
}

// lose notes that the source record is gone from its topic, so that the dead letter does without it.
func (l *deadLetter) lose() { l.form, l.gone = formLeast, true }

// message makes the dead letter's record: the source record's bytes, as far as the form has them, with headers that
// say why the event became a dead letter.
func (l *deadLetter) message(from provenance) kafka.Message {
	d := l.describe(from)
	source, value := l.headers, l.value
	if l.form.leftOut() != "" {
		l.leaveOut(&d)
		value = nil
	}
	if l.form == formLeast {
		d.Key, source = nil, nil
	}
	if value == nil {
		value = []byte{} // a null value would mean that the dead letter is settled
	}
	headers := d.Headers(source)
	message := kafka.Message{Key: []byte(d.ID()), Value: value, Headers: make([]kafka.Header, len(headers))}
	for i, h := range headers {
		message.Headers[i] = kafka.Header{Key: h.Key, Value: h.Value}
	}
	return message
}

// describe is what a dead letter says of its event. That of a replayed record names the dead letter that it replaces.
func (l *deadLetter) describe(from provenance) schema.DeadLetter {
	d := schema.DeadLetter{
		Class:        schema.Class(l.outcome),
		Code:         l.code,
		Attempts:     l.attempts.Counted,
		FirstAttempt: l.first,
		LastAttempt:  l.last,
		Topic:        from.topic,
		Partition:    l.partition.id,
		Offset:       l.offset,
		Timestamp:    l.time,
		Key:          l.key,
		Group:        from.group,

		OutcomeTopic:         from.outcomeTopic,
		OutcomeHidesAccounts: from.hidesAccounts,

		NullValue: l.value == nil && l.batch == nil && l.omitted == nil && l.digest == nil,
		Omitted:   l.omitted,
		Batch:     l.batch,
	}
	if l.err != nil {
		d.Error = l.err.Error()
	}
	if origin := l.origin; origin != nil && origin.Topic == from.topic {
		d.Timestamp, d.Replays, d.ReplayOf = origin.Timestamp, origin.Replays, origin.ID()
	}
	return d
}

// leaveOut says in a dead letter what its form leaves out, and keeps the event where there is one.
func (l *deadLetter) leaveOut(d *schema.DeadLetter) {
	d.NullValue = false
	if l.omitted != nil {
		return // it says so already
	}
	why := l.form.leftOut() + ": larger than the dead-letter topic takes"
	if l.gone {
		why = l.form.leftOut() + ": the source record was gone from its topic when the letter could be written"
	}
	digest := l.makeDigest()
	d.Omitted = &schema.Omitted{Why: why, Size: digest.size, SHA256: hex.EncodeToString(digest.sha256[:])}
	d.Event = digest.event
}

// recordDigest is what is kept of a source record that is not in memory.
type recordDigest struct {
	// size is the value's in bytes, sha256 its hash.
	size   int64
	sha256 [sha256.Size]byte
	// event is the one in the record, as a dead letter carries it; nil if the record has not decoded.
	event []byte
	// whole is the hash of key, value and headers, by which the record is known again.
	whole [sha256.Size]byte
}

// makeDigest describes the source record.
func (l *deadLetter) makeDigest() recordDigest {
	if l.digest != nil {
		return *l.digest
	}
	digest := recordDigest{size: int64(len(l.value)), sha256: sha256.Sum256(l.value), whole: hashRecord(&l.record)}
	if e, err := schema.Decode(l.value, l.headers); err == nil && l.batch == nil {
		digest.event, _ = e.EncodeWhole() // what has been decoded can be encoded
	}
	return digest
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
