//go:build kafka && soak

package e2e

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"convdel/schema"
)

const (
	publishTick = 50 * time.Millisecond
	burstLasts  = 10 * time.Second
	calmRate    = 20
	// brake is how many conversations may be pending before publishing pauses.
	brake = 6000
	// A duplicate repeats one of the last so many good events. Some of these still wait, others are deleted.
	remembered = 2000
)

// kind is a kind of record, with its frequency in a thousand and its expected end.
type kind struct {
	account string // The beginning of From_Account, which tells the simulator how to answer.
	share   int
	class   schema.Class // The class of its dead letter; empty for an event that is to be deleted.
	code    string
}

var (
	goodKind    = kind{account: "good", share: 872}
	againKind   = kind{account: "good", share: 60}
	garbageKind = kind{share: 4, class: schema.ClassUndecodable, code: "0"}

	kinds = []*kind{
		&goodKind, &againKind, &garbageKind,
		{account: "slow-300", share: 20},
		{account: "flaky-1", share: 15},
		{account: "flaky-2", share: 10},
		{account: "code-50001", share: 6, class: schema.ClassPermanent, code: "50001"},
		{account: "result-50002", share: 4, class: schema.ClassPermanent, code: "50002"},
		{account: "code-50003", share: 2, class: schema.ClassPermanent, code: "50003"},
		{account: "code-50004", share: 3, class: schema.ClassExhausted, code: "50004"},
		{account: "http-502", share: 2, class: schema.ClassExhausted, code: "0"},
		{account: "reset", share: 1, class: schema.ClassExhausted, code: "0"},
		{account: "hang", share: 1, class: schema.ClassExhausted, code: "0"},
	}
	// burstRates are events a second, for ten seconds each. Their mean, with retries, is 0.9 of the quota.
	burstRates = []int{0, 120, 160, 190, 230, 300}
)

// publisher draws records.
type publisher struct {
	s      *soak
	client *kgo.Client
	rand   *rand.Rand
	serial int
	recent []string
	// calm makes it publish only a few good events.
	calm   atomic.Bool
	cancel context.CancelFunc
	done   sync.WaitGroup
}

func (s *soak) newPublisher() *publisher {
	s.tb.Helper()
	return &publisher{s: s, client: s.newClient(kgo.MetadataMaxAge(10 * time.Second)), rand: rand.New(rand.NewPCG(s.seed, 2))}
}

func (p *publisher) start() {
	var ctx context.Context
	ctx, p.cancel = context.WithCancel(p.s.tb.Context())
	p.done.Go(func() { p.run(ctx) })
}

// stop returns when all published records are acknowledged.
func (p *publisher) stop() {
	p.s.tb.Helper()
	p.cancel()
	p.done.Wait()
	if err := p.client.Flush(p.s.tb.Context()); err != nil {
		p.s.tb.Fatal(err)
	}
}

func (p *publisher) run(ctx context.Context) {
	tick := time.NewTicker(publishTick)
	defer tick.Stop()
	var rate int
	var changes time.Time
	for owed := 0.0; ; {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			if now.After(changes) {
				rate, changes = burstRates[p.rand.IntN(len(burstRates))], now.Add(burstLasts)
			}
			if p.s.books.waiting() > brake {
				continue
			}
			if p.calm.Load() {
				rate = calmRate
			}
			for owed += float64(rate) * publishTick.Seconds(); owed >= 1; owed-- {
				p.publish(ctx, p.draw())
			}
		}
	}
}

func (p *publisher) publish(ctx context.Context, k *kind) {
	r, name := p.record(k)
	p.s.books.publish(name, k)
	// A record's context outlives the run: if it were given up, it would be unknown whether it was published.
	p.client.Produce(context.WithoutCancel(ctx), r, func(r *kgo.Record, err error) { p.s.books.acknowledge(r, k, err) })
}

func (p *publisher) draw() *kind {
	if p.calm.Load() {
		return &goodKind
	}
	at := p.rand.IntN(1000)
	for _, k := range kinds {
		if at -= k.share; at < 0 {
			return k
		}
	}
	return &goodKind
}

// record makes a record, and names its account. Garbage has none.
func (p *publisher) record(k *kind) (r *kgo.Record, name string) {
	p.serial++
	if k == &garbageKind {
		return &kgo.Record{Topic: p.s.topic, Value: p.garbage()}, ""
	}
	name = fmt.Sprintf("%s-%d", k.account, p.serial)
	if k == &againKind && len(p.recent) > 0 {
		name = p.recent[p.rand.IntN(len(p.recent))]
	} else if k == &goodKind {
		p.remember(name)
	}
	e := schema.Event{Conversation: schema.Conversation{From: name, Type: schema.C2C, To: "friend"}, ClearRamble: p.serial%3 == 0}
	r = &kgo.Record{Topic: p.s.topic, Key: []byte(e.Key())}
	var err error
	var headers []schema.Header
	switch p.serial % 10 {
	case 0:
		e.ID, e.Source, e.Time = strconv.Itoa(p.serial), "/soak", time.Now()
		r.Value, err = e.EncodeCloudEvent()
	case 1:
		e.ID, e.Source, e.Time = strconv.Itoa(p.serial), "/soak", time.Now()
		r.Value, headers, err = e.EncodeCloudEventBinary()
	default:
		r.Value, err = e.Encode()
	}
	if err != nil {
		panic(err) // the schema accepts all events of this file
	}
	for _, h := range headers {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: h.Key, Value: h.Value})
	}
	return r, name
}

func (p *publisher) remember(name string) {
	if len(p.recent) < remembered {
		p.recent = append(p.recent, name)
		return
	}
	p.recent[p.serial%remembered] = name
}

// garbage is a value that is not an event. One in eight is null.
func (p *publisher) garbage() []byte {
	switch p.rand.IntN(8) {
	case 0:
		return nil
	case 1:
		return []byte{}
	case 2:
		return bytes.Repeat([]byte{0, 0xff, '{', '\n'}, 10_000)
	case 3:
		return fmt.Appendf(nil, `{"From_Account":"x-%d","Type":7,"To_Account":"y"}`, p.serial)
	}
	return fmt.Appendf(nil, "garbage %d", p.serial)
}
