package main

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"

	"convdel/internal/service"
	"convdel/schema"
)

// ledger says how the events ended, by the broker's topics and the simulator's records. It does not rely on the service.
type ledger struct {
	// published counts the records after the mark. erased counts those of them that are parts of the demo's erasure, foreign those
	// that are not the demo's.
	published, erased, foreign int
	deleted                    int
	letters                    []letter
	// service counts the events that the service says have ended, by outcome.
	service map[string]int
	// leftover says that the service also ended events of an earlier run. regrouped says that it had to join its group
	// again, as on a machine that is too slow for its heartbeats, and may have met events twice. In both cases the service
	// rightly counts more events than the topic holds.
	leftover, regrouped bool
	// problems say why the ledger does not balance.
	problems []string
}

// letter is a dead letter as read from its topic.
type letter struct {
	schema.DeadLetter
	value []byte
}

// problem notes a problem. Only the first few are kept.
func (l *ledger) problem(format string, args ...any) {
	const most = 20
	if len(l.problems) < most {
		l.problems = append(l.problems, fmt.Sprintf(format, args...))
	}
}

// draw reads the topics and the simulator's records, and draws up the ledger.
func (d *demo) draw(ctx context.Context, start mark, samples []sample) (*ledger, error) {
	l := &ledger{
		service: d.service.Counts("convdel_events_total"), leftover: start.backlog > 0,
		regrouped: service.Sum(d.service.Counts("convdel_generations_total")) > 1,
	}
	ends, err := d.broker.ends(ctx, schema.Topic)
	if err != nil {
		return nil, err
	}
	committed, err := d.broker.committed(ctx)
	if err != nil {
		return nil, err
	}
	for p, end := range ends {
		if at := committed[p]; at != end {
			l.problem("partition %d ends at offset %d, and %d is committed", p, end, at)
		}
	}
	events, err := d.broker.read(ctx, schema.Topic, start.events, ends)
	if err != nil {
		return nil, err
	}
	letters, err := d.readLetters(ctx, start, l)
	if err != nil {
		return nil, err
	}
	d.match(l, events, letters, samples)
	if !l.leftover && !l.regrouped {
		l.compare()
	}
	return l, nil
}

// readLetters returns the dead letters of this run by their source record.
func (d *demo) readLetters(ctx context.Context, start mark, l *ledger) (map[string]letter, error) {
	ends, err := d.broker.ends(ctx, schema.DeadLetterTopic)
	if err != nil {
		return nil, err
	}
	records, err := d.broker.read(ctx, schema.DeadLetterTopic, start.letters, ends)
	if err != nil {
		return nil, err
	}
	letters := map[string]letter{}
	for _, r := range records {
		parsed, err := schema.ParseDeadLetter(headersOf(r))
		switch {
		case err != nil:
			l.problem("dead letter %s: %v", r.Key, err)
		case r.Value == nil:
			l.problem("dead letter %s has a null value, which means settled", r.Key)
		case parsed.ID() != string(r.Key):
			l.problem("dead letter %s has the headers of %s", r.Key, parsed.ID())
		case parsed.Topic == schema.Topic && parsed.Offset >= start.events[int32(parsed.Partition)]: //nolint:gosec // a handful of partitions
			letters[parsed.ID()] = letter{DeadLetter: parsed, value: r.Value}
		}
	}
	return letters, nil
}

func headersOf(r *kgo.Record) []schema.Header {
	headers := make([]schema.Header, len(r.Headers))
	for i, h := range r.Headers {
		headers[i] = schema.Header{Key: h.Key, Value: h.Value}
	}
	return headers
}

// match finds the outcome of each record.
func (d *demo) match(l *ledger, events []*kgo.Record, letters map[string]letter, samples []sample) {
	cleared := d.cleared()
	seen := make([]bool, len(samples))
	l.published = len(events)
	for _, r := range events {
		id := schema.DeadLetter{Topic: r.Topic, Partition: int(r.Partition), Offset: r.Offset}.ID()
		dead, isDead := letters[id]
		delete(letters, id)
		if isDead {
			l.letters = append(l.letters, dead)
			if !bytes.Equal(dead.value, r.Value) || dead.NullValue != (r.Value == nil) {
				l.problem("%s: its dead letter holds other bytes than were published", id)
			}
		} else {
			l.deleted++
		}
		number, ok := sampleNumber(r, samples)
		if event, err := schema.Decode(r.Value, headersOf(r)); ofErasure(&event, err) {
			l.erased++
			continue
		}
		if !ok {
			l.foreign++
			continue
		}
		seen[number] = true
		d.judge(l, id, samples[number], dead, isDead, cleared)
	}
	for id := range letters {
		l.problem("%s: a dead letter of no record", id)
	}
	for i, ok := range seen {
		if !ok {
			l.problem("sample %d is not on the topic", i)
		}
	}
	slices.SortFunc(l.letters, func(a, b letter) int {
		return cmp.Or(cmp.Compare(a.Class, b.Class), cmp.Compare(a.Code, b.Code), cmp.Compare(a.Error, b.Error),
			cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.Offset, b.Offset))
	})
}

// judge compares a sample's outcome with the expected one.
func (d *demo) judge(l *ledger, id string, s sample, dead letter, isDead bool, cleared map[schema.Conversation]bool) {
	deletes := d.sim.Deleted(s.event.From, int(s.event.Type), s.event.To)
	switch {
	case isDead && deletes > 0:
		l.problem("%s: both deleted and a dead letter", id)
	case !isDead && deletes == 0:
		l.problem("%s: neither deleted nor a dead letter", id)
	case isDead && (dead.Class != s.class || dead.Code != s.code):
		l.problem("%s: dead letter of class %q, code %d, expected %q, %d", id, dead.Class, dead.Code, s.class, s.code)
	case !isDead && s.class != "":
		l.problem("%s: deleted, expected a dead letter of class %q", id, s.class)
	case !isDead && s.event.ClearRamble && !cleared[s.event.Conversation]:
		l.problem("%s: deleted without the roaming messages that it asked to clear", id)
	}
}

// cleared returns the conversations whose roaming messages the simulator was told to clear.
func (d *demo) cleared() map[schema.Conversation]bool {
	cleared := map[schema.Conversation]bool{}
	for _, a := range d.sim.Arrivals() {
		if a.ClearRamble && a.Code == 0 && a.HTTPStatus == 200 {
			cleared[schema.Conversation{From: a.From, Type: schema.ConversationType(a.Type), To: a.To}] = true
		}
	}
	return cleared
}

// sampleNumber finds the sample of a record, by the record's header and bytes.
func sampleNumber(r *kgo.Record, samples []sample) (int, bool) {
	for _, h := range r.Headers {
		_, number, _ := strings.Cut(string(h.Value), "/")
		var i int
		if h.Key != sampleHeader {
			continue
		}
		if _, err := fmt.Sscan(number, &i); err == nil && i >= 0 && i < len(samples) && bytes.Equal(r.Value, samples[i].record.Value) {
			return i, true
		}
	}
	return 0, false
}

// classes counts the dead letters by class and code.
func (l *ledger) classes() map[schema.Class]map[int]int {
	byClass := map[schema.Class]map[int]int{}
	for _, letter := range l.letters {
		if byClass[letter.Class] == nil {
			byClass[letter.Class] = map[int]int{}
		}
		byClass[letter.Class][letter.Code]++
	}
	return byClass
}

// compare compares the service's counts with the ledger.
func (l *ledger) compare() {
	if n := service.Sum(l.service); n != l.published {
		l.problem("the service counts %d events, the topic holds %d", n, l.published)
	}
	if n := l.service["deleted"]; n != l.deleted {
		l.problem("the service counts %d events deleted, it should be %d", n, l.deleted)
	}
	classes := l.classes()
	for _, outcome := range service.DeadOutcomes() {
		if n, found := l.service[string(outcome)], service.Sum(classes[schema.Class(outcome)]); n != found {
			l.problem("the service counts %d dead letters of class %s, the topic holds %d", n, outcome, found)
		}
	}
}
