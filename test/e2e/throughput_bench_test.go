package e2e

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tencentyun/tls-sig-api-v2-golang/tencentyun"

	"convdel/imclient/imtest"
)

// otherBinary, in the environment, is a convdel that BenchmarkThroughput measures too, one of an earlier version say.
const otherBinary = "TEST_BENCH_OTHER"

// BenchmarkThroughput compares the service without a limiter, 64 calls at once, without outcomes and with them, with a bare loop of 64 goroutines that post the
// same requests to the same simulator, in the simulator's own process: rounds in turn, the median of each. The processor time a
// call is that of all processes together, which other work on the machine changes less than the rate.
func BenchmarkThroughput(b *testing.B) {
	const rounds, backlog = 5, 250_000
	for b.Loop() {
		s := newStage(b, 4, imtest.Config{RecordLimit: -1})
		s.produce(values(b, events("user", 0, backlog))...)
		type contender struct {
			binary string
			flags  []string
		}
		contenders := map[string]contender{
			"service": {}, "outcomes": {flags: []string{"--create-topics", "--outcome-topic", s.topic + ".outcome"}},
		}
		if other := os.Getenv(otherBinary); other != "" {
			contenders["other"] = contender{binary: other}
		}
		measured := make(map[string][]pace)
		for round := range rounds {
			for name, c := range contenders {
				s.binary, s.group = c.binary, fmt.Sprintf("%s-%s-%d", s.topic, name, round)
				p := s.service(append(c.flags, "--calls-per-second", "0", "--max-calls", "64", "--log-level", "warn")...)
				measured[name] = append(measured[name], s.pace(p))
				p.kill()
			}
			measured["bare"] = append(measured["bare"], s.bareLoop())
		}
		for name, paces := range measured {
			b.ReportMetric(middle(paces, pace.rate), name+"-calls/s")
			b.ReportMetric(middle(paces, pace.cost), name+"-µs/call")
			if name != "bare" {
				b.ReportMetric(middle(paces, pace.rate)/middle(measured["bare"], pace.rate), name+"/bare")
			}
		}
	}
}

// pace is what was measured in full swing.
type pace struct {
	calls         int
	took, cpuTime time.Duration
}

// rate is calls a second, cost the processor time of a call in microseconds.
func (p pace) rate() float64 { return float64(p.calls) / p.took.Seconds() }
func (p pace) cost() float64 { return float64(p.cpuTime.Microseconds()) / float64(p.calls) }

// pace is what the simulator answers over three seconds in full swing. The processor time is that of this process, and of p
// unless that is nil.
func (s *stage) pace(p *process) pace {
	s.tb.Helper()
	before := s.sim.Stats().Calls
	s.await(time.Minute, "5,000 calls", func() bool { return s.sim.Stats().Calls > before+5000 })
	used := func() time.Duration {
		sum := cpuOf(s.tb, os.Getpid())
		if p != nil {
			sum += p.cpu()
		}
		return sum
	}
	calls, began, cpu := s.sim.Stats().Calls, time.Now(), used()
	time.Sleep(3 * time.Second)
	return pace{calls: s.sim.Stats().Calls - calls, took: time.Since(began), cpuTime: used() - cpu}
}

// middle is the median of what a pace says.
func middle(paces []pace, of func(pace) float64) float64 {
	v := make([]float64, len(paces))
	for i, p := range paces {
		v[i] = of(p)
	}
	return median(v)
}

// bareLoop posts as fast as 64 goroutines can, and returns how fast that is.
func (s *stage) bareLoop() pace {
	s.tb.Helper()
	sig, err := tencentyun.GenUserSig(sdkAppID, secretKey, admin, 3600)
	if err != nil {
		s.tb.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	defer client.CloseIdleConnections()
	prefix := fmt.Sprintf("%s/v4/recentcontact/delete?sdkappid=%d&identifier=%s&usersig=%s&contenttype=json&random=", s.sim.URL, sdkAppID, admin, sig)
	var stop atomic.Bool
	var loops sync.WaitGroup
	for g := range 64 {
		loops.Go(func() {
			for n := 0; !stop.Load(); n++ {
				body := fmt.Sprintf(`{"From_Account":"user-%d","Type":1,"To_Account":"friend","ClearRamble":0}`, n*64+g)
				res, err := client.Post(prefix+strconv.FormatUint(uint64(rand.Uint32()), 10), "application/json", strings.NewReader(body))
				if err != nil {
					s.tb.Error(err)
					return
				}
				_, _ = io.Copy(io.Discard, res.Body)
				_ = res.Body.Close()
			}
		})
	}
	defer loops.Wait()
	defer stop.Store(true)
	return s.pace(nil)
}
