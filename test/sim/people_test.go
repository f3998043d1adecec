package sim

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"convdel/consumer/deadletter"
	"convdel/schema"
)

// publish publishes the planned records, each at its time, and waits until the brokers have all of them.
func (w *world) publish() {
	events := make(map[time.Duration][]*planned)
	var times []time.Duration
	for _, e := range w.sc.events {
		if e.batched {
			continue
		}
		if events[e.at] == nil {
			times = append(times, e.at)
		}
		events[e.at] = append(events[e.at], e)
	}
	slices.Sort(times)
	for _, at := range times {
		time.Sleep(time.Until(w.began.Add(at)))
		for _, e := range events[at] {
			if e.transaction {
				w.transact(e)
			} else {
				w.send(w.publisher, e)
			}
		}
	}
	if err := w.publisher.Flush(context.Background()); err != nil {
		w.t.Error(err)
	}
}

// transact publishes a record in a transaction of its own.
func (w *world) transact(e *planned) {
	ctx := context.Background()
	if err := w.transactor.BeginTransaction(); err != nil {
		w.t.Error(err)
	}
	w.send(w.transactor, e)
	err := errors.Join(w.transactor.Flush(ctx), w.transactor.EndTransaction(ctx, kgo.TransactionEndTry(e.fate != rolledBack)))
	if err != nil {
		w.t.Errorf("record %s: transaction not ended: %v", e.id, err)
	}
}

func (w *world) send(by *kgo.Client, e *planned) {
	w.mu.Lock()
	w.sent[e.id] = time.Now()
	w.mu.Unlock()
	r := &kgo.Record{
		Topic: topic, Partition: e.partition, Key: e.key, Value: e.value, Timestamp: time.Now().Add(-e.age),
		Headers: append([]kgo.RecordHeader{{Key: idHeader, Value: []byte(e.id)}}, e.header...),
	}
	by.Produce(context.Background(), r, func(_ *kgo.Record, err error) {
		if err != nil {
			w.t.Errorf("record %s not published: %v", e.id, err)
		}
	})
}

// trickle publishes a good event to each partition, in addition to the planned ones.
func (w *world) trickle() {
	for _, p := range w.kafka.PartitionInfos(topic) {
		w.mu.Lock()
		w.trickled++
		e := &planned{id: fmt.Sprintf("trickle-%d", w.trickled), alone: true, partition: p.Partition}
		e.From, e.Type, e.To = e.id, schema.C2C, "friend"
		e.value = fmt.Appendf(nil, `{"From_Account":%q,"Type":1,"To_Account":"friend"}`, e.id)
		w.sc.events = append(w.sc.events, e)
		w.mu.Unlock()
		w.send(w.aimer, e)
	}
}

// order is what an operator does with dead letters.
type order struct {
	all       bool // with the permanent and undecodable ones
	rate      float64
	limit     int
	account   string        // whose letters; empty: everybody's
	stopAfter time.Duration // when the operator stops in the middle; 0: never
	cut       bool          // the operator stops by losing the network, perhaps between two writes
}

func (o order) String() string {
	text := "exhausted and expired"
	if o.all {
		text = "all classes"
	}
	if o.account != "" {
		text += " of " + o.account
	}
	if o.limit > 0 {
		text += fmt.Sprintf(", at most %d", o.limit)
	}
	if o.stopAfter > 0 {
		text += fmt.Sprintf(", interrupted after %s, cut %t", o.stopAfter.Round(100*time.Millisecond), o.cut)
	}
	return text
}

// operatorName is in whose name operators settle dead letters.
const operatorName = "operator"

func (o order) choice() deadletter.Choice {
	c := deadletter.Choice{Topic: topic, By: operatorName, Rate: o.rate, MaxAge: 24 * time.Hour, Filter: deadletter.Filter{Limit: o.limit, Account: o.account}}
	if o.all {
		c.Filter.Classes = schema.Classes()
	}
	return c
}

func (w *world) replay(o order) { w.acting.Go(func() { w.replayNow(o) }) }

func (w *world) replayNow(o order) {
	w.settle(o, "replayed", func(ctx context.Context, t *deadletter.Table, done func(*deadletter.Letter)) error {
		_, err := t.Replay(ctx, o.choice(), done)
		return err
	})
}

func (w *world) discard(o order) {
	w.acting.Go(func() {
		w.settle(o, "discarded", func(ctx context.Context, t *deadletter.Table, done func(*deadletter.Letter)) error {
			c := o.choice()
			c.MaxAge = 0
			_, err := t.Discard(ctx, c, "the simulation says so", done)
			return err
		})
	})
}

// moveBack stops all replicas, moves the group back, and starts them. Like some tools it writes the old metadata beside the
// new offset.
func (w *world) moveBack(by int64) {
	w.acting.Go(func() {
		var stopping sync.WaitGroup
		for _, s := range w.hosts {
			stopping.Go(s.stop)
		}
		stopping.Wait()
		for began := time.Now(); len(w.groups.Info(group).Members) > 0 && time.Since(began) < time.Minute; {
			time.Sleep(time.Second) // static members stay for their session, and a group with members is not moved
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		found, err := w.admin.FetchOffsets(ctx, group)
		if err == nil {
			moved := kadm.Offsets{}
			found.Each(func(o kadm.OffsetResponse) {
				o.At = max(0, o.At-by)
				moved.Add(o.Offset)
			})
			err = w.admin.CommitAllOffsets(ctx, group, moved)
		}
		w.note("the group was moved back by %d, %v", by, err)
		for _, s := range w.hosts {
			s.start()
		}
	})
}

// settle lets an operator settle dead letters while everything else goes on.
func (w *world) settle(o order, how string, do func(context.Context, *deadletter.Table, func(*deadletter.Letter)) error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	operator := w.net.party("operator", nil)
	table, err := deadletter.Open(ctx, w.cluster(operator), deadLetters)
	if err != nil {
		w.note("operator: %v", err)
		return
	}
	defer table.Close()
	switch {
	case o.cut:
		defer time.AfterFunc(o.stopAfter, operator.sever).Stop()
	case o.stopAfter > 0:
		ctx, cancel = context.WithTimeout(ctx, o.stopAfter)
		defer cancel()
	}
	count := 0
	err = do(ctx, table, func(l *deadletter.Letter) {
		count++
		w.mu.Lock()
		defer w.mu.Unlock()
		w.settled[l.ID()] = how
	})
	if half, ok := errors.AsType[*deadletter.SettleError](err); ok {
		w.mu.Lock()
		w.unsure[half.ID] = true
		w.mu.Unlock()
	}
	w.note("operator: %d letters %s, %v", count, how, err)
}
