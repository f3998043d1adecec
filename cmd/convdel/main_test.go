package main

import (
	"bytes"
	"context"
	"flag"
	"io"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"convdel/imclient/imtest"
	"convdel/internal/testkit"
)

// asProcess is the variable that makes the test's binary run main instead of the tests. It has no prefix of convdel's settings.
const asProcess = "TESTS_RUN_CONVDEL"

func TestMain(m *testing.M) {
	if sig := os.Getenv(librariesChild); sig != "" {
		printAsLibraries(sig)
		return
	}
	if os.Getenv(asProcess) != "" {
		main()
		return
	}
	// A process inherits that a signal is ignored, as under nohup, but not that one is handled.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
	waitTogether()
	goleak.VerifyTestMain(m)
}

// waitTogether lets more tests run at once than there are processors, unless the command line says how many: they wait in real
// time for brokers, timeouts and retries, for most of theirs.
func waitTogether() {
	flag.Parse()
	said := false
	flag.Visit(func(f *flag.Flag) { said = said || f.Name == "test.parallel" })
	if !said {
		_ = flag.Set("test.parallel", strconv.Itoa(2*runtime.GOMAXPROCS(0)))
	}
}

// These are secrets that no output may show.
const (
	testSecretKey = "im-secret-5d1f8c"
	testPassword  = "kafka-secret-77e0ab"
)

// environment stands in for the process's environment.
type environment map[string]string

// lookup has run leave the memory of the process alone, which is that of all tests.
func (e environment) lookup(name string) (string, bool) {
	value, ok := e[name]
	return value, ok || name == "GOGC"
}

// list returns the variables as NAME=value.
func (e environment) list() []string {
	var list []string
	for name, value := range e {
		list = append(list, name+"="+value)
	}
	return list
}

// invocation is one run of the binary's logic.
type invocation struct {
	status         int
	stdout, stderr string
}

// invoke runs a command line to its end. It fails the test if the output contains a secret.
func invoke(t *testing.T, env environment, stdin string, args ...string) invocation {
	t.Helper()
	var stdout, stderr bytes.Buffer
	status := execute(t.Context(), args, &console{stdin: strings.NewReader(stdin), stdout: &stdout, stderr: &stderr, env: env.lookup, environ: env.list()})
	run := invocation{status: status, stdout: stdout.String(), stderr: stderr.String()}
	noSecrets(t, run.stdout+run.stderr)
	return run
}

func noSecrets(t *testing.T, output string) {
	t.Helper()
	for _, secret := range []string{testSecretKey, testPassword} {
		if strings.Contains(output, secret) {
			t.Errorf("a secret in the output:\n%s", output)
		}
	}
}

// background is a command that runs until it is stopped.
type background struct {
	t              *testing.T
	stop           context.CancelFunc
	done           chan struct{}
	status         int
	stdout, stderr *testkit.Buffer
}

// start runs a command line concurrently with the test.
func start(t *testing.T, env environment, stdin io.Reader, args ...string) *background {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	b := &background{t: t, stop: cancel, done: make(chan struct{}), stdout: new(testkit.Buffer), stderr: new(testkit.Buffer)}
	go func() {
		defer close(b.done)
		b.status = execute(ctx, args, &console{stdin: stdin, stdout: b.stdout, stderr: b.stderr, env: env.lookup, environ: env.list()})
	}()
	t.Cleanup(func() {
		b.end()
		noSecrets(t, b.stdout.String()+b.stderr.String())
		if t.Failed() {
			t.Logf("stdout:\n%s\nstderr:\n%s", b.stdout.String(), b.stderr.String())
		}
	})
	return b
}

// end stops the command as a signal does, and returns its exit status.
func (b *background) end() int {
	b.stop()
	<-b.done
	return b.status
}

// await polls until ok.
func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	testkit.Await(t, 10*time.Millisecond, 20*time.Second, what, ok)
}

// newBroker starts an embedded broker with the topic of events.
func newBroker(t *testing.T) *demoBroker {
	t.Helper()
	b, err := startBroker("")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.close)
	return b
}

// startSim starts the API's simulator for the app of the tests, and stops it when the test ends.
func startSim(t *testing.T, cfg imtest.Config) *imtest.Server {
	t.Helper()
	cfg.SDKAppID, cfg.Identifier, cfg.SecretKey = 1400000000, "administrator", testSecretKey
	sim, err := imtest.Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sim.Close)
	return sim
}
