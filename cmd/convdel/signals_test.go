package main

import (
	"bufio"
	"errors"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"convdel/imclient/imtest"
	"convdel/internal/testkit"
)

// TestSignalRulings: the first signal drains; only an impatient person's second one stops at once.
func TestSignalRulings(t *testing.T) {
	t.Parallel()
	const hup, intr, term = syscall.SIGHUP, syscall.SIGINT, syscall.SIGTERM
	type sent struct {
		after time.Duration
		what  syscall.Signal
		want  verdict
	}
	for name, signals := range map[string][]sent{
		"one":                         {{0, term, drain}},
		"an impatient person":         {{0, intr, drain}, {2 * time.Second, intr, stopAtOnce}},
		"another one":                 {{0, hup, drain}, {2 * time.Second, term, stopAtOnce}},
		"shell and terminal":          {{0, hup, drain}, {time.Millisecond, hup, ignore}, {time.Minute, hup, ignore}},
		"group and parent":            {{0, intr, drain}, {time.Millisecond, intr, ignore}, {2 * time.Second, intr, stopAtOnce}},
		"a terminal closes meanwhile": {{0, term, drain}, {5 * time.Second, hup, ignore}},
	} {
		var rules signalRules
		began := time.Now()
		for i, s := range signals {
			if got := rules.ruling(s.what, began.Add(s.after)); got != s.want {
				t.Errorf("%s: signal %d, %s: %d, want %d", name, i, s.what, got, s.want)
			}
		}
	}
}

// process is convdel as a process of its own.
type process struct {
	cmd  *exec.Cmd
	log  *testkit.Buffer
	pipe *os.File // the log's reading end
	done chan struct{}
	err  error // valid once done is closed
}

// startProcess starts convdel with a pipe for its standard error, which is read into log until the test closes it.
func startProcess(t *testing.T, env environment, stdout io.Writer, args ...string) *process {
	t.Helper()
	reads, writes, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{cmd: exec.CommandContext(t.Context(), os.Args[0], args...), log: new(testkit.Buffer), pipe: reads, done: make(chan struct{})}
	p.cmd.Env = []string{asProcess + "=1"}
	for name, value := range env {
		p.cmd.Env = append(p.cmd.Env, name+"="+value)
	}
	p.cmd.Stdout, p.cmd.Stderr = stdout, writes
	if err := errors.Join(p.cmd.Start(), writes.Close()); err != nil {
		t.Fatal(err)
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		for scan := bufio.NewScanner(reads); scan.Scan(); {
			_, _ = p.log.Write(append(scan.Bytes(), '\n'))
		}
	}()
	go func() {
		p.err = p.cmd.Wait()
		<-read
		close(p.done)
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.done
		_ = p.pipe.Close()
		noSecrets(t, p.log.String())
		if t.Failed() {
			t.Log(p.log.String())
		}
	})
	return p
}

func (p *process) send(t *testing.T, s os.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// serving is a service in a process of its own, with its broker and its API.
type serving struct {
	*process
	broker *demoBroker
	sim    *imtest.Server
	env    environment
}

func newServing(t *testing.T, latency time.Duration) *serving {
	t.Helper()
	s := &serving{broker: newBroker(t)}
	var err error
	s.sim, err = imtest.Start(imtest.Config{SDKAppID: 1400000000, Identifier: "administrator", SecretKey: testSecretKey, Latency: imtest.Fixed(latency)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.sim.Close)
	s.env = required().with(environment{
		"CONVDEL_BROKERS": s.broker.address, "CONVDEL_IM_ENDPOINT": s.sim.URL, "CONVDEL_ADMIN_ADDR": "", "CONVDEL_CREATE_TOPICS": "true",
	})
	s.process = startProcess(t, s.env, nil, "run")
	await(t, "a generation", func() bool { return strings.Contains(s.log.String(), "generation begins") })
	return s
}

// publish publishes so many events of the accounts prefix0, prefix1, ….
func (s *serving) publish(t *testing.T, accounts ...string) {
	t.Helper()
	var lines strings.Builder
	for _, account := range accounts {
		lines.WriteString(`{"From_Account":"` + account + `","Type":1,"To_Account":"b"}` + "\n")
	}
	if run := invoke(t, s.env, lines.String(), "publish"); run.status != exitDone {
		t.Fatal(run.stderr)
	}
}

// TestPromise6_EverySignalThatStopsDrains: SIGTERM, SIGINT and a terminal that closes let the call under way end, commit, and are
// named in the log, with what was under way and what is left.
func TestPromise6_EverySignalThatStopsDrains(t *testing.T) {
	t.Parallel()
	for name, signals := range map[string][]syscall.Signal{
		"SIGTERM": {syscall.SIGTERM}, "SIGINT": {syscall.SIGINT}, "SIGHUP": {syscall.SIGHUP, syscall.SIGHUP},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServing(t, time.Second)
			s.publish(t, "a")
			await(t, "a call", func() bool { return s.sim.Stats().Calls == 1 })
			for _, one := range signals {
				s.send(t, one)
			}
			if <-s.done; s.err != nil {
				t.Errorf("ended with %v", s.err)
			}
			told, stopped := logLine(t, s.log.String(), "told to stop: calls under way end, nothing new begins"), logLine(t, s.log.String(), "convdel stops")
			under, _ := told["in_memory"].(map[string]any)
			left, _ := stopped["left"].(map[string]any)
			if told["by"] != name || under["events"] != 1.0 || left["events"] != 0.0 {
				t.Errorf("told %v, stopped %v", told, stopped)
			}
			if done, err := s.broker.drained(t.Context()); !done || err != nil {
				t.Errorf("all committed: %t, %v", done, err)
			}
		})
	}
}

// TestPromise6_NoOtherSignalStops: signals that are not meant to stop a program leave the service working, and so does a reader of its
// log that goes away.
func TestPromise6_NoOtherSignalStops(t *testing.T) {
	t.Parallel()
	s := newServing(t, 0)
	for _, one := range []syscall.Signal{
		syscall.SIGPIPE, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGALRM, syscall.SIGVTALRM, syscall.SIGWINCH, syscall.SIGCONT, syscall.SIGURG,
		syscall.SIGIO, syscall.SIGXFSZ, syscall.SIGXCPU,
	} {
		s.send(t, one)
	}
	s.publish(t, "a")
	await(t, "the event is committed", func() bool { done, err := s.broker.drained(t.Context()); return done && err == nil })
	if err := s.pipe.Close(); err != nil {
		t.Fatal(err)
	}
	s.publish(t, "code-50001", "c") // a dead letter is a line in the log
	await(t, "the events behind the broken log are committed", func() bool { done, err := s.broker.drained(t.Context()); return done && err == nil })
	s.send(t, syscall.SIGTERM)
	if <-s.done; s.err != nil {
		t.Errorf("ended with %v", s.err)
	}
	if got := s.sim.Stats().Calls; got != 3 {
		t.Errorf("%d calls, want 3", got)
	}
}

// TestUnreadOutputEndsCommandsQuietly: a command whose output nobody reads ends without a word, as other programs do. What it has done
// stays done.
func TestUnreadOutputEndsCommandsQuietly(t *testing.T) {
	t.Parallel()
	s := newServing(t, 0)
	s.publish(t, "code-50001", "code-50002")
	await(t, "the events are committed", func() bool { done, err := s.broker.drained(t.Context()); return done && err == nil })
	for _, c := range []struct {
		args   []string
		status int
	}{
		{[]string{"deadletters", "list"}, exitUnread},
		{[]string{"deadletters", "list", "--format", "ndjson", "--watch"}, exitUnread},
		{[]string{"deadletters", "export"}, exitUnread},
		{[]string{"publish", "--from", "late", "--to", "b"}, exitDone},
	} {
		reads, writes, err := os.Pipe()
		if err := errors.Join(err, reads.Close()); err != nil {
			t.Fatal(err)
		}
		p := startProcess(t, s.env, writes, c.args...)
		_ = writes.Close()
		<-p.done
		if got := p.cmd.ProcessState.ExitCode(); got != c.status {
			t.Errorf("%v: status %d, want %d", c.args, got, c.status)
		}
		if text := p.log.String(); slices.ContainsFunc(strings.Split(text, "\n"), func(line string) bool { return strings.HasPrefix(line, "convdel:") }) {
			t.Errorf("%v: said %q", c.args, text)
		}
	}
	await(t, "the published event is executed", func() bool { return s.sim.Deleted("late", 1, "b") == 1 })
}
