package deploycheck

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"io"
	"io/fs"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const root = "../.."

// binary is the program under test.
func binary(t *testing.T) string {
	t.Helper()
	name := os.Getenv("CONVDEL")
	if name == "" {
		name = root + "/bin/convdel"
	}
	name, err := filepath.Abs(name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(name); err != nil {
		t.Fatalf("%v: make build makes it", err)
	}
	return name
}

// replica is a service that runs, without any Kafka.
type replica struct {
	address string
	log     *bytes.Buffer
	command *exec.Cmd
	ended   chan struct{}
}

// start runs the service with settings from a deployment's files. Of those it changes what can't be had here: the brokers, the port of the
// admin address, and the directory of the secrets, which get values of their own.
func start(t *testing.T, settings map[string]string, secretsIn string) *replica {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	_ = listener.Close()
	r := &replica{address: address, log: &bytes.Buffer{}, command: exec.Command(binary(t), "run"), ended: make(chan struct{})}
	r.command.Stderr = r.log
	secrets := t.TempDir()
	for name, value := range settings {
		switch name {
		case "CONVDEL_BROKERS":
			value = "127.0.0.1:1"
		case "CONVDEL_ADMIN_ADDR":
			host, _, err := net.SplitHostPort(value)
			if err != nil {
				t.Fatalf("%s=%s: %v", name, value, err)
			}
			_, port, _ := net.SplitHostPort(address)
			value = net.JoinHostPort(host, port)
		}
		if file, inside := strings.CutPrefix(value, secretsIn+"/"); secretsIn != "" && inside {
			value = filepath.Join(secrets, file)
			write(t, value, secretFor(t, file))
		}
		r.command.Env = append(r.command.Env, name+"="+value)
	}
	if err := r.command.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = r.command.Wait()
		close(r.ended)
	}()
	t.Cleanup(func() { r.stop(t) })
	for range 200 {
		if _, err := r.get("/livez", ""); err == nil {
			return r
		}
		select {
		case <-r.ended:
			t.Fatalf("the service ended:\n%s", r.log)
		case <-time.After(50 * time.Millisecond):
		}
	}
	t.Fatal("the admin address does not answer")
	return nil
}

// stop ends the service as a supervisor does.
func (r *replica) stop(t *testing.T) {
	_ = r.command.Process.Signal(syscall.SIGTERM)
	select {
	case <-r.ended:
		if code := r.command.ProcessState.ExitCode(); code != 0 {
			t.Errorf("the service ended with status %d:\n%s", code, r.log)
		}
	case <-time.After(20 * time.Second):
		t.Error("the service has not stopped after 20 seconds")
		_ = r.command.Process.Kill()
		<-r.ended
	}
}

// get returns the status and the body of an answer, asked for by host, if given.
func (r *replica) get(path, host string) (answer struct {
	status int
	body   string
}, err error) {
	request, err := http.NewRequest(http.MethodGet, "http://"+r.address+path, nil)
	if err != nil {
		return answer, err
	}
	request.Host = host
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return answer, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	answer.status, answer.body = response.StatusCode, string(body)
	return answer, err
}

// secretFor makes a secret that the service takes.
func secretFor(t *testing.T, file string) string {
	if filepath.Ext(file) != ".pem" {
		return "any-secret"
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// defaults are the settings that files of deployments need not name.
func defaults() map[string]string {
	return map[string]string{"CONVDEL_BROKERS": "127.0.0.1:1", "CONVDEL_IM_SDKAPPID": "7", "CONVDEL_IM_SECRET_KEY": "any-key", "CONVDEL_ADMIN_ADDR": ":8080"}
}

// known are flags and variables of `convdel run`, by its help.
var known = sync.OnceValues(func() ([]string, error) {
	name := os.Getenv("CONVDEL")
	if name == "" {
		name = root + "/bin/convdel"
	}
	help, err := exec.Command(name, "run", "-h").Output()
	return regexp.MustCompile(`\$CONVDEL_[A-Z_]+|--[a-z-]+`).FindAllString(string(help), -1), err
})

// wantSettings wants each variable to be one of `convdel run`.
func wantSettings(t *testing.T, from string, settings map[string]string) {
	t.Helper()
	all, err := known()
	if err != nil {
		t.Fatal(err)
	}
	for name := range settings {
		if strings.HasPrefix(name, "CONVDEL_") && !slices.Contains(all, "$"+name) {
			t.Errorf("%s: convdel run has no setting %s", from, name)
		}
	}
}

// env reads lines of NAME=value.
func env(t *testing.T, text string) map[string]string {
	t.Helper()
	settings := map[string]string{}
	for lines := bufio.NewScanner(strings.NewReader(text)); lines.Scan(); {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, value, found := strings.Cut(line, "=")
		if !found {
			t.Fatalf("no setting: %q", line)
		}
		settings[name] = value
	}
	return settings
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// wantGrace wants the supervisor to wait for 5 seconds more than the drain takes.
func wantGrace(t *testing.T, grace time.Duration, settings map[string]string) {
	t.Helper()
	drain, err := time.ParseDuration(settings["CONVDEL_DRAIN_TIMEOUT"])
	if err != nil || grace != drain+5*time.Second {
		t.Errorf("a stop may take %s: must be drain-timeout (%s) and 5 s (%v)", grace, drain, err)
	}
}

// walk calls f with each file.
func walk(directory fs.FS, f func(name string, text []byte) error) error {
	return fs.WalkDir(directory, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := fs.ReadFile(directory, name)
		if err != nil {
			return err
		}
		return f(name, text)
	})
}
