package consumer

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"convdel/consumer/cluster"
	"convdel/consumer/internal/membership"
)

// lonelyMember is a static member whom no broker answers.
func lonelyMember(t *testing.T) (*groupMember, *connections) {
	t.Helper()
	c, err := New(Config{
		Cluster: cluster.Config{Brokers: []string{"kafka:9092"}, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}},
		Topic: "events", Group: "g", DeadLetterTopic: "events.dead-letter", InstanceID: "a", API: noAPI{}, Logger: slog.New(slog.DiscardHandler),
		CallsPerSecond: 200, ShareByPartitions: true, Metrics: NewMetrics(prometheus.NewRegistry()),
	})
	if err != nil {
		t.Fatal(err)
	}
	kafkas := connect(c.cfg)
	return c.newGroupMember(kafkas), kafkas
}

type noAPI struct{}

func (noAPI) Delete(context.Context, Call) Answer { return Answer{} }

// TestMembershipEndsWhileARequestFails: the membership ends while the answer to a join is about to end it.
func TestMembershipEndsWhileARequestFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g, kafkas := lonelyMember(t)
		go g.run(t.Context())
		g.tell(func(m *membership.Member, now time.Time) {
			g.making.Go(func() { g.fail(errors.New("refused")) })
			synctest.Wait()
			m.Stop(now)
		})
		select {
		case <-g.ended:
		case <-time.After(time.Minute):
			t.Fatal("the membership does not end")
		}
		kafkas.close()
	})
}

// TestRefusedJoinIsAnAnswer: brokers that refuse a join, or answer joins again and again, are not out of reach.
func TestRefusedJoinIsAnAnswer(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		err       error
		unreached bool
	}{
		{&membership.RefusedError{Request: "join", Code: 23, Strangers: true}, false},
		{&membership.RefusedError{Request: "join", Code: 15}, false},
		{&membership.RefusedError{Request: "join", Err: &membership.RestlessError{Joins: 4}}, false},
		{&membership.RefusedError{Request: "join", Err: &membership.RestlessError{Joins: 4, Silent: true}}, true},
		{&membership.RefusedError{Request: "join", Err: io.ErrUnexpectedEOF}, true},
	} {
		if got := isUnreached(asKafkas(tc.err)); got != tc.unreached {
			t.Errorf("%v: %t", tc.err, got)
		}
	}
}

// TestQuotaOfAPartitionThatIsNeverOpened: its part of the quota goes with it, as that of any partition.
func TestQuotaOfAPartitionThatIsNeverOpened(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g, kafkas := lonelyMember(t)
		defer kafkas.close()
		close(g.deaf)
		g.share.sees(t.Context(), 2)
		g.share.hold(0, 1)
		g.holdings.gain([]int{0, 1}, time.Time{})
		g.holdings.join()
		g.holdings.leave([]int{0, 1})
		of := &tenures{session: &session{holdings: g.holdings, worked: func() {}, owned: &assignment{share: g.share}}}
		of.heed(t.Context(), g.holdings.now(), func() {})
		if left := g.holdings.now().leave; len(left) > 0 {
			t.Errorf("%v are still to be given up", left)
		}
		if pace := g.c.limiter.pace(); pace != 0 {
			t.Errorf("%v calls a second for nothing", pace)
		}
	})
}
