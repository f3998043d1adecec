package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"convdel/consumer"
	"convdel/consumer/cluster"
	"convdel/schema"
)

// required are the settings that have no default.
func required() environment {
	return environment{
		"CONVDEL_BROKERS": "kafka-1:9092, kafka-2:9092", "CONVDEL_IM_SDKAPPID": "1400000000", "CONVDEL_IM_SECRET_KEY": testSecretKey,
	}
}

// with returns the environment with more variables.
func (e environment) with(more environment) environment {
	all := maps.Clone(e)
	maps.Copy(all, more)
	return all
}

// checked parses and checks a command line of `run`, and returns the lines of its errors.
func checked(t *testing.T, env environment, args ...string) (serviceConfig, []string) {
	t.Helper()
	var cmds commands
	parser, err := newParser(&cmds, &console{env: env.lookup}, func(int) {})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parser.Parse(append([]string{"run"}, args...)); err != nil {
		t.Fatal(err)
	}
	cfg, err := cmds.Run.check(env.lookup)
	if err == nil {
		return cfg, nil
	}
	noSecrets(t, err.Error())
	return cfg, strings.Split(err.Error(), "\n")
}

func TestDefaultsAreTheDocumentedOnes(t *testing.T) {
	t.Parallel()
	cfg, problems := checked(t, required())
	if problems != nil {
		t.Fatal(problems)
	}
	got := cfg.Consumer
	got.Cluster = cluster.Config{}
	want := consumer.Config{
		Topic: "conversation.delete.requested", Group: "convdel", DeadLetterTopic: "conversation.delete.requested.dead-letter",
		CallsPerSecond: 200, ShareByPartitions: true, MaxCalls: 1000, CallTimeout: 5 * time.Second, MaxAttempts: 6,
		RetryInitial: 500 * time.Millisecond, RetryMax: 30 * time.Second, MaxInFlight: 2000, MaxInFlightBytes: 16 << 20,
		DrainTimeout: 15 * time.Second, SessionTimeout: 12 * time.Second, MaxBatchBytes: 67108864, MaxRecordBytes: 8388608,
	}
	if got.Topic != want.Topic || got.Group != want.Group || got.DeadLetterTopic != want.DeadLetterTopic || got.CreateTopics ||
		got.CallsPerSecond != want.CallsPerSecond || !got.ShareByPartitions || got.MaxCalls != want.MaxCalls ||
		got.CallTimeout != want.CallTimeout || got.MaxAttempts != want.MaxAttempts || got.RetryInitial != want.RetryInitial ||
		got.RetryMax != want.RetryMax || got.MaxInFlight != want.MaxInFlight || got.MaxInFlightBytes != want.MaxInFlightBytes ||
		got.MaxBatchBytes != want.MaxBatchBytes || got.MaxRecordBytes != want.MaxRecordBytes || got.Start != want.Start || got.Adopt != "" ||
		got.OutcomeTopic != "" || got.OutcomesHideAccounts || got.MaxEventAge != 0 || got.DrainTimeout != want.DrainTimeout ||
		got.SessionTimeout != want.SessionTimeout || got.InstanceID != "" {
		t.Errorf("consumer: %+v\nwant %+v", got, want)
	}
	if brokers := cfg.Consumer.Cluster.Brokers; !slices.Equal(brokers, []string{"kafka-1:9092", "kafka-2:9092"}) {
		t.Errorf("brokers %q", brokers)
	}
	if cfg.Consumer.Cluster.TLS != nil || cfg.Consumer.Cluster.SASL != nil {
		t.Error("TLS or SASL without being asked for")
	}
	if cfg.IM.Endpoint != "https://console.tim.qq.com" || cfg.IM.SDKAppID != 1400000000 || cfg.IM.Identifier != "administrator" ||
		cfg.IM.CallTimeout != 5*time.Second || cfg.IM.MaxConcurrent != 1000 {
		t.Errorf("im: %v", cfg.IM)
	}
	if key, err := cfg.IM.SecretKey.Key(); key != testSecretKey || err != nil {
		t.Errorf("secret key not taken over: %v", err)
	}
	if cfg.AdminAddr != "127.0.0.1:8080" || cfg.logLevel != 0 || cfg.logFormat != "auto" || len(cfg.Warnings) != 0 {
		t.Errorf("admin %q, log %v %q, warnings %q", cfg.AdminAddr, cfg.logLevel, cfg.logFormat, cfg.Warnings)
	}
}

// wrongSettings has a wrong value for each setting of run that can be wrong on its own.
func wrongSettings() map[string]string {
	return map[string]string{
		"brokers": "kafka-1", "topic": "a b", "group": "", "dead-letter-topic": "..", "outcome-topic": "a/b", "outcome-accounts": "some", "create-topics": "perhaps",
		"start": "yesterday", "adopt": "me", "max-batch-bytes": "1", "max-record-bytes": "8MiB",
		"kafka-tls": "maybe", "kafka-ca-file": "/no/such/file", "kafka-cert-file": "/no/such/cert", "kafka-key-file": "/no/such/key",
		"kafka-sasl": "gssapi", "insecure": "very", "kafka-username": "", "im-endpoint": "ftp://im.example.com", "im-sdkappid": "0",
		"im-identifier": strings.Repeat("x", 33), "calls-per-second": "abc", "quota": "fair", "redis-key": "a b", "call-timeout": "5",
		"max-calls": "-1", "max-attempts": "0", "retry-initial": "soon", "retry-max": "1h1", "max-in-flight": "1.5",
		"max-in-flight-bytes": "16MiB", "max-event-age": "-1s", "revived-check": "soon", "drain-timeout": "0", "instance-id": "..", "session-timeout": "5s", "admin-addr": "8080", "admin-hosts": "convdel:8080", "admin-accounts": "some",
		"log-level": "loud", "log-format": "xml", "log-accounts": "some",
	}
}

func TestWrongSettingsAreToldAllAtOnce(t *testing.T) {
	t.Parallel()
	wrong := wrongSettings()
	fromFlags, fromEnv := []string{"run"}, environment{}
	for name, value := range wrong {
		fromFlags = append(fromFlags, "--"+name+"="+value)
		fromEnv[envName(name)] = value
	}
	for _, flag := range model(t).Children[0].Flags {
		if _, ok := wrong[flag.Name]; !ok && flag.Tag.Has(settingTag) {
			t.Errorf("no wrong value for --%s in this test", flag.Name)
		}
	}
	for _, run := range []invocation{invoke(t, nil, "", fromFlags...), invoke(t, fromEnv, "", "run")} {
		if run.status != exitUsage || run.stdout != "" {
			t.Fatalf("status %d, stdout %q", run.status, run.stdout)
		}
		lines := strings.Split(strings.TrimSpace(run.stderr), "\n")
		for name, value := range wrong {
			i := slices.IndexFunc(lines, func(line string) bool {
				return strings.HasPrefix(line, "convdel: --"+name+" ("+envName(name)+") ")
			})
			if i < 0 {
				t.Errorf("no line about --%s:\n%s", name, run.stderr)
				continue
			}
			if value != "" && !strings.Contains(lines[i], " is \""+value+"\": ") || value == "" && !strings.Contains(lines[i], " is missing: ") {
				t.Errorf("the line does not say what it was: %s", lines[i])
			}
		}
		for _, name := range []string{"CONVDEL_IM_SECRET_KEY", "CONVDEL_KAFKA_PASSWORD"} {
			if !strings.Contains(run.stderr, "convdel: "+name+" is missing: ") {
				t.Errorf("no line about %s:\n%s", name, run.stderr)
			}
		}
	}
}

func TestFlagBeatsEnvironment(t *testing.T) {
	t.Parallel()
	env := required().with(environment{
		"CONVDEL_CALLS_PER_SECOND": "50", "CONVDEL_KAFKA_TLS": "true", "CONVDEL_CREATE_TOPICS": "yes", "CONVDEL_TOPIC": "from.env",
	})
	cfg, problems := checked(t, env)
	if problems != nil || cfg.Consumer.CallsPerSecond != 50 || cfg.Consumer.Topic != "from.env" ||
		cfg.Consumer.Cluster.TLS == nil || !cfg.Consumer.CreateTopics {
		t.Errorf("from the environment: %v, problems %q", cfg.Consumer, problems)
	}
	cfg, problems = checked(t, env, "--calls-per-second", "70", "--kafka-tls=false", "--create-topics=0", "--topic", "from.flag")
	if problems != nil || cfg.Consumer.CallsPerSecond != 70 || cfg.Consumer.Topic != "from.flag" ||
		cfg.Consumer.Cluster.TLS != nil || cfg.Consumer.CreateTopics {
		t.Errorf("from flags: %v, problems %q", cfg.Consumer, problems)
	}
	if _, problems = checked(t, env, "--calls-per-second", "x"); len(problems) != 1 || !strings.Contains(problems[0], `"x"`) {
		t.Errorf("a wrong flag above a right variable: %q", problems)
	}
	if cfg, problems = checked(t, env.with(environment{"CONVDEL_CALLS_PER_SECOND": "x"}), "--calls-per-second", "7"); problems != nil || cfg.Consumer.CallsPerSecond != 7 {
		t.Errorf("a right flag above a wrong variable: %q", problems)
	}
}

func TestSettingsThatDoNotGoTogether(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	noPEM := filepath.Join(dir, "no.pem")
	if err := os.WriteFile(noPEM, []byte("hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		env  environment
		want []string // one line each, in order
	}{
		{args: []string{"--retry-initial=5s", "--retry-max=1s"}, want: []string{`--retry-max (CONVDEL_RETRY_MAX) is "1s": must be at least --retry-initial, which is "5s"`}},
		{args: []string{"--max-batch-bytes=100000", "--max-record-bytes=100001"}, want: []string{`--max-record-bytes (CONVDEL_MAX_RECORD_BYTES) is "100001": must be at most --max-batch-bytes, which is "100000"`}},
		{args: []string{"--topic=t", "--dead-letter-topic=t"}, want: []string{"must differ from --topic"}},
		{args: []string{"--topic=t", "--outcome-topic=t"}, want: []string{"--outcome-topic (CONVDEL_OUTCOME_TOPIC) is \"t\": must differ from --topic"}},
		{args: []string{"--dead-letter-topic=t", "--outcome-topic=t"}, want: []string{"must differ from --dead-letter-topic"}},
		{args: []string{"--topic=t.dead-letter", "--dead-letter-topic=t"}, want: []string{`--topic (CONVDEL_TOPIC) is "t.dead-letter": a topic with this ending holds dead letters`}},
		{args: []string{"--kafka-tls", "--kafka-cert-file=c"}, want: []string{"it needs --kafka-key-file"}},
		{args: []string{"--kafka-tls", "--kafka-key-file=k"}, want: []string{"it needs --kafka-cert-file"}},
		{args: []string{"--kafka-ca-file=" + noPEM}, want: []string{"it needs --kafka-tls", "must hold PEM certificates"}},
		{args: []string{"--kafka-tls", "--kafka-ca-file=" + noPEM + "x"}, want: []string{"must be a readable file"}},
		{args: []string{"--kafka-sasl=plain"}, want: []string{"CONVDEL_KAFKA_PASSWORD is missing", "--kafka-username"}},
		{args: []string{"--kafka-username=u"}, want: []string{"it needs --kafka-sasl"}},
		{env: environment{"CONVDEL_KAFKA_PASSWORD": testPassword}, want: []string{"CONVDEL_KAFKA_PASSWORD is set, or its file: it needs --kafka-sasl"}},
		{env: environment{"CONVDEL_IM_SECRET_KEY_FILE": noPEM}, want: []string{"CONVDEL_IM_SECRET_KEY and CONVDEL_IM_SECRET_KEY_FILE are both set"}},
		{
			env:  environment{"CONVDEL_IM_SECRET_KEY": "", "CONVDEL_IM_SECRET_KEY_FILE": noPEM + "x"},
			want: []string{`CONVDEL_IM_SECRET_KEY_FILE is "` + noPEM + `x": must be a readable file`},
		},
		{args: []string{"--quota=redis"}, want: []string{"CONVDEL_REDIS_URL is missing: must be set, or CONVDEL_REDIS_URL_FILE must name a file"}},
		{
			args: []string{"--quota=redis"}, env: environment{"CONVDEL_REDIS_URL": "http://u:" + testPassword + "@redis"},
			want: []string{"CONVDEL_REDIS_URL is not redis://"},
		},
		{
			args: []string{"--quota=redis"}, env: environment{"CONVDEL_REDIS_URL": "redis://u:" + testPassword + "%@redis"},
			want: []string{"CONVDEL_REDIS_URL is not redis://"},
		},
		{args: []string{"--quota=redis"}, env: environment{"CONVDEL_REDIS_URL_FILE": noPEM}, want: []string{"CONVDEL_REDIS_URL_FILE is not redis://"}},
		{args: []string{"--quota=redis"}, env: environment{"CONVDEL_REDIS_URL_FILE": noPEM + "x"}, want: []string{"must be a readable file"}},
		{
			args: []string{"--quota=redis", "--calls-per-second=0"}, env: environment{"CONVDEL_REDIS_URL": "redis://redis"},
			want: []string{`is "0": must be at least 1 with --quota redis`},
		},
		{args: []string{"--im-endpoint=https://user:" + testPassword + "@im.example.com"}, want: []string{`is "…@im.example.com": must be scheme and host alone`}},
		{args: []string{"--brokers=kafka://u:" + testPassword + "@kafka:9092"}, want: []string{`is "…@kafka:9092": must be`}},
	} {
		_, problems := checked(t, required().with(c.env), c.args...)
		if len(problems) != len(c.want) {
			t.Errorf("%v %v: %q, want %q", c.args, slices.Sorted(maps.Keys(c.env)), problems, c.want)
			continue
		}
		for i, want := range c.want {
			if !strings.Contains(problems[i], want) {
				t.Errorf("%v: line %q lacks %q", c.args, problems[i], want)
			}
		}
	}
}

func TestSettingsAtTheirLimits(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"--brokers=[::1]:9092,10.0.0.1:1"},
		{"--admin-addr", ""},
		{"--admin-addr=:9"},
		{"--admin-hosts=convdel, convdel.jobs.svc"},
		{"--calls-per-second=0", "--max-event-age=0", "--im-endpoint=http://127.0.0.1:8090/"},
		{"--calls-per-second=100000", "--quota=local", "--max-calls=64"},
		{"--max-event-age=24h", "--max-in-flight=1"},
		{"--log-level=debug", "--log-format=json"},
		{"--instance-id=", "--session-timeout=6s"},
		{"--instance-id=convdel-0", "--session-timeout=45s"},
		{"--start=earliest", "--adopt=1400000002", "--max-batch-bytes=65536", "--max-record-bytes=65536"},
	} {
		if _, problems := checked(t, required(), args...); problems != nil {
			t.Errorf("%v: %q", args, problems)
		}
	}
	for _, brokers := range []string{"kafka:0", "kafka:65536", "kafka:x", ":9092", "a:1,,b:1", "http://kafka:9092", "a b:1", ""} {
		if _, problems := checked(t, required(), "--brokers="+brokers); len(problems) != 1 {
			t.Errorf("brokers %q: %q", brokers, problems)
		}
	}
	for _, endpoint := range []string{"", "console.tim.qq.com", "https://", "https://h/v4", "https://h?a=b", "https://h#f", "::"} {
		if _, problems := checked(t, required(), "--im-endpoint="+endpoint); len(problems) != 1 {
			t.Errorf("im-endpoint %q: %q", endpoint, problems)
		}
	}
}

func TestCallsUnderWayFollowTheQuota(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args []string
		want int
	}{
		{nil, 1000},
		{[]string{"--call-timeout=20s"}, 2000}, // bounded by max-in-flight
		{[]string{"--calls-per-second=0"}, 64},
		{[]string{"--calls-per-second=1", "--call-timeout=200ms"}, 1},
		{[]string{"--max-calls=7"}, 7},
	} {
		cfg, problems := checked(t, required(), c.args...)
		if problems != nil || cfg.Consumer.MaxCalls != c.want || cfg.IM.MaxConcurrent != c.want {
			t.Errorf("%v: %d calls, %d connections, want %d (%q)", c.args, cfg.Consumer.MaxCalls, cfg.IM.MaxConcurrent, c.want, problems)
		}
	}
}

func TestQuotaInRedis(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "url")
	if err := os.WriteFile(file, []byte("rediss://u:"+testPassword+"@redis:6380/3\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		env  environment
		args []string
		key  string
	}{
		{environment{"CONVDEL_REDIS_URL": "redis://redis"}, nil, "convdel:quota:1400000000"},
		{environment{"CONVDEL_REDIS_URL_FILE": file}, []string{"--redis-key=all"}, "all"},
	} {
		cfg, problems := checked(t, required().with(c.env), append(c.args, "--quota=redis")...)
		if problems != nil || cfg.Redis == nil || cfg.Redis.Key != c.key || cfg.Redis.CallsPerSecond != 200 || !cfg.Consumer.ShareByPartitions {
			t.Fatalf("%+v, problems %q", cfg.Redis, problems)
		}
		noSecrets(t, fmt.Sprint(cfg.Set, cfg.Defaults))
	}
	if cfg, problems := checked(t, required().with(environment{"CONVDEL_REDIS_URL": "not used"})); problems != nil || cfg.Redis != nil {
		t.Errorf("without --quota=redis: %+v, problems %q", cfg.Redis, problems)
	}
}

// TestRedisOutOfReachIsNoError: the service starts without Redis, warns, and works with its share.
func TestRedisOutOfReachIsNoError(t *testing.T) {
	t.Parallel()
	b := newBroker(t)
	env := required().with(environment{
		"CONVDEL_BROKERS": b.address, "CONVDEL_REDIS_URL": "redis://u:" + testPassword + "@127.0.0.1:1", "CONVDEL_CREATE_TOPICS": "true",
	})
	run := start(t, env, nil, "run", "--quota=redis", "--admin-addr=", "--im-endpoint=http://127.0.0.1:1")
	await(t, "a warning about Redis", func() bool { return strings.Contains(run.stderr.String(), "falling back") })
	if status := run.end(); status != exitDone {
		t.Errorf("status %d", status)
	}
}

func TestDeadLetterTopicFollowsTheTopic(t *testing.T) {
	t.Parallel()
	for want, args := range map[string][]string{
		schema.DeadLetterTopic: nil,
		"a.dead-letter":        {"--topic=a"},
		"b":                    {"--topic=a", "--dead-letter-topic=b"},
	} {
		if cfg, problems := checked(t, required(), args...); problems != nil || cfg.Consumer.DeadLetterTopic != want {
			t.Errorf("%v: %q, want %q (%q)", args, cfg.Consumer.DeadLetterTopic, want, problems)
		}
	}
}

func TestWarnings(t *testing.T) {
	t.Parallel()
	redis := "redis://u:" + testPassword + "@127.0.0.1"
	for _, c := range []struct {
		args []string
		env  environment
		want []string
	}{
		{args: []string{"--calls-per-second=0"}, want: []string{"nothing keeps the API's quota"}},
		{args: []string{"--calls-per-second=0", "--im-endpoint=http://localhost:8090"}, want: []string{"nothing keeps the API's quota"}},
		{args: []string{"--kafka-sasl=plain", "--kafka-username=u", "--insecure"}, want: []string{"password travels in the clear"}},
		{args: []string{"--kafka-sasl=plain", "--kafka-username=u", "--kafka-tls"}},
		{env: environment{"CONVDEL_REDIS_URL": redis}, want: []string{"CONVDEL_REDIS_URL is set and has no effect: --quota is partitions, not redis"}},
		{
			env: environment{"CONVDEL_REDIS_URL_FILE": "/no/such/file", "CONVDEL_REDIS_KEY": "k"}, args: []string{"--quota=local"},
			want: []string{"CONVDEL_REDIS_URL_FILE is set and has no effect: --quota is local, not redis", "--redis-key is set"},
		},
		{env: environment{"CONVDEL_REDIS_URL": redis, "CONVDEL_REDIS_KEY": "k"}, args: []string{"--quota=redis"}},
		{args: []string{"--outcome-accounts=false"}, want: []string{"--outcome-accounts is false and has no effect"}},
		{args: []string{"--outcome-accounts=false", "--outcome-topic=o"}},
		{env: environment{"CONVDEL_REDIS_URL": "", "CONVDEL_REDIS_URL_FILE": ""}},
	} {
		env := required().with(c.env)
		if slices.Contains(c.args, "--kafka-sasl=plain") {
			env["CONVDEL_KAFKA_PASSWORD"] = testPassword
		}
		cfg, problems := checked(t, env, c.args...)
		noSecrets(t, fmt.Sprint(cfg.Warnings))
		if problems != nil || len(cfg.Warnings) != len(c.want) {
			t.Errorf("%v: warnings %q, want %q (%q)", c.args, cfg.Warnings, c.want, problems)
			continue
		}
		for i, want := range c.want {
			if !strings.Contains(cfg.Warnings[i], want) {
				t.Errorf("%v: warning %q lacks %q", c.args, cfg.Warnings[i], want)
			}
		}
	}
}

func TestEveryServiceSettingIsLogged(t *testing.T) {
	t.Parallel()
	cfg, _ := checked(t, required())
	var logged []string
	for _, attr := range slices.Concat(cfg.Set, cfg.Defaults) {
		logged = append(logged, attr.Key)
	}
	for _, flag := range model(t).Children[0].Flags {
		if flag.Tag.Has(settingTag) && !slices.Contains(logged, strings.ReplaceAll(flag.Name, "-", "_")) {
			t.Errorf("the log line at the start lacks --%s", flag.Name)
		}
	}
}

// TestSettingsLineShowsWhatIsSet: at the start the log shows the settings that differ from their defaults; the others, and those that
// follow from others, are for debugging.
func TestSettingsLineShowsWhatIsSet(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args []string
		want string
	}{
		{nil, "brokers=kafka-1:9092, kafka-2:9092 im_sdkappid=1400000000"},
		{[]string{"--calls-per-second=200", "--max-calls=0", "--start=recent"}, "brokers=kafka-1:9092, kafka-2:9092 im_sdkappid=1400000000"},
		{
			[]string{"--topic=a", "--quota=local", "--max-attempts=9", "--admin-addr="},
			"brokers=kafka-1:9092, kafka-2:9092 topic=a im_sdkappid=1400000000 max_attempts=9 quota=local admin_addr=",
		},
		{
			[]string{"--dead-letter-topic=b", "--redis-key=c", "--kafka-tls"},
			"brokers=kafka-1:9092, kafka-2:9092 kafka_tls=true dead_letter_topic=b im_sdkappid=1400000000 redis_key=c",
		},
	} {
		cfg, problems := checked(t, required(), c.args...)
		var set []string
		for _, a := range cfg.Set {
			set = append(set, a.String())
		}
		if got := strings.Join(set, " "); problems != nil || got != c.want {
			t.Errorf("%v: %s\nwant %s (%q)", c.args, got, c.want, problems)
		}
	}
}

// TestWrongEndpointShowsNoQuery: the text behind a question mark in a wrong address may be a signature.
func TestWrongEndpointShowsNoQuery(t *testing.T) {
	t.Parallel()
	got := quote("https://console.tim.qq.com/v4?usersig=eJwtzF0LgjAYhuH")
	if want := `"https://console.tim.qq.com/v4?…"`; got != want {
		t.Errorf("quoted as %s, want %s", got, want)
	}
}
