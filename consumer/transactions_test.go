package consumer_test

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// TestTransactionsAndHoles reads a log of committed, aborted and open transactions between plain
// records: what was rolled back is not executed, and the markers' offsets are no events.
func TestTransactionsAndHoles(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{}, func(w *world) {
		t := w.t
		ctx := t.Context()
		transactional := w.newClient(kgo.TransactionalID("upstream"))
		defer transactional.Close()
		transaction := func(from, to int, commit kgo.TransactionEndTry) {
			if err := transactional.BeginTransaction(); err != nil {
				t.Fatal(err)
			}
			for _, v := range eventValues(from, to) {
				if err := transactional.ProduceSync(ctx, &kgo.Record{Topic: testTopic, Value: v}).FirstErr(); err != nil {
					t.Fatal(err)
				}
			}
			w.publish(0, eventValue(1000+from)) //nolint:contextcheck // somebody else's, in the midst of the transaction
			if err := transactional.EndTransaction(ctx, commit); err != nil {
				t.Fatal(err)
			}
		}
		for n := 0; n < 100; n += 10 {
			transaction(n, n+10, kgo.TransactionEndTry(n%20 == 0))
		}
		w.start()
		w.awaitDrained(time.Minute)
		deletes := w.api.deletes()
		for n := range 100 {
			want := 0
			if n%20 < 10 {
				want = 1
			}
			if got := deletes[conversation(n)]; got != want {
				t.Errorf("event %d of a transaction: deleted %d times, want %d", n, got, want)
			}
			if n%10 == 0 && deletes[conversation(1000+n)] != 1 {
				t.Errorf("plain event %d deleted %d times", 1000+n, deletes[conversation(1000+n)])
			}
		}
		if n := len(w.deadLetters()); n != 0 {
			t.Errorf("%d dead letters: markers are no events", n)
		}
	})
}

// producer publishes to the first partition in transactions, and ends the test where something fails.
type producer struct {
	w      *world
	client *kgo.Client
}

func (w *world) newProducer(id string) *producer {
	w.t.Helper()
	p := &producer{w: w, client: w.newClient(kgo.TransactionalID(id))}
	w.closers = append(w.closers, p.client.Close)
	return p
}

func (p *producer) begin() {
	p.w.t.Helper()
	if err := p.client.BeginTransaction(); err != nil {
		p.w.t.Fatal(err)
	}
}

func (p *producer) publish(n int) {
	p.w.t.Helper()
	r := &kgo.Record{Topic: testTopic, Value: eventValue(n)}
	if err := p.client.ProduceSync(p.w.t.Context(), r).FirstErr(); err != nil {
		p.w.t.Fatal(err)
	}
}

func (p *producer) end(how kgo.TransactionEndTry) {
	p.w.t.Helper()
	if err := p.client.EndTransaction(p.w.t.Context(), how); err != nil {
		p.w.t.Fatal(err)
	}
}

// TestInterleavedTransactions: what is rolled back is one producer's own. Others' transactions in the midst of it count by how
// they ended themselves, and the end of one that is rolled back too does not end it.
func TestInterleavedTransactions(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{}, func(w *world) {
		t := w.t
		around, within := w.newProducer("around"), w.newProducer("within")
		around.begin()
		around.publish(1)
		for n, how := range []kgo.TransactionEndTry{kgo.TryCommit, kgo.TryAbort, kgo.TryCommit} {
			within.begin()
			within.publish(2 + 2*n)
			within.end(how)
			around.publish(3 + 2*n)
		}
		around.end(kgo.TryAbort)
		w.publish(0, eventValue(8))
		w.start()
		w.awaitDrained(time.Minute)
		want := map[int]int{2: 1, 6: 1, 8: 1}
		deletes := w.api.deletes()
		for n := 1; n <= 8; n++ {
			if got := deletes[conversation(n)]; got != want[n] {
				t.Errorf("event %d deleted %d times, want %d", n, got, want[n])
			}
		}
	})
}

// TestRollbackAtTheEnd: where a log ends with what was rolled back, the next commit goes to its end, though nothing of that
// partition has ended: it would seem to lag for ever.
func TestRollbackAtTheEnd(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{partitions: 2}, func(w *world) {
		upstream := w.newProducer("upstream")
		w.publish(0, eventValues(0, 5)...)
		w.start()
		w.awaitDrained(time.Minute)
		upstream.begin()
		upstream.publish(5)
		upstream.end(kgo.TryAbort)
		w.awaitDrained(time.Minute)
		w.wantDeletedOnce(0, 5)
	})
}
