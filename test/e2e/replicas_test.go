package e2e

import (
	"testing"
	"time"

	"convdel/imclient/imtest"
	"convdel/schema"
)

// TestEndToEnd_MainJobOfThree gives three replicas the job of TestEndToEnd_MainJob. The topic has other traffic meanwhile,
// since without successes an event that never reaches the API can't be told from an outage.
func TestEndToEnd_MainJobOfThree(t *testing.T) {
	t.Parallel()
	s := newStage(t, 6, imtest.Config{Latency: imtest.Uniform(5*time.Millisecond, 30*time.Millisecond)})
	good := s.publishAllKinds()
	traffic := s.flow("traffic", 20*time.Millisecond)
	flags := []string{"--calls-per-second", "1000", "--retry-initial", "20ms", "--retry-max", "100ms"}
	replicas := []*process{s.service(flags...), s.service(flags...), s.service(flags...)}
	s.awaitMembers(3)
	s.await(2*time.Minute, "all kinds of dead letters", func() bool { return s.letterCount() >= 73 })
	sent := s.end(traffic)
	s.await(time.Minute, "every offset committed", s.drained)
	for _, p := range replicas {
		p.stop()
	}
	s.wantAllKinds()
	if again := s.wantDeleted(good, sent); again != 0 {
		t.Errorf("%d events done twice", again)
	}
}

// TestEndToEnd_Kill9OfThree kills one of three replicas twice, and another one replaces it at once. Nothing is lost. At
// most the dead replica's calls in flight and its work of the last 200 ms are repeated.
func TestEndToEnd_Kill9OfThree(t *testing.T) {
	t.Parallel()
	const kills = 2
	s := newStage(t, 6, imtest.Config{Latency: imtest.Fixed(50 * time.Millisecond)})
	traffic := s.flow("user", 10*time.Millisecond)
	var replicas []*process
	for range 3 {
		replicas = append(replicas, s.service())
	}
	s.awaitMembers(3)
	for n := range kills {
		s.awaitCalls(200)
		replicas[n].kill()
		killed := time.Now()
		replicas = append(replicas, s.service())
		replicas[n+3].awaitGeneration()
		s.awaitCalls(100)
		t.Logf("kill %d: no call for up to %s", n+1, s.longestPause(killed).Round(100*time.Millisecond))
	}
	sent := s.end(traffic)
	s.await(time.Minute, "every offset committed", s.drained)
	again := s.wantDeleted(sent)
	t.Logf("%d of %d events done again after %d kills", again, len(sent), kills)
	// A third of 200 a second is 67: 4 calls are in flight at 50 ms, and 14 are made in 200 ms. A machine short of
	// processors commits later.
	if again > kills*60 {
		t.Errorf("%d events done twice after %d kills", again, kills)
	}
}

// TestEndToEnd_RollingRestart restarts three replicas one after the other, twice, while events arrive. No event is lost,
// none is repeated, and the quota holds throughout.
func TestEndToEnd_RollingRestart(t *testing.T) {
	t.Parallel()
	s := newStage(t, 6, vendor())
	backlog := events("backlog", 0, 1500)
	s.produce(values(t, backlog)...)
	traffic := s.flow("user", 8*time.Millisecond)
	var replicas []*process
	for range 3 {
		replicas = append(replicas, s.service())
	}
	s.awaitMembers(3)
	for n := range 6 {
		s.awaitCalls(100)
		replicas[n].stop()
		replicas = append(replicas, s.service())
		replicas[n+3].awaitGeneration()
		s.awaitMembers(3)
	}
	sent := s.end(traffic)
	s.await(2*time.Minute, "every offset committed", s.drained)
	for _, p := range replicas[6:] {
		p.stop()
	}
	if again := s.wantDeleted(backlog, sent); again != 0 {
		t.Errorf("%d of %d events done twice", again, len(backlog)+len(sent))
	}
	t.Logf("%d events over 6 restarts", len(backlog)+len(sent))
	s.wantQuota()
}

// publishAllKinds publishes events with every kind of end, and returns those that are to be deleted.
func (s *stage) publishAllKinds() []schema.Event {
	s.tb.Helper()
	good := append(events("good", 0, 600), events("flaky-2", 0, 50)...)
	good = append(good, events("slow-2000", 0, 5)...)
	s.publish(good...)
	s.publish(events("code-50001", 0, 20)...)
	s.publish(events("result-50002", 0, 20)...)
	s.publish(events("code-50003", 0, 4)...)
	s.publish(events("code-50004", 0, 10)...)
	s.publish(events("http-502", 0, 10)...)
	s.publish(events("reset", 0, 5)...)
	s.produce([]byte("garbage"), []byte{}, nil, []byte(`{"From_Account":"x"}`))
	return good
}

// wantAllKinds checks the dead letters of publishAllKinds.
func (s *stage) wantAllKinds() {
	s.tb.Helper()
	wantKinds(s.tb, letterKinds(s.deadLetters()), map[string]int{
		"permanent 50001": 20, "permanent 50002": 20, "permanent 50003": 4, "exhausted 50004": 10,
		"exhausted 0": 15, "undecodable 0": 4,
	})
}

// letterCount returns how many records the dead-letter topic holds.
func (s *stage) letterCount() int64 {
	ends, err := s.admin.ListEndOffsets(s.tb.Context(), s.dlt)
	if err != nil || ends.Error() != nil {
		return 0
	}
	n := int64(0)
	for _, end := range ends[s.dlt] {
		n += end.Offset
	}
	return n
}
