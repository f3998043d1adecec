//go:build kafka

package e2e

import (
	"errors"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"convdel/imclient/imtest"
	"convdel/internal/testkit"
	"convdel/schema"
)

// TestPromise1_KafkaLogAppendTime: where the broker sets the timestamps, a producer's clock does not count. A clock that is
// two days behind does not make an event expire. One that is ahead does not keep its dead letter young. Where the producer
// sets the timestamps, the same event expires.
func TestPromise1_KafkaLogAppendTime(t *testing.T) {
	t.Parallel()
	const off = 48 * time.Hour
	for _, test := range []struct {
		name, whose string
		expires     bool
	}{{"Broker", "LogAppendTime", false}, {"Producer", "CreateTime", true}} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, 2, imtest.Config{})
			s.configure(s.topic, "message.timestamp.type", test.whose)
			s.configure(s.topic, "message.timestamp.after.max.ms", "9223372036854775807")
			fresh, bad := events("fresh", 0, 50), events("code-50001", 0, 1)
			began := time.Now()
			s.produceAt(began.Add(off), values(t, bad)...) // the leader refuses it until it knows both settings
			s.produceAt(began.Add(-off), values(t, fresh)...)
			p := s.service("--max-event-age", "1h")
			s.await(time.Minute, "every offset committed", s.drained)
			p.stop()
			letters := s.deadLetters()
			want := map[string]int{"permanent 50001": 1}
			if test.expires {
				want["expired 0"] = len(fresh)
				fresh = nil
			}
			wantKinds(t, letterKinds(letters), want)
			s.wantDeleted(fresh)
			for _, l := range letters {
				at, err := time.Parse(time.RFC3339, testkit.Header(l, schema.HeaderTimestamp))
				if ahead := err == nil && at.After(began.Add(off/2)); testkit.Header(l, schema.HeaderClass) == "permanent" && ahead != test.expires {
					t.Errorf("the letter's record is of %s, %v", at, err)
				}
			}
		})
	}
}

// produceAt writes raw values with a producer's timestamp to the first partition, as soon as its leader accepts such a
// timestamp.
func (s *stage) produceAt(at time.Time, values ...[]byte) {
	s.tb.Helper()
	records := make([]*kgo.Record, len(values))
	for i, v := range values {
		records[i] = &kgo.Record{Topic: s.topic, Value: v, Timestamp: at}
	}
	s.await(30*time.Second, "a leader that takes the time "+at.String(), func() bool {
		err := s.client.ProduceSync(s.tb.Context(), records...).FirstErr()
		if err != nil && !errors.Is(err, kerr.InvalidTimestamp) {
			s.tb.Fatal(err)
		}
		return err == nil
	})
}
