package main

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"convdel/internal/publish"
	"convdel/schema"
)

// sample is one event of the demo with its expected outcome.
type sample struct {
	record publish.Record
	// class and code are those of the expected dead letter; class is empty for an event that is to be deleted.
	class schema.Class
	code  int
	event schema.Event // zero if the record is not an event
	kind  string       // the kind of sample, for the summary
}

// sampleHeader marks the demo's own records on the topic: RUN/NUMBER.
const sampleHeader = "demo-sample"

// sampler makes samples.
type sampler struct {
	rand *rand.Rand
	run  string
	made []sample
}

// sampleKinds returns the kinds of samples, in the order of the summary.
func sampleKinds() []string {
	return []string{"plain", "duplicate", "slow", "flaky", "refused", "failing", "malformed"}
}

// makeSamples returns n samples in random order: at least one of each kind, if n allows it, and further ones in such
// proportions as on a bad day. run keeps the accounts of different runs apart.
func makeSamples(n int, seed uint64, run string) []sample {
	s := &sampler{rand: rand.New(rand.NewPCG(seed, seed)), run: run} //nolint:gosec // repeatable, not secret
	share := func(perMille int) int { return max(1, n*perMille/1000) }
	s.times(share(24), s.malformed)
	for _, code := range []int{50001, 50002, 50003} {
		s.times(share(8), func(i int) { s.answered("refused", fmt.Sprintf("code-%d", code), i, schema.ClassPermanent, code) })
	}
	for _, fault := range []struct {
		name string
		code int
	}{{"code-50004", 50004}, {"code-50005", 50005}, {"http-502", 0}, {"garbage", 0}, {"reset", 0}} {
		s.times(share(3), func(i int) { s.answered("failing", fault.name, i, schema.ClassExhausted, fault.code) })
	}
	s.times(share(30), func(i int) { s.answered("flaky", "flaky-"+strconv.Itoa(1+i%3), i, "", 0) })
	s.times(share(10), func(i int) { s.answered("slow", "slow-800", i, "", 0) })
	s.duplicates(share(120))
	if len(s.made) < n {
		s.times(n-len(s.made), func(i int) { s.answered("plain", "user", i, "", 0) })
	}
	s.rand.Shuffle(len(s.made), func(i, j int) { s.made[i], s.made[j] = s.made[j], s.made[i] })
	s.made = s.made[:n]
	for i := range s.made {
		s.made[i].record.Headers = append(s.made[i].record.Headers, schema.Header{Key: sampleHeader, Value: fmt.Appendf(nil, "%s/%d", run, i)})
	}
	return s.made
}

// makeWitness returns the i-th sample of those that are published while others fail.
func makeWitness(i int, run string) sample {
	s := &sampler{rand: rand.New(rand.NewPCG(uint64(i), 0)), run: run} //nolint:gosec // repeatable, not secret
	s.answered("plain", "witness", i, "", 0)
	made := s.made[0]
	made.record.Headers = append(made.record.Headers, schema.Header{Key: sampleHeader, Value: fmt.Appendf(nil, "%s/%d", run, i)})
	return made
}

func (s *sampler) times(n int, do func(i int)) {
	for i := range n {
		do(i)
	}
}

// answered adds an event of an account whose calls the simulator answers in a special way.
func (s *sampler) answered(kind, account string, i int, class schema.Class, code int) {
	event := s.conversation(account, i)
	s.add(sample{kind: kind, class: class, code: code, event: event})
}

// conversation returns the i-th conversation of an account, of either type.
func (s *sampler) conversation(account string, i int) schema.Event {
	event := schema.Event{ClearRamble: s.rand.IntN(3) == 0}
	event.From = fmt.Sprintf("%s-%s-%d", account, s.run, i)
	event.Type, event.To = schema.C2C, fmt.Sprintf("friend-%d", s.rand.IntN(1000))
	if s.rand.IntN(4) == 0 {
		event.Type, event.To = schema.G2C, fmt.Sprintf("@TGS#%d", s.rand.IntN(1000))
	}
	return event
}

// duplicates adds n events of a few conversations. Some of them ask to clear roaming messages, too.
func (s *sampler) duplicates(n int) {
	const each = 20
	var event schema.Event
	for i := range n {
		if i%each == 0 {
			event = s.conversation("user-dup", i)
		}
		event.ClearRamble = s.rand.IntN(10) == 0
		s.add(sample{kind: "duplicate", event: event})
	}
}

// add encodes an event in one of the three wrappings.
func (s *sampler) add(made sample) {
	wrap := schema.Bare
	switch s.rand.IntN(5) {
	case 0:
		wrap = schema.Structured
	case 1:
		wrap = schema.Binary
	}
	made.event.ID, made.event.Source, made.event.Time = strconv.Itoa(len(s.made)), "convdel/demo", time.Now()
	made.record, _ = publish.Encode(made.event, wrap) // valid by construction; if not, the ledger shows it
	s.made = append(s.made, made)
}

// malformed adds a record that is not an event, each in another way.
func (s *sampler) malformed(i int) {
	who := fmt.Sprintf("user-%s-bad-%d", s.run, i)
	envelope := `{"specversion":"1.0","source":"demo","id":"1","type":%q,"data":%s}`
	good := fmt.Sprintf(`{"From_Account":%q,"Type":1,"To_Account":"b"}`, who)
	values := []string{
		good[:len(good)/2],
		strings.Replace(good, `"Type":1`, `"Type":"1"`, 1),
		strings.Replace(good, `"Type":1`, `"Type":3`, 1),
		fmt.Sprintf(`{"From_Account":42,"Type":1,"To_Account":%q}`, who),
		fmt.Sprintf(`{"From_Account":%q,"Type":1}`, who),
		fmt.Sprintf(`{"From_Account":%q,"Type":1,"To_Account":"%s"}`, who, strings.Repeat("x", schema.MaxUserID+1)),
		fmt.Sprintf(`{"From_Account":"usér-%s-%d","Type":1,"To_Account":"b"}`, s.run, i),
		strings.Replace(good, `}`, `,"ClearRamble":2}`, 1),
		"[" + good + "]",
		fmt.Sprintf(envelope, "conversation.created", good),
		fmt.Sprintf(envelope, schema.EventType, `"text"`),
		"delete " + who + ", please",
		"\xff\xfe\x00",
		"",
	}
	made := sample{kind: "malformed", class: schema.ClassUndecodable}
	made.record.Key = []byte(who)
	if which := i % (len(values) + 1); which < len(values) {
		made.record.Value = []byte(values[which])
	} // once in each round the value is null
	s.made = append(s.made, made)
}

// describeSamples counts samples by kind.
func describeSamples(samples []sample) string {
	count := map[string]int{}
	for _, s := range samples {
		count[s.kind]++
	}
	var parts []string
	for _, kind := range sampleKinds() {
		if count[kind] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", count[kind], kind))
		}
	}
	return strings.Join(parts, ", ")
}
