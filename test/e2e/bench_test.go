package e2e

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"convdel/imclient/imtest"
	"convdel/schema"
)

// The benchmarks measure whole processes and are meant for -benchtime 1x (`make bench`). They report values in their own
// units, not ns/op.

// BenchmarkQuota measures, over 15 s of a full topic, how much of the quota is used and the greatest number of calls in any
// second, as the API sees them.
func BenchmarkQuota(b *testing.B) {
	for b.Loop() {
		s := newStage(b, 4, imtest.Config{Quota: 200, Latency: imtest.Uniform(20*time.Millisecond, 120*time.Millisecond)})
		s.produce(values(b, events("user", 0, 5000))...)
		s.service()
		s.await(30*time.Second, "the first 400 calls", func() bool { return s.sim.Stats().Calls >= 400 })
		s.sim.Reset()
		time.Sleep(15 * time.Second)
		stats := s.sim.Stats()
		b.ReportMetric(100*float64(stats.Calls)/(15*200), "%quota")
		b.ReportMetric(float64(stats.PeakPerSecond), "peak/s")
		b.ReportMetric(float64(stats.Throttled), "throttled")
	}
}

func median(v []float64) float64 {
	slices.Sort(v)
	return v[len(v)/2]
}

// BenchmarkLatency measures, with the quota idle, the time from the start of an event's publication
// to the arrival of its call at the API.
func BenchmarkLatency(b *testing.B) {
	const n = 1000
	for b.Loop() {
		s := newStage(b, 4, imtest.Config{Latency: imtest.Fixed(20 * time.Millisecond)})
		s.service()
		s.produce(values(b, events("warm", 0, 20))...)
		s.await(30*time.Second, "the service at work", func() bool { return s.sim.Stats().Calls >= 20 })
		published := make(map[string]time.Time, n)
		tick := time.NewTicker(20 * time.Millisecond)
		for i, e := range events("user", 0, n) {
			<-tick.C
			published[e.From] = time.Now()
			s.produceTo(int32(i%4), values(b, events("user", i, i+1))...)
		}
		tick.Stop()
		s.await(10*time.Second, "all calls", func() bool { return s.sim.Stats().Calls >= n+20 })
		var took []float64
		for _, a := range s.sim.Arrivals() {
			if at, ok := published[a.From]; ok {
				took = append(took, float64(a.At.Sub(at).Microseconds())/1000)
			}
		}
		slices.Sort(took)
		b.ReportMetric(took[len(took)/2], "p50-ms")
		b.ReportMetric(took[len(took)*99/100], "p99-ms")
		b.ReportMetric(took[len(took)-1], "max-ms")
	}
}

// BenchmarkMemory measures the peak memory of a service that works through 1,000,000 events of 900 bytes as fast as it can.
func BenchmarkMemory(b *testing.B) {
	const n = 1_000_000
	for b.Loop() {
		s := newStage(b, 8, imtest.Config{RecordLimit: -1})
		padding := strings.Repeat("x", 900-len(`{"From_Account":"user-1000000","Type":1,"To_Account":"friend","ClearRamble":0,"Padding":""}`))
		for from := 0; from < n; from += 10_000 {
			batch := make([][]byte, 10_000)
			for i := range batch {
				batch[i] = fmt.Appendf(nil, `{"From_Account":"user-%07d","Type":1,"To_Account":"friend","ClearRamble":0,"Padding":"%s"}`, from+i, padding)
			}
			s.produce(batch...)
		}
		p := s.service("--calls-per-second", "0", "--max-calls", "64", "--log-level", "warn")
		began := time.Now()
		s.await(10*time.Minute, "every offset committed", s.drained)
		b.ReportMetric(n/time.Since(began).Seconds(), "events/s")
		b.ReportMetric(p.peakMiB(), "peak-MiB")
	}
}

// peakMiB returns the process's greatest resident size so far, 0 if it has ended.
func (p *process) peakMiB() float64 {
	p.tb.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(status)) {
		var kib float64
		if n, _ := fmt.Sscanf(line, "VmHWM: %f kB", &kib); n == 1 {
			return kib / 1024
		}
	}
	return 0
}

// watchPeak reads the peak until the process has ended. The system's account of an ended process can't be used, since it
// begins with the size of the process that started it.
func (p *process) watchPeak() <-chan float64 {
	peak := make(chan float64, 1)
	go func() {
		most := 0.0
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				most = max(most, p.peakMiB())
			case <-p.done:
				peak <- most
				return
			}
		}
	}()
	return peak
}

// BenchmarkIdle measures how much of one core an idle service with 64 partitions uses.
func BenchmarkIdle(b *testing.B) {
	for b.Loop() {
		s := newStage(b, 64, imtest.Config{})
		p := s.service()
		s.produce(values(b, events("warm", 0, 64))...)
		s.await(30*time.Second, "the service at work", func() bool { return s.sim.Stats().Calls >= 64 })
		time.Sleep(2 * time.Second)
		from, began := p.cpu(), time.Now()
		time.Sleep(20 * time.Second)
		b.ReportMetric(100*(p.cpu()-from).Seconds()/time.Since(began).Seconds(), "%core")
		b.ReportMetric(p.peakMiB(), "peak-MiB")
	}
}

// cpu returns the processor time that the process has used.
func (p *process) cpu() time.Duration { return cpuOf(p.tb, p.cmd.Process.Pid) }

// cpuOf returns the processor time that a process has used.
func cpuOf(tb testing.TB, pid int) time.Duration {
	tb.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		tb.Fatal(err)
	}
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	ticks := 0
	for _, f := range fields[11:13] { // utime and stime, in hundredths of a second
		n, err := strconv.Atoi(f)
		if err != nil {
			tb.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

// produceTo writes values to one partition.
func (s *stage) produceTo(partition int32, all ...[]byte) {
	s.tb.Helper()
	for _, v := range all {
		if err := s.client.ProduceSync(s.tb.Context(), &kgo.Record{Topic: s.topic, Partition: partition, Value: v}).FirstErr(); err != nil {
			s.tb.Fatal(err)
		}
	}
}

// BenchmarkDeadLetters measures `convdel deadletters list --summary` on a topic of 1,000,000 dead letters, of which 1,000
// are open. The tombstones are in batches behind the letters.
func BenchmarkDeadLetters(b *testing.B) {
	const n, batch, open = 1_000_000, 10_000, 1_000
	for b.Loop() {
		s := newStage(b, 3, imtest.Config{})
		for from := 0; from < n; from += batch {
			s.produceLetters(from, batch, open*batch/n)
		}
		p := s.start(nil, "deadletters", "list", "--summary", "--brokers", strings.Join(s.brokers, ","),
			"--topic", s.topic, "--dead-letter-topic", s.dlt)
		began, peak := time.Now(), p.watchPeak()
		<-p.done
		if p.err != nil || !strings.Contains(p.stderr.String(), "1000") && !strings.Contains(p.stderr.String(), "1,000") {
			b.Fatalf("%v: %s", p.err, p.stderr.String())
		}
		b.ReportMetric(time.Since(began).Seconds(), "s")
		b.ReportMetric(<-peak, "peak-MiB")
	}
}

// produceLetters writes dead letters, and tombstones for all but the first few of them.
func (s *stage) produceLetters(from, n, open int) {
	s.tb.Helper()
	var letters, tombstones []*kgo.Record
	for i := range n {
		d := schema.DeadLetter{
			Class: schema.ClassExhausted, Code: 50004, Error: "im api: code 50004", Attempts: 6, Topic: s.topic,
			Offset: int64(from + i), Timestamp: time.Now(), Group: s.group,
		}
		r := &kgo.Record{Topic: s.dlt, Partition: int32(i % 3), Key: []byte(d.ID()), Value: []byte(`{"From_Account":"alice","Type":1,"To_Account":"bob"}`)}
		for _, h := range d.Headers(nil) {
			r.Headers = append(r.Headers, kgo.RecordHeader{Key: h.Key, Value: h.Value})
		}
		letters = append(letters, r)
		if i >= open {
			tombstones = append(tombstones, &kgo.Record{Topic: s.dlt, Partition: r.Partition, Key: r.Key})
		}
	}
	for _, records := range [][]*kgo.Record{letters, tombstones} {
		if err := s.client.ProduceSync(s.tb.Context(), records...).FirstErr(); err != nil {
			s.tb.Fatal(err)
		}
	}
}
