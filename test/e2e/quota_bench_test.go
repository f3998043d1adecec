package e2e

import (
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"convdel/imclient/imtest"
)

// BenchmarkReplicas measures how much of the quota of 200 is used, for each way to share it. The API enforces the quota
// over any sliding second. The topic is full for 15 s. With several replicas 30 s follow, in which one joins, one is
// stopped and one is killed. The table of docs/quota.md comes from here. Redis is the one at TEST_REDIS, or an
// embedded one.
func BenchmarkReplicas(b *testing.B) {
	for _, how := range []string{"partitions", "redis"} {
		for _, replicas := range []int{1, 3} {
			for _, backlog := range []string{"balanced", "skewed"} {
				b.Run(fmt.Sprintf("%s/%d/%s", how, replicas, backlog), func(b *testing.B) {
					for b.Loop() {
						measureReplicas(b, how, replicas, backlog == "skewed")
					}
				})
			}
		}
	}
}

func measureReplicas(b *testing.B, how string, replicas int, skewed bool) {
	b.Helper()
	const partitions, steady = 6, 15 * time.Second
	s := newStage(b, partitions, imtest.Config{Quota: 200, Latency: imtest.Uniform(20*time.Millisecond, 120*time.Millisecond)})
	s.env = append(s.env, "CONVDEL_REDIS_URL="+redisURL(b))
	s.fill(12_000, partitions, skewed)
	start := func() *process { return s.service("--quota", how, "--redis-key", s.topic, "--log-level", "warn") }
	running := make([]*process, replicas)
	for i := range running {
		running[i] = start()
	}
	s.await(30*time.Second, "the first 400 calls", func() bool { return s.sim.Stats().Calls >= 400 })
	time.Sleep(3 * time.Second) // until the last one has joined
	s.sim.Reset()
	time.Sleep(steady)
	s.reportQuota(b, steady, "")
	if replicas == 1 {
		return
	}
	const churn = 30 * time.Second
	began := time.Now()
	s.sim.Reset()
	start()
	time.Sleep(6 * time.Second)
	running[0].stop()
	time.Sleep(6 * time.Second)
	running[1].kill()
	time.Sleep(churn - time.Since(began))
	s.reportQuota(b, churn, "churn-")
}

// fill writes n events, round-robin over the partitions or all to the first.
func (s *stage) fill(n int, partitions int32, skewed bool) {
	s.tb.Helper()
	records := make([]*kgo.Record, n)
	for i, v := range values(s.tb, events("user", 0, n)) {
		records[i] = &kgo.Record{Topic: s.topic, Value: v, Partition: int32(i) % partitions}
		if skewed {
			records[i].Partition = 0
		}
	}
	if err := s.client.ProduceSync(s.tb.Context(), records...).FirstErr(); err != nil {
		s.tb.Fatal(err)
	}
}

// reportQuota reports the calls that the API has seen in d.
func (s *stage) reportQuota(b *testing.B, d time.Duration, prefix string) {
	b.Helper()
	stats := s.sim.Stats()
	b.ReportMetric(100*float64(stats.Calls-stats.Throttled)/(d.Seconds()*200), prefix+"%used")
	b.ReportMetric(float64(stats.PeakPerSecond), prefix+"peak/s")
	b.ReportMetric(100*float64(stats.Throttled)/float64(max(1, stats.Calls)), prefix+"%throttled")
}
