//go:build kafka && soak

package e2e

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// replica is one `convdel run`, in as many processes as it was started.
type replica struct {
	s         *soak
	name      string
	admin     string
	api       string
	process   *process // The present or last process.
	processes []*process
	down      bool // It was ended on purpose.
	frozen    bool
	samples   []sample // Samples of process.
	// pausedSince is since when it has made no calls while the API works; zero if it makes some.
	pausedSince time.Time
	stops       []time.Duration
}

// sample holds a process's resources at one moment.
type sample struct {
	at         time.Time
	calm       bool // There was no fault then, nor in the quarter of a minute before.
	rss, heap  float64
	goroutines float64
	files      float64
	paused     string // Why no calls are made; empty if some are.
}

func (r *replica) start() {
	r.s.tb.Helper()
	r.samples, r.pausedSince, r.down = nil, time.Time{}, false
	log := fmt.Sprintf("%s-%02d.log", r.name, len(r.processes)+1)
	var p *process
	r.s.tb.Cleanup(func() { // runs after the process's own cleanup, which ends it
		if dir := os.Getenv("TEST_SOAK_LOGS"); dir != "" {
			if err := os.WriteFile(filepath.Join(dir, log), []byte(p.stderr.String()), 0o600); err != nil {
				r.s.tb.Error(err)
			}
		}
	})
	p = r.s.service(append([]string{"--im-endpoint", r.api, "--admin-addr", r.admin}, r.s.flags...)...)
	r.process, r.processes = p, append(r.processes, p)
}

// stop sends SIGTERM and waits.
func (r *replica) stop() {
	r.s.tb.Helper()
	r.down = true
	took := r.process.stop()
	r.stops = append(r.stops, took)
	if took > stopLimit {
		r.s.tb.Errorf("%s took %s to stop", r.name, took)
	}
}

func (r *replica) kill() {
	r.down = true
	r.process.kill()
}

// freeze stops the process with its connections open, until thaw.
func (r *replica) freeze() { r.signal(syscall.SIGSTOP, true) }
func (r *replica) thaw()   { r.signal(syscall.SIGCONT, false) }

func (r *replica) signal(sig os.Signal, frozen bool) {
	r.s.tb.Helper()
	r.frozen = frozen
	if err := r.process.cmd.Process.Signal(sig); err != nil {
		r.s.tb.Fatal(err)
	}
}

func (r *replica) String() string {
	switch {
	case r.down:
		return r.name + " down"
	case r.frozen:
		return r.name + " stopped"
	case len(r.samples) == 0:
		return r.name + " just begun"
	}
	last := r.samples[len(r.samples)-1]
	line := fmt.Sprintf("%s %.1f MiB, heap %.1f, %g goroutines, %g files", r.name, last.rss, last.heap, last.goroutines, last.files)
	if last.paused != "" {
		line += ", paused: " + last.paused
	}
	return line
}

// sample measures all replicas that can answer.
func (s *soak) sample() {
	for _, r := range s.replicas {
		if r.down || r.frozen {
			continue
		}
		if one, err := r.measure(); err == nil {
			one.calm = s.calm()
			r.samples = append(r.samples, one)
			s.follow(r, one)
		}
	}
}

// follow notes how long a replica has made no calls while the API worked.
func (s *soak) follow(r *replica, one sample) {
	switch {
	case one.paused == "" || s.healthy.IsZero():
		r.pausedSince = time.Time{}
		return
	case r.pausedSince.IsZero() || r.pausedSince.Before(s.healthy):
		r.pausedSince = s.healthy
		if n := len(r.samples); n > 1 && r.samples[n-2].paused == "" && r.samples[n-2].at.After(s.healthy) {
			r.pausedSince = r.samples[n-2].at // it still made calls then
		}
	}
	s.recovery = max(s.recovery, one.at.Sub(r.pausedSince))
}

// measure asks the process and the system. A process that has just been started may not answer yet.
func (r *replica) measure() (sample, error) {
	one := sample{at: time.Now()}
	gauges, err := gauges(r.s.tb.Context(), "http://"+r.admin+"/metrics")
	if err != nil {
		return one, err
	}
	files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", r.process.cmd.Process.Pid))
	if err != nil {
		return one, err
	}
	const mib = 1 << 20
	one.rss, one.heap = gauges["process_resident_memory_bytes"]/mib, gauges["go_memstats_heap_inuse_bytes"]/mib
	one.goroutines, one.files = gauges["go_goroutines"], float64(len(files))
	for _, reason := range []string{"halt", "outage", "denied"} {
		if gauges[`convdel_paused{reason="`+reason+`"}`] != 0 {
			one.paused = reason
		}
	}
	return one, nil
}

// gauges reads metrics.
func gauges(ctx context.Context, url string) (map[string]float64, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Body.Close() }()
	values := make(map[string]float64)
	lines := bufio.NewScanner(res.Body)
	for lines.Scan() {
		var name string
		var value float64
		if n, _ := fmt.Sscanf(lines.Text(), "%s %g", &name, &value); n == 2 {
			values[name] = value
		}
	}
	return values, lines.Err()
}
