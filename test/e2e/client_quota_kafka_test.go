//go:build kafka

package e2e

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"convdel/imclient/imtest"
	"convdel/schema"
)

// TestKafka_ClientQuota lets the brokers throttle the service's fetches. The service takes that for no failure, and reads
// about as fast as another client under the same quota.
//
//nolint:paralleltest // the others' services have the same client ID
func TestKafka_ClientQuota(t *testing.T) {
	const partitions, count, bytesPerSecond = 6, 4200, 100_000
	const other = "convdel-e2e-reference"
	s := newStage(t, partitions, imtest.Config{})
	all := events("user", 0, count)
	s.produceSmall(all)
	s.limitFetches("convdel", bytesPerSecond)
	s.limitFetches(other, bytesPerSecond)

	admin := freeAddr(t)
	p := s.service("--calls-per-second", "0", "--admin-addr", admin)
	theirs := s.readAll(count, kgo.ClientID(other))
	s.await(3*time.Minute, "every event deleted", func() bool { return len(s.deletes()) == count })
	s.await(time.Minute, "every offset committed", s.drained)
	metrics := page(t, "http://"+admin+"/metrics")
	p.stop()

	arrivals := s.sim.Arrivals()
	ours := arrivals[len(arrivals)-1].At.Sub(arrivals[0].At)
	t.Logf("%d events of 1.6 kB: %s from the first call to the last, %s from the other client's first record to its last",
		count, ours.Round(100*time.Millisecond), theirs.Round(100*time.Millisecond))
	if theirs < 10*time.Second {
		t.Errorf("the other client has read all in %s: the quota does not throttle", theirs)
	}
	if ours.Seconds() > theirs.Seconds()/0.7 {
		t.Errorf("%s, the other client has taken %s", ours, theirs)
	}
	if lines := p.lines("fetch fails, will be retried"); len(lines) > 0 {
		t.Errorf("throttled fetches count as failed: %v", lines[0])
	}
	for l := range strings.Lines(linesWith(metrics, "convdel_fetch_failures_total{")) {
		if !strings.HasSuffix(l, " 0\n") {
			t.Errorf("failures in the metrics: %s", l)
		}
	}
	if again := s.wantDeleted(all); again != 0 {
		t.Errorf("%d events done twice", again)
	}
}

// produceSmall writes padded events in batches of at most 32 kB, so that a fetch may take several.
func (s *stage) produceSmall(all []schema.Event) {
	s.tb.Helper()
	producer := s.newClient(kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchMaxBytes(32<<10), kgo.ProducerBatchCompression(kgo.NoCompression()))
	records := make([]*kgo.Record, len(all))
	for i, v := range values(s.tb, all) {
		value := fmt.Appendf(v[:len(v)-1], `,"Padding":"%s"}`, noise(1500))
		records[i] = &kgo.Record{Topic: s.topic, Partition: int32(i) % s.partitions, Value: value}
	}
	if err := producer.ProduceSync(s.tb.Context(), records...).FirstErr(); err != nil {
		s.tb.Fatal(err)
	}
}

// limitFetches limits how much each node sends to clients with an ID, until the test ends.
func (s *stage) limitFetches(clientID string, bytesPerSecond float64) {
	s.tb.Helper()
	alter := func(ctx context.Context, op kadm.AlterClientQuotaOp) error {
		op.Key = "consumer_byte_rate"
		res, err := s.admin.AlterClientQuotas(ctx, []kadm.AlterClientQuotaEntry{{
			Entity: kadm.ClientQuotaEntity{{Type: "client-id", Name: &clientID}}, Ops: []kadm.AlterClientQuotaOp{op},
		}})
		for _, r := range res {
			err = errors.Join(err, r.Err)
		}
		return err
	}
	s.tb.Cleanup(func() {
		if err := alter(context.Background(), kadm.AlterClientQuotaOp{Remove: true}); err != nil {
			s.tb.Error("the quota stays: ", err)
		}
	})
	if err := alter(s.tb.Context(), kadm.AlterClientQuotaOp{Value: bytesPerSecond}); err != nil {
		s.tb.Fatal(err)
	}
}

// readAll reads count records of the topic with another client, and returns the time from the first to the last.
func (s *stage) readAll(count int, opts ...kgo.Opt) time.Duration {
	s.tb.Helper()
	ctx, cancel := context.WithTimeout(s.tb.Context(), 3*time.Minute)
	defer cancel()
	c := s.newClient(append(opts, kgo.ConsumeTopics(s.topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))...)
	var first time.Time
	for n := 0; n < count; {
		fetches := c.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			s.tb.Fatal("the other client: ", err)
		}
		if n == 0 {
			first = time.Now()
		}
		n += fetches.NumRecords()
	}
	return time.Since(first)
}
