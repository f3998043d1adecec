package deadletter_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"convdel/consumer/deadletter"
)

// transact opens another program's transaction and writes records in it; end ends it.
func (s *shelf) transact(records ...*kgo.Record) (end func(how kgo.TransactionEndTry)) {
	s.t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(s.kafka.ListenAddrs()...), kgo.Dialer(s.network.DialContext),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.TransactionalID("stranger"))
	if err != nil {
		s.t.Fatal(err)
	}
	if err := client.BeginTransaction(); err != nil {
		s.t.Fatal(err)
	}
	if err := client.ProduceSync(s.t.Context(), records...).FirstErr(); err != nil {
		s.t.Fatal(err)
	}
	return func(how kgo.TransactionEndTry) {
		s.t.Helper()
		defer client.Close()
		if err := client.EndTransaction(s.t.Context(), how); err != nil {
			s.t.Fatal(err)
		}
	}
}

// TestAnOpenTransactionHoldsNobodyUp: reading ends before an open transaction, and reports it. The rest can be read once it
// has ended.
func TestAnOpenTransactionHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	onShelf(t, func(s *shelf) {
		s.put(letter(0), letter(1), letter(2))
		end := s.transact(&kgo.Record{Topic: dlt, Partition: 1, Key: []byte("x"), Value: []byte("x")})
		s.put(letter(3), letter(4), letter(7)) // 4 and 7 lie behind it
		table := s.open()
		defer table.Close()
		var noticed []deadletter.Gap
		table.Notice = func(g deadletter.Gap) { noticed = append(noticed, g) }
		want := []deadletter.Gap{{Partition: 1, First: 1, Last: 3}}
		began, shown := time.Now(), 0
		totals, err := table.Each(s.t.Context(), deadletter.Filter{}, func(*deadletter.Letter) error { shown++; return nil })
		if err != nil || shown != 4 || totals.Open != 4 || totals.Unread == nil || !slices.Equal(totals.Unread.Gaps, want) {
			s.t.Errorf("%d letters, totals %+v, %+v, %v", shown, totals, totals.Unread, err)
		}
		if took := time.Since(began); took > 5*time.Second {
			s.t.Errorf("reading took %s", took)
		}
		if !slices.Equal(noticed, want) || want[0].Offsets() != 3 {
			s.t.Errorf("noticed %+v", noticed)
		}
		plan, err := table.Replay(s.t.Context(), deadletter.Choice{Topic: source}, nil)
		if err != nil || plan.Settled != 4 || !slices.Equal(plan.Unread.Gaps, want) {
			s.t.Errorf("plan %+v, %v", plan, err)
		}
		end(kgo.TryAbort)
		s.wantOpen(4, 7)
		if totals, err := table.Each(s.t.Context(), deadletter.Filter{}, func(*deadletter.Letter) error { return nil }); err != nil || totals.Unread != nil {
			s.t.Errorf("totals %+v, %v", totals, err)
		}
	})
}

// TestFollowingWaitsForATransaction: letters behind an open transaction come once the transaction has ended.
func TestFollowingWaitsForATransaction(t *testing.T) {
	t.Parallel()
	onShelf(t, func(s *shelf) {
		end := s.transact(&kgo.Record{Topic: dlt, Partition: 0, Key: []byte("x"), Value: []byte("x")})
		s.put(letter(0), letter(1))
		table := s.open()
		defer table.Close()
		ctx, cancel := context.WithCancel(s.t.Context())
		var got []int64
		var following sync.WaitGroup
		following.Go(func() {
			err := table.Follow(ctx, deadletter.Filter{}, func(l *deadletter.Letter) error {
				got = append(got, l.Offset)
				return nil
			})
			if !errors.Is(err, context.Canceled) {
				s.t.Errorf("Follow returned %v", err)
			}
		})
		time.Sleep(20 * time.Second)
		end(kgo.TryCommit)
		time.Sleep(time.Minute)
		cancel()
		following.Wait()
		if !slices.Equal(got, []int64{1, 0}) {
			s.t.Errorf("followed %v", got)
		}
	})
}
