package e2e

import (
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"convdel/imclient/imtest"
)

// TestEndToEnd_MainJob publishes events of all kinds, lets one replica empty the topic, and stops it. It compares the
// broker's and the API's records with the published events.
func TestEndToEnd_MainJob(t *testing.T) {
	t.Parallel()
	s := newStage(t, 3, imtest.Config{Latency: imtest.Uniform(5*time.Millisecond, 30*time.Millisecond)})
	good := s.publishAllKinds()
	traffic := s.flow("traffic", 20*time.Millisecond) // without successes, a failing event can't be told from an outage
	p := s.service("--calls-per-second", "1000", "--retry-initial", "20ms", "--retry-max", "100ms")
	s.await(time.Minute, "all kinds of dead letters", func() bool { return s.letterCount() >= 73 })
	sent := s.end(traffic)
	s.await(time.Minute, "every offset committed", s.drained)
	p.stop()

	s.wantAllKinds()
	if again := s.wantDeleted(good, sent); again != 0 {
		t.Errorf("%d events done twice", again)
	}
}

// TestEndToEnd_CleanHandovers hands the work over four times under load. No event is repeated, replicas share the quota,
// and no stop needs its drain timeout. Tests in virtual time check how long a stop takes, see wantQuota.
func TestEndToEnd_CleanHandovers(t *testing.T) {
	t.Parallel()
	s := newStage(t, 4, vendor())
	s.produce(values(t, events("user", 0, 3000))...)
	p := s.service()
	for range 4 {
		calls := s.sim.Stats().Calls
		s.await(30*time.Second, "300 more calls", func() bool { return s.sim.Stats().Calls > calls+300 })
		next := s.service()
		s.await(30*time.Second, "a generation with two members", func() bool {
			return strings.Contains(next.stderr.String(), "generation begins")
		})
		took := p.stop()
		t.Logf("stopped in %s", took.Round(time.Millisecond))
		if took > 10*time.Second {
			t.Errorf("stop took %s", took)
		}
		p = next
	}
	s.await(2*time.Minute, "every offset committed", s.drained)
	p.stop()
	deletes := s.deletes()
	if len(deletes) != 3000 {
		t.Errorf("%d conversations deleted, want 3000", len(deletes))
	}
	twice := 0
	for _, n := range deletes {
		twice += n - 1
	}
	if twice != 0 {
		t.Errorf("%d events done twice", twice)
	}
	s.wantQuota()
}

// TestEndToEnd_Kill9 kills replicas. Nothing is lost. At most the calls in flight and the work of the last 200 ms are
// repeated.
func TestEndToEnd_Kill9(t *testing.T) {
	t.Parallel()
	s := newStage(t, 4, imtest.Config{Latency: imtest.Fixed(50 * time.Millisecond)})
	s.produce(values(t, events("user", 0, 1200))...)
	const kills = 2
	for range kills {
		calls := s.sim.Stats().Calls
		p := s.service()
		s.await(time.Minute, "300 more calls", func() bool { return s.sim.Stats().Calls > calls+300 })
		p.kill()
	}
	p := s.service()
	s.await(2*time.Minute, "every offset committed", s.drained)
	p.stop()
	deletes := s.deletes()
	if len(deletes) != 1200 {
		t.Errorf("%d conversations deleted, want 1200", len(deletes))
	}
	twice := 0
	for _, n := range deletes {
		twice += n - 1
	}
	// At 200 a second, 10 calls are in flight at 50 ms, and 40 are made in 200 ms. A machine short of processors commits
	// later. Without commits all 900 of two kills would be repeated.
	if twice > kills*200 {
		t.Errorf("%d events done twice after %d kills", twice, kills)
	}
	t.Logf("%d of 1200 events done twice after %d kills", twice, kills)
}

// TestEndToEnd_Transactions: events that transactional producers have rolled back are not executed.
func TestEndToEnd_Transactions(t *testing.T) {
	t.Parallel()
	s := newStage(t, 1, imtest.Config{})
	producer := s.newClient(kgo.TransactionalID(s.topic))
	for round := range 6 {
		if err := producer.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		for _, v := range values(t, events("tx", round*10, round*10+10)) {
			if err := producer.ProduceSync(t.Context(), &kgo.Record{Topic: s.topic, Value: v}).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
		s.produce(values(t, events("plain", round, round+1))...)
		if err := producer.EndTransaction(t.Context(), kgo.TransactionEndTry(round%2 == 0)); err != nil {
			t.Fatal(err)
		}
	}
	p := s.service()
	s.await(time.Minute, "every offset committed", s.drained)
	p.stop()
	deletes := s.deletes()
	if len(deletes) != 36 {
		t.Errorf("%d conversations deleted, want 30 committed and 6 plain: %v", len(deletes), sortedKeys(deletes))
	}
	if n := len(s.deadLetters()); n != 0 {
		t.Errorf("%d dead letters: markers are no events", n)
	}
}
