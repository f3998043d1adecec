package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"convdel/imclient/imtest"
	"convdel/internal/check"
)

// TestPromise7_SecretsToOtherHosts: a secret that would leave this machine unencrypted is refused in one line, unless --insecure allows it.
func TestPromise7_SecretsToOtherHosts(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "url")
	if err := os.WriteFile(file, []byte("redis://:"+testPassword+"@redis"), 0o600); err != nil {
		t.Fatal(err)
	}
	login := func(more ...string) []string { return append([]string{"--kafka-username=u"}, more...) }
	password := environment{"CONVDEL_KAFKA_PASSWORD": testPassword}
	inRedis := func(url string) environment { return environment{"CONVDEL_REDIS_URL": url} }
	for _, c := range []struct {
		args []string
		env  environment
		want string // empty: allowed
	}{
		{args: login("--kafka-sasl=plain"), env: password, want: `--kafka-sasl (CONVDEL_KAFKA_SASL) is "plain": it needs --kafka-tls, since the login can be read on the way to kafka-1:9092, kafka-2:9092 (--insecure allows that)`},
		{args: login("--kafka-sasl=scram-sha-256"), env: password, want: `is "scram-sha-256": it needs --kafka-tls`},
		{args: login("--kafka-sasl=scram-sha-512", "--brokers=127.0.0.1:1,kafka-2:9092,[::1]:1"), env: password, want: "on the way to kafka-2:9092 (--insecure"},
		{args: login("--kafka-sasl=plain", "--brokers=10.0.0.7:9092"), env: password, want: "10.0.0.7:9092"},
		{args: login("--kafka-sasl=plain", "--brokers=127.0.0.1:9092,localhost:9093,[::1]:9094"), env: password},
		{args: login("--kafka-sasl=plain", "--kafka-tls"), env: password},
		{args: login("--kafka-sasl=plain", "--insecure"), env: password},
		{args: login("--kafka-sasl=plain", "--insecure=false"), env: password.with(environment{"CONVDEL_INSECURE": "true"}), want: "it needs --kafka-tls"},
		{args: nil}, // no login

		{args: []string{"--im-endpoint=http://im.example.com:8090"}, want: `--im-endpoint (CONVDEL_IM_ENDPOINT) is "http://im.example.com:8090": must be https://, since signatures`},
		{args: []string{"--im-endpoint=HTTP://10.0.0.7/"}, want: `is "http://10.0.0.7": must be https://`},
		{args: []string{"--im-endpoint=http://localhost.example.com"}, want: "must be https://"},
		{args: []string{"--im-endpoint=http://im.example.com"}, env: environment{"CONVDEL_INSECURE": "1"}},
		{args: []string{"--im-endpoint=http://LOCALHOST:8090"}},
		{args: []string{"--im-endpoint=http://127.0.0.7"}},
		{args: []string{"--im-endpoint=http://imsim:8090"}, env: environment{"CONVDEL_IM_SECRET_KEY": imtest.PublishedKey}},
		{args: []string{"--im-endpoint=https://im.example.com"}},

		{args: []string{"--quota=redis"}, env: inRedis("redis://u:" + testPassword + "@redis:6380/1"), want: `CONVDEL_REDIS_URL is redis:// with a password, and its host is "redis": must be rediss://`},
		{args: []string{"--quota=redis"}, env: environment{"CONVDEL_REDIS_URL_FILE": file}, want: `CONVDEL_REDIS_URL_FILE is redis:// with a password`},
		{args: []string{"--quota=redis", "--insecure"}, env: inRedis("redis://:" + testPassword + "@redis")},
		{args: []string{"--quota=redis"}, env: inRedis("redis://:" + testPassword + "@127.0.0.1")},
		{args: []string{"--quota=redis"}, env: inRedis("rediss://:" + testPassword + "@redis")},
		{args: []string{"--quota=redis"}, env: inRedis("redis://redis")},
		{args: []string{"--quota=local"}, env: inRedis("redis://:" + testPassword + "@redis")}, // not used
	} {
		cfg, problems := checked(t, required().with(c.env), c.args...)
		noSecrets(t, fmt.Sprintf("%v %+v %#v", cfg.Set, cfg.IM, cfg.IM))
		if c.want == "" && problems != nil || c.want != "" && (len(problems) != 1 || !strings.Contains(problems[0], c.want)) {
			t.Errorf("%v: %q, want %q", c.args, problems, c.want)
		}
	}
}

// TestLoginsOfAllCommands: each command that logs in to Kafka refuses to do so in the clear.
func TestLoginsOfAllCommands(t *testing.T) {
	t.Parallel()
	env := required().with(environment{"CONVDEL_KAFKA_PASSWORD": testPassword, "CONVDEL_KAFKA_SASL": "plain", "CONVDEL_KAFKA_USERNAME": "u"})
	var tried int
	for _, command := range model(t).Leaves(true) {
		args := strings.Fields(command.Path())
		for _, flag := range command.Flags {
			if flag.Name != "kafka-sasl" {
				continue
			}
			tried++
			switch {
			case command.Name == "erase":
				args = append(args, "alice", "--request-id=R", "--outcome-topic=o")
			case command.Name == "find":
				args = append(args, "--account=a")
			case command.Name == "discard":
				args = append(args, "--reason=x", "--all")
			case len(command.Positional) > 0:
				args = append(args, id(1))
			}
			if command.Name == "check" { // it says the same in its report, and logs in nowhere
				_, rows := checkup(t, env.with(environment{"CONVDEL_IM_ENDPOINT": "http://127.0.0.1:1"}))
				if !strings.Contains(rows[check.Settings].Detail, "it needs --kafka-tls") || !strings.HasPrefix(rows[check.Kafka].Detail, "not checked: ") {
					t.Errorf("%+v", rows)
				}
				continue
			}
			run := invoke(t, env, "", args...)
			if run.status != exitUsage || run.stdout != "" || strings.Count(run.stderr, "\n") != 1 || !strings.Contains(run.stderr, "it needs --kafka-tls") {
				t.Errorf("%v: status %d, %q %q", args, run.status, run.stdout, run.stderr)
			}
		}
	}
	if tried < 7 {
		t.Errorf("%d commands log in", tried)
	}
}

// TestOnlyTheSimulatorsKey: a key file that later holds a real key makes no signature for an http:// endpoint on another host.
func TestOnlyTheSimulatorsKey(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "key")
	write := func(key string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(key), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(imtest.PublishedKey)
	env := required().with(environment{"CONVDEL_IM_SECRET_KEY_FILE": file, "CONVDEL_IM_ENDPOINT": "http://imsim:8090"})
	delete(env, "CONVDEL_IM_SECRET_KEY")
	cfg, problems := checked(t, env)
	if problems != nil {
		t.Fatal(problems)
	}
	if key, err := cfg.IM.SecretKey.Key(); key != imtest.PublishedKey || err != nil {
		t.Errorf("%q, %v", key, err)
	}
	write(testSecretKey)
	if key, err := cfg.IM.SecretKey.Key(); key != "" || err == nil || strings.Contains(err.Error(), testSecretKey) {
		t.Errorf("%q, %v", key, err)
	}
}

// TestComposeFile: the simulator of the compose file has the key that everybody knows and never the app's, and the service's settings
// there are right without --insecure. With a real key the service refuses to sign for the simulator.
func TestComposeFile(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docker-compose.yml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Services map[string]struct {
			Environment map[string]string
			Secrets     []string
		}
		Secrets map[string]struct{ File string }
	}
	if err := yaml.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	usual := regexp.MustCompile(`\$\{[A-Z_]+:-([^}]*)\}`) // what counts where nothing is set
	key := filepath.Join("../..", usual.ReplaceAllString(file.Secrets["im_secret_key"].File, "$1"))
	if got, err := os.ReadFile(key); strings.TrimSpace(string(got)) != imtest.PublishedKey || err != nil {
		t.Errorf("the service's key is %q (%v)", got, err)
	}
	imsim, service := file.Services["imsim"], file.Services["convdel"]
	if imsim.Secrets != nil || imsim.Environment["CONVDEL_IM_SECRET_KEY"] != imtest.PublishedKey || len(service.Secrets) != 1 {
		t.Errorf("imsim has %v and %v", imsim.Secrets, imsim.Environment)
	}
	env := environment{}
	for name, value := range service.Environment {
		env[name] = usual.ReplaceAllString(value, "$1")
	}
	env["CONVDEL_IM_SECRET_KEY_FILE"] = key
	if _, problems := checked(t, env); problems != nil {
		t.Errorf("%v: %q", env, problems)
	}
	delete(env, "CONVDEL_IM_SECRET_KEY_FILE")
	env["CONVDEL_IM_SECRET_KEY"] = testSecretKey
	if _, problems := checked(t, env); len(problems) != 1 || !strings.Contains(problems[0], "im-endpoint") {
		t.Errorf("with a real key: %q", problems)
	}
}
