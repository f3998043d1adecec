package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"convdel/imclient/imtest"
	"convdel/internal/check"
	"convdel/schema"
)

// ward is everything that run needs, in good order.
type ward struct {
	*shelf

	sim   *imtest.Server
	redis *miniredis.Miniredis
}

// newWard starts three brokers, the API's simulator and Redis.
func newWard(t *testing.T) *ward {
	t.Helper()
	cluster := kfake.MustCluster(kfake.NumBrokers(3), kfake.BrokerConfigs(map[string]string{"group.initial.rebalance.delay.ms": "0"}))
	// The client of the test itself sends no telemetry, since tests look at the requests that the brokers get. It writes to the
	// partition that a record names, and not to one by chance, since tests are about partitions with and without records.
	client, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.MetadataMinAge(watchEvery), kgo.DisableClientMetrics(),
		kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	b := &demoBroker{cluster: cluster, client: client, admin: kadm.NewClient(client), address: strings.Join(cluster.ListenAddrs(), ",")}
	t.Cleanup(b.close)
	return &ward{shelf: &shelf{demoBroker: b, t: t}, redis: miniredis.RunT(t), sim: startSim(t, imtest.Config{})}
}

// goodTopics are the settings of the topics by which nothing is lost.
func goodTopics() map[string]map[string]string {
	return map[string]map[string]string{
		schema.Topic: {"min.insync.replicas": "2"},
		schema.DeadLetterTopic: {
			"min.insync.replicas": "2", "cleanup.policy": "compact", "max.message.bytes": "1114112",
		},
		outcomeTopic: {"min.insync.replicas": "2", "retention.ms": "7776000000"},
	}
}

// create makes the topics.
func (w *ward) create(replicas int16, topics map[string]map[string]string) {
	w.t.Helper()
	for name, settings := range topics {
		configs := map[string]*string{}
		for key, value := range settings {
			configs[key] = &value
		}
		if _, err := w.admin.CreateTopic(w.t.Context(), 4, replicas, configs, name); err != nil {
			w.t.Fatal(name, err)
		}
	}
}

func (w *ward) env() environment {
	return required().with(environment{
		"CONVDEL_BROKERS": w.address, "CONVDEL_IM_ENDPOINT": w.sim.URL, "CONVDEL_OUTCOME_TOPIC": outcomeTopic,
		"CONVDEL_QUOTA": "redis", "CONVDEL_REDIS_URL": "redis://" + w.redis.Addr(),
	})
}

// checkup runs check, and returns its rows by name. On a busy machine an answer of Redis can take longer than the quota waits; then
// it runs check again.
func checkup(t *testing.T, env environment, args ...string) (check.Report, map[check.Name]check.Row) {
	t.Helper()
	for range 10 {
		if report, rows := checkupOnce(t, env, args...); !strings.Contains(rows[check.Redis].Detail, "i/o timeout") {
			return report, rows
		}
	}
	t.Fatal("redis does not answer in time")
	return check.Report{}, nil
}

// checkupOnce runs check once, and returns its rows by name.
func checkupOnce(t *testing.T, env environment, args ...string) (check.Report, map[check.Name]check.Row) {
	t.Helper()
	run := invoke(t, env, "", append([]string{"check", "--format", "json"}, args...)...)
	var report check.Report
	if err := json.Unmarshal([]byte(run.stdout), &report); err != nil {
		t.Fatalf("status %d: %v\n%s%s", run.status, err, run.stdout, run.stderr)
	}
	if (run.status == exitDone) != report.OK || run.status != exitDone && run.status != exitFailed || run.stderr != "" {
		t.Errorf("status %d, ok is %t, stderr %q", run.status, report.OK, run.stderr)
	}
	rows := map[check.Name]check.Row{}
	var names []check.Name
	for _, row := range report.Checks {
		names = append(names, row.Name)
		rows[row.Name] = row
		if !row.OK && row.Fix == "" || row.Detail == "" || row.Warning && !row.OK {
			t.Errorf("%+v", row)
		}
	}
	if !slices.Equal(names, check.Names()) {
		t.Errorf("rows %v", names)
	}
	return report, rows
}

// commit commits offsets for a group, as the service of another app does if app is not empty.
func (w *ward) commit(group string, metadata string, at map[int32]int64) {
	w.t.Helper()
	w.commitTo(schema.Topic, group, metadata, at)
}

func (w *ward) commitTo(topic, group, metadata string, at map[int32]int64) {
	w.t.Helper()
	var all kadm.Offsets
	for p, o := range at {
		all.Add(kadm.Offset{Topic: topic, Partition: p, At: o, LeaderEpoch: -1, Metadata: metadata})
	}
	if err := w.admin.CommitAllOffsets(w.t.Context(), group, all); err != nil {
		w.t.Fatal(err)
	}
}

// TestCheckWell: where nothing is wrong, all is ok, in each format.
func TestCheckWell(t *testing.T) {
	t.Parallel()
	w := newWard(t)
	w.create(3, goodTopics())
	w.produce(&kgo.Record{Topic: schema.Topic, Value: goodValue(1)})
	report, rows := checkup(t, w.env(), "--probe", "has-3-alice")
	if !report.OK {
		t.Errorf("%+v", report)
	}
	for name, want := range map[check.Name]string{
		check.Settings:        "brokers",
		check.Kafka:           "the cluster has 3 brokers",
		check.Topic:           "4 partitions, 3 replicas; events are kept for 7d",
		check.DeadLetterTopic: "max.message.bytes is 1114112, enough",
		check.OutcomeTopic:    "outcomes are kept for 90d",
		check.Group:           "group convdel does not exist yet; no offsets: by --start recent it begins with 1 record ahead",
		check.Redis:           "it answers in",
		check.Clock:           "this machine's clock is within 2s of the API's",
		check.Endpoint:        "it answers as the API",
		check.Credential:      "the API takes it",
		check.Quota:           "shared in Redis; 4 partitions",
	} {
		row := rows[name]
		if !row.OK || !strings.Contains(row.Detail, want) {
			t.Errorf("%+v\nwant %s", row, want)
		}
		if row.Warning && name != check.Endpoint { // the simulator is none of the vendor's
			t.Errorf("a warning: %+v", row)
		}
	}
	before := w.sim.ListStats().Calls
	checkupOnce(t, w.env(), "--quota", "local", "--probe", "has-3-alice")
	if calls := w.sim.ListStats().Calls - before; calls != 2 { // one without a signature, and the probe
		t.Errorf("%d calls for lists", calls)
	}
	lines := invoke(t, w.env(), "", "check", "--format", "ndjson")
	if n := strings.Count(lines.stdout, "\n"); n != len(check.Names()) || lines.status != exitDone {
		t.Errorf("%d lines, status %d", n, lines.status)
	}
	table := invoke(t, w.env().with(environment{"COLUMNS": "100"}), "", "check")
	if table.status != exitDone || !strings.Contains(table.stdout, "11 checks: 10 ok, 1 warning, 0 failed\n") || strings.Contains(table.stdout, "\x1b") {
		t.Errorf("status %d:\n%s", table.status, table.stdout)
	}
	for line := range strings.Lines(table.stdout) {
		if cells(line) > 101 {
			t.Errorf("a line of %d columns: %s", cells(line), line)
		}
	}
	coloured := invoke(t, w.env().with(environment{"CLICOLOR_FORCE": "1"}), "", "check")
	if !strings.Contains(coloured.stdout, "\x1b[32mok") {
		t.Errorf("no colours:\n%s", coloured.stdout)
	}
}

// TestCheckChangesNothing: check makes only requests that read, to Kafka, the API and Redis. It says what a service would do, and does
// nothing of it.
func TestCheckChangesNothing(t *testing.T) {
	t.Parallel()
	w := newWard(t)
	w.create(3, goodTopics())
	for n := range int64(20) {
		w.produce(&kgo.Record{Topic: schema.Topic, Value: goodValue(n)})
	}
	w.commit("other", "", map[int32]int64{0: 1})
	before, err := w.admin.ListEndOffsets(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	reading := []kmsg.Key{
		kmsg.ApiVersions, kmsg.Metadata, kmsg.FindCoordinator, kmsg.DescribeGroups, kmsg.ListGroups, kmsg.OffsetFetch, kmsg.ListOffsets, kmsg.Fetch,
		kmsg.DescribeConfigs,
	}
	var mu sync.Mutex
	asked := map[kmsg.Key]int{}
	stop := false
	w.cluster.Control(func(req kmsg.Request) (kmsg.Response, error, bool) {
		w.cluster.KeepControl()
		mu.Lock()
		defer mu.Unlock()
		if !stop {
			asked[kmsg.Key(req.Key())]++
		}
		return nil, nil, false
	})
	for _, group := range []string{"convdel", "other"} {
		checkup(t, w.env(), "--group", group, "--start", "earliest", "--create-topics", "--probe", "has-300-alice")
	}
	checkup(t, w.env(), "--topic", "missing", "--outcome-topic", "missing.too", "--create-topics", "--quota", "local")
	mu.Lock()
	stop = true
	for key, n := range asked {
		if !slices.Contains(reading, key) {
			t.Errorf("%d requests %s, which is none of those that read", n, kmsg.NameForKey(int16(key)))
		}
	}
	if asked[kmsg.OffsetFetch] == 0 || asked[kmsg.Fetch] == 0 {
		t.Errorf("the requests were not counted: %v", asked)
	}
	mu.Unlock()
	after, err := w.admin.ListEndOffsets(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !maps.EqualFunc(before, after, maps.Equal) {
		t.Errorf("topics before %v, after %v", before, after)
	}
	offsets, err := w.admin.FetchOffsets(t.Context(), "convdel")
	if err == nil && len(offsets[schema.Topic]) > 0 {
		t.Errorf("committed: %v", offsets)
	}
	if calls := w.sim.Stats().Calls; calls != 0 {
		t.Errorf("%d calls that are no lists", calls)
	}
	if keys := w.redis.Keys(); len(keys) != 0 {
		t.Errorf("keys in Redis: %v", keys)
	}
}

// TestCheckFinds: what is wrong, or odd, with a topic or the group is found, with what to do.
func TestCheckFinds(t *testing.T) {
	t.Parallel()
	w := newWard(t)
	topics := goodTopics()
	topics["short"] = map[string]string{"retention.ms": "3600000", "retention.bytes": "1000000", "min.insync.replicas": "1"}
	topics["table"] = map[string]string{"cleanup.policy": "compact", "min.insync.replicas": "2"}
	topics["short.dead-letter"] = map[string]string{"retention.ms": "86400000", "min.insync.replicas": "3"}
	topics["strict"] = map[string]string{"cleanup.policy": "compact", "min.insync.replicas": "4"}
	topics["brief"] = map[string]string{"retention.ms": "3600000", "cleanup.policy": "compact,delete", "max.message.bytes": "1000"}
	w.create(3, topics)
	w.create(1, map[string]map[string]string{"alone": nil})
	w.produce(&kgo.Record{Topic: schema.Topic, Value: goodValue(1), Timestamp: time.Now().Add(-3 * time.Hour)})
	w.commit("ahead", "", map[int32]int64{0: 0, 1: 0, 2: 0, 3: 1000})
	w.produce(&kgo.Record{Topic: "alone", Value: goodValue(2), Timestamp: time.Now().Add(-3 * time.Hour)})
	w.commitTo("alone", "lost", "", map[int32]int64{0: 1000, 1: 1000, 2: 1000, 3: 1000})
	stranger := "convdel3 app=1400000009 letters=" + schema.DeadLetterTopic
	w.commit("taken", stranger, map[int32]int64{0: 0, 1: 0, 2: 0, 3: 0})
	for group, balancer := range map[string]kgo.GroupBalancer{"joined": kgo.RangeBalancer(), "sticky": kgo.CooperativeStickyBalancer()} {
		member, err := kgo.NewClient(kgo.SeedBrokers(w.cluster.ListenAddrs()...), kgo.ConsumerGroup(group), kgo.Balancers(balancer),
			kgo.ConsumeTopics(schema.Topic), kgo.ClientID("stranger"), kgo.DisableAutoCommit())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(member.Close)
		await(t, "a member has joined", func() bool {
			groups, err := w.admin.DescribeGroups(t.Context(), group)
			return err == nil && groups[group].State == "Stable"
		})
	}
	type finding struct {
		args        string
		row         check.Name
		ok          bool
		detail, fix string
	}
	byArgs := map[string]map[string]finding{}
	for what, c := range map[string]finding{
		"topic missing":           {"--topic nothing", check.Topic, false, "nothing does not exist", "create it, or let --create-topics do so"},
		"topic missing, creates":  {"--topic nothing --create-topics", check.Topic, true, "run creates it", ""},
		"group of a new topic":    {"--topic nothing --create-topics", check.Group, true, "begins with 0 records ahead", ""},
		"events kept for an hour": {"--topic short", check.Topic, true, "events are kept for 1h: a longer outage", "raise retention.ms"},
		"events removed by size":  {"--topic short", check.Topic, true, "retention.bytes is 1000000", "set retention.bytes=-1"},
		"one broker acknowledges": {"--topic short", check.Topic, true, "min.insync.replicas is 1", "set min.insync.replicas=2"},
		"events compacted":        {"--topic table", check.Topic, true, "cleanup.policy is compact", "set cleanup.policy=delete"},
		"one replica":             {"--topic alone", check.Topic, true, "it has one replica", "give the topic three replicas"},
		"letters kept for a day":  {"--topic short", check.DeadLetterTopic, true, "cleanup.policy is delete: dead letters are lost after 1d", "set cleanup.policy=compact"},
		"letters too large":       {"--topic short", check.DeadLetterTopic, true, "dead letters of the largest records", "set max.message.bytes=1051660"},
		"all replicas must write": {"--topic short", check.DeadLetterTopic, true, "no write succeeds while one broker is down", "set min.insync.replicas"},
		"more than all replicas":  {"--dead-letter-topic strict", check.DeadLetterTopic, false, "min.insync.replicas is 4 of 3 replicas: no write succeeds", "set min.insync.replicas"},
		"letters missing":         {"--dead-letter-topic nothing", check.DeadLetterTopic, false, "nothing does not exist", "create it"},
		"outcomes missing":        {"--outcome-topic nothing", check.OutcomeTopic, false, "nothing does not exist", "create it"},
		"outcomes kept an hour":   {"--outcome-topic brief", check.OutcomeTopic, false, "outcomes are gone after 1h", "raise retention.ms"},
		"outcomes compacted":      {"--outcome-topic brief", check.OutcomeTopic, false, "only the last outcome of each event is kept", "set cleanup.policy=delete"},
		"outcomes do not fit":     {"--outcome-topic brief", check.OutcomeTopic, false, "its event would never end", "set max.message.bytes=32768"},
		"start not decided":       {"", check.Group, false, "run would not start: group convdel has no offsets", "--start earliest (all of them)"},
		"start leaves out":        {"--start latest", check.Group, true, "and leaves out 1 record", "--start earliest"},
		"start at the earliest":   {"--start earliest", check.Group, true, "by --start earliest it begins with 1 record ahead, the oldest record of the topic 3h", ""},
		"offsets beyond the end":  {"--group ahead", check.Group, true, "offsets beyond the end of the log: partitions 3", "docs/partitions.md"},
		"the same, with records":  {"--topic alone --group lost", check.Group, false, "run would not start: group lost: offset 1000 of alone/", "--start earliest"},
		"and said where":          {"--topic alone --group lost --start earliest", check.Group, true, "begin as --start earliest says; group lost: empty, 0 members; 1 record is not committed", "docs/partitions.md"},
		"another app's group":     {"--group taken", check.Group, false, "group taken belongs to app 1400000009", "--adopt 1400000009"},
		"taken over":              {"--group taken --adopt 1400000009", check.Group, true, "run takes the group over", "remove --adopt"},
		"another convdel":         {"--group ahead", check.Group, true, "group taken consumes the topic too: convdel of app 1400000009", "executed by both"},
		"another group":           {"--group taken --adopt 1400000009", check.Group, true, "group ahead consumes the topic too", "executed by both"},
		"strangers in the group":  {"--group joined --start earliest", check.Group, true, `members that are not convdel: "stranger" at`, "stop them"},
		"strangers in its way":    {"--group sticky --start earliest", check.Group, false, `share partitions by "cooperative-sticky": run can't join them`, "use another --group"},
		"start beside members":    {"--group joined --start latest", check.Group, false, "run would not start: group joined has members", "stop them first"},
		"local and a member":      {"--group joined --quota local", check.Quota, true, "the group has a member", "--quota partitions"},
		"fewer calls":             {"--calls-per-second 3 --quota partitions", check.Quota, true, "4 partitions share 3 calls a second", "fewer partitions"},
		"more calls":              {"--calls-per-second 500", check.Quota, true, "the API's usual limit is 200", "set it to the limit"},
		"no quota":                {"--calls-per-second 0 --quota partitions", check.Quota, true, "nothing keeps the API's quota", "set --calls-per-second"},
		"quota, topic missing":    {"--topic nothing", check.Quota, false, "partitions of the topic, which are not known", "see topic"},
		"account not known":       {"--probe code-50001", check.Credential, true, "does not know the account", "probe an account that exists"},
		"no permission":           {"--probe code-60010", check.Credential, false, "code 60010", "administrator in the console"},
		"another key's app":       {"--probe code-70020", check.Credential, false, "code 70020", "check im-sdkappid, and that im-endpoint is of the app's region"},
		"signature locked":        {"--probe code-70050", check.Credential, false, "code 70050", "a minute of quiet"},
		"probe throttled":         {"--probe code-60011", check.Credential, true, "is not known: im api: code 60011", "SDKAppID"},
		"probe fails":             {"--probe http-502", check.Credential, false, "http status 502", "see im-endpoint"},
		"another app's endpoint":  {"--im-sdkappid 1400000001 --probe a", check.Credential, false, "code 70020", "check im-sdkappid"},
		"another administrator":   {"--im-identifier nobody --probe a", check.Credential, false, "code 600", "administrator"},
	} {
		if byArgs[c.args] == nil {
			byArgs[c.args] = map[string]finding{}
		}
		byArgs[c.args][what] = c
	}
	for args, findings := range byArgs {
		t.Run(args, func(t *testing.T) {
			t.Parallel()
			_, rows := checkup(t, w.env(), strings.Fields(args)...)
			for what, c := range findings {
				row := rows[c.row]
				if row.OK != c.ok || !strings.Contains(row.Detail, c.detail) || !strings.Contains(row.Fix, c.fix) || c.ok && c.fix != "" && !row.Warning {
					t.Errorf("%s: %+v\nwant ok %t, detail %q, fix %q", what, row, c.ok, c.detail, c.fix)
				}
			}
		})
	}
}

// TestCheckOldOffsets: offsets whose records retention has removed.
func TestCheckOldOffsets(t *testing.T) {
	t.Parallel()
	w := newWard(t)
	w.create(3, goodTopics())
	for n := range int64(10) {
		w.produce(&kgo.Record{Topic: schema.Topic, Partition: 2, Value: goodValue(n)})
	}
	w.commit("convdel", "", map[int32]int64{0: 0, 1: 0, 2: 3})
	var trim kadm.Offsets
	trim.Add(kadm.Offset{Topic: schema.Topic, Partition: 2, At: 7})
	if _, err := w.admin.DeleteRecords(t.Context(), trim); err != nil {
		t.Fatal(err)
	}
	_, rows := checkup(t, w.env())
	for _, want := range []string{
		"retention has removed records that were not executed: up to 4, of partitions 2", "partitions without an offset, which begin at their first record: 3",
		"3 records are not committed",
	} {
		if row := rows[check.Group]; !row.OK || !row.Warning || !strings.Contains(row.Detail, want) {
			t.Errorf("%+v, want %s", row, want)
		}
	}
}

// TestCheckGoesOn: a wrong setting, or a part that is away, stops only the checks that need it.
func TestCheckGoesOn(t *testing.T) {
	t.Parallel()
	w := newWard(t)
	w.create(3, goodTopics())
	all := check.Names()
	for what, c := range map[string]struct {
		env  environment
		args string
		// stopped are the rows that are not ok.
		stopped []check.Name
		says    string
	}{
		"no key":             {environment{"CONVDEL_IM_SECRET_KEY": ""}, "", []check.Name{check.Settings, check.Credential}, "CONVDEL_IM_SECRET_KEY"},
		"wrong endpoint":     {nil, "--im-endpoint ftp://x", []check.Name{check.Settings, check.Clock, check.Endpoint, check.Credential}, "--im-endpoint"},
		"no app":             {environment{"CONVDEL_IM_SDKAPPID": ""}, "", []check.Name{check.Settings, check.Group, check.Credential}, "--im-sdkappid"},
		"wrong group":        {nil, "--group a\u00e4", []check.Name{check.Settings, check.Group}, "--group"},
		"wrong start":        {nil, "--start never", []check.Name{check.Settings, check.Group}, "--start"},
		"a wrong bound":      {nil, "--max-in-flight x", []check.Name{check.Settings}, ""},
		"a misspelt name":    {environment{"CONVDEL_TOPPIC": "x"}, "", []check.Name{check.Settings}, ""},
		"wrong letter topic": {nil, "--dead-letter-topic a/b", []check.Name{check.Settings, check.DeadLetterTopic, check.Group}, "--dead-letter-topic"},
		"wrong quota":        {nil, "--quota x", []check.Name{check.Settings, check.Redis, check.Quota}, "--quota"},
		"wrong Redis":        {environment{"CONVDEL_REDIS_URL": "http://x"}, "", []check.Name{check.Settings, check.Redis}, "CONVDEL_REDIS_URL"},
		"Redis away":         {environment{"CONVDEL_REDIS_URL": "redis://127.0.0.1:1"}, "", []check.Name{check.Redis}, ""},
		"API away":           {nil, "--im-endpoint http://127.0.0.1:1", []check.Name{check.Clock, check.Endpoint}, ""},
		"Kafka away":         {nil, "--brokers 127.0.0.1:1", []check.Name{check.Kafka, check.Topic, check.DeadLetterTopic, check.OutcomeTopic, check.Group, check.Quota}, ""},
		"wrong brokers":      {nil, "--brokers x", []check.Name{check.Settings, check.Kafka, check.Topic, check.DeadLetterTopic, check.OutcomeTopic, check.Group, check.Quota}, "--brokers"},
		"all away": {
			environment{"CONVDEL_REDIS_URL": "redis://127.0.0.1:1"},
			"--brokers 127.0.0.1:1 --im-endpoint http://127.0.0.1:1 --max-calls x",
			slices.DeleteFunc(slices.Clone(all), func(n check.Name) bool { return n == check.Credential }), "",
		},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			_, rows := checkup(t, w.env().with(c.env), strings.Fields(c.args)...)
			for _, name := range all {
				row := rows[name]
				if row.OK == slices.Contains(c.stopped, name) {
					t.Errorf("%+v", row)
				}
				if strings.HasPrefix(row.Detail, "not checked: wrong or missing") && !strings.Contains(row.Detail, c.says) {
					t.Errorf("%+v, want %s", row, c.says)
				}
			}
		})
	}
	if run := invoke(t, w.env(), "", "check", "--format", "xml"); run.status != exitUsage || run.stdout != "" {
		t.Errorf("--format xml: status %d", run.status)
	}
	if run := invoke(t, w.env(), "", "check", "--probe", strings.Repeat("x", 33)); run.status != exitUsage {
		t.Errorf("--probe of 33 bytes: status %d", run.status)
	}
}

// TestCheckSilence: brokers, an API and a Redis that accept connections and say nothing do not hold check up.
func TestCheckSilence(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var conns []net.Conn
	accepting := make(chan struct{})
	go func() {
		defer close(accepting)
		for {
			conn, err := silent.Accept()
			if err != nil {
				return
			}
			conns = append(conns, conn)
		}
	}()
	t.Cleanup(func() {
		_ = silent.Close()
		<-accepting
		for _, conn := range conns {
			_ = conn.Close()
		}
	})
	at := silent.Addr().String()
	env := required().with(environment{"CONVDEL_BROKERS": at, "CONVDEL_IM_ENDPOINT": "http://" + at, "CONVDEL_QUOTA": "redis", "CONVDEL_REDIS_URL": "redis://" + at})
	report, rows := checkupOnce(t, env, "--timeout", "300ms", "--probe", "a")
	for _, name := range []check.Name{check.Kafka, check.Endpoint, check.Redis, check.Credential, check.Clock, check.Topic, check.Group} {
		if rows[name].OK || report.OK {
			t.Errorf("%+v", rows[name])
		}
	}
	for _, name := range []check.Name{check.Kafka, check.Endpoint, check.Credential} {
		if !strings.Contains(rows[name].Detail, "no answer within 300ms") {
			t.Errorf("%+v", rows[name])
		}
	}
}

// TestCheckAdvertised: a broker that advertises an address that can't be reached is found, though it answers at the one in the setting.
func TestCheckAdvertised(t *testing.T) {
	t.Parallel()
	w := newWard(t)
	w.create(3, goodTopics())
	w.cluster.ControlKey(int16(kmsg.Metadata), func(req kmsg.Request) (kmsg.Response, error, bool) {
		w.cluster.KeepControl()
		asks, _ := req.(*kmsg.MetadataRequest)
		if asks.Topics == nil || len(asks.Topics) > 0 {
			return nil, nil, false
		}
		answer, _ := req.ResponseKind().(*kmsg.MetadataResponse)
		answer.Brokers = []kmsg.MetadataResponseBroker{{NodeID: 0, Host: "127.0.0.1", Port: 1}}
		return answer, nil, true
	})
	_, rows := checkup(t, w.env())
	if row := rows[check.Kafka]; row.OK || !strings.Contains(row.Detail, "a broker at 127.0.0.1:1, which can't be used") || !strings.Contains(row.Fix, "advertised.listeners") {
		t.Errorf("%+v", row)
	}
	_, rows = checkup(t, w.env().with(environment{"CONVDEL_BROKERS": w.address + ",127.0.0.1:1"}))
	if row := rows[check.Kafka]; !strings.Contains(row.Detail, "of --brokers, one can't be used: 127.0.0.1:1") {
		t.Errorf("%+v", row)
	}
}

// redisRow is the row about Redis.
func redisRow(t *testing.T, env environment) check.Row {
	t.Helper()
	_, rows := checkup(t, env)
	return rows[check.Redis]
}

// TestCheckClockAndRedis: clocks that are off, and a Redis that would lose the quota or takes no writes.
func TestCheckClockAndRedis(t *testing.T) {
	t.Parallel()
	w := newWard(t)
	w.create(3, goodTopics())
	for _, c := range []struct {
		skew time.Duration
		ok   bool
		says string
	}{{3 * time.Minute, true, "3m0s behind the API's"}, {-time.Hour, false, "1h0m0s ahead of the API's"}} {
		w.sim.SetClockSkew(c.skew)
		_, rows := checkup(t, w.env())
		if row := rows[check.Clock]; row.OK != c.ok || row.Warning != c.ok || !strings.Contains(strings.ReplaceAll(row.Detail, "2m59s", "3m0s"), c.says) && !strings.Contains(row.Detail, "59m59s") {
			t.Errorf("%+v, want %s", row, c.says)
		}
	}
	info := ""
	w.redis.Server().SetPreHook(func(peer *server.Peer, cmd string, _ ...string) bool {
		if strings.EqualFold(cmd, "INFO") {
			peer.WriteBulk(info)
			return true
		}
		return false
	})
	for _, c := range []struct {
		info string
		ok   bool
		says string
	}{
		{"redis_version:7.2.1\r\nrole:master\r\nmaxmemory:1000\r\nmaxmemory_policy:allkeys-lru\r\n", true, "maxmemory-policy is allkeys-lru"},
		{"role:slave\r\n", false, "this Redis is a replica"},
		{"redis_mode:cluster\r\n", true, "a node of a cluster"},
	} {
		info = c.info
		if row := redisRow(t, w.env()); row.OK != c.ok || row.Warning != c.ok || !strings.Contains(row.Detail, c.says) {
			t.Errorf("%+v, want %s", row, c.says)
		}
	}
	info = ""
	if _, err := w.redis.Push("convdel:quota:1400000000", "x"); err != nil {
		t.Fatal(err)
	}
	w.redis.RequireAuth("another")
	refused := w.env().with(environment{"CONVDEL_REDIS_URL": "redis://:" + testPassword + "@" + w.redis.Addr()}) // no output may show it
	if row := redisRow(t, refused); row.OK || !strings.Contains(row.Detail, "WRONGPASS") {
		t.Errorf("%+v", row)
	}
	w.redis.RequireAuth("")
	if row := redisRow(t, w.env()); row.OK || !strings.Contains(row.Fix, "--redis-key") {
		t.Errorf("%+v", row)
	}
}

// TestCheckRights: each right that is missing is named, with the command that gives it.
func TestCheckRights(t *testing.T) {
	t.Parallel()
	all := []right{
		{kmsg.ACLResourceTypeTopic, schema.Topic, kmsg.ACLOperationRead},
		{kmsg.ACLResourceTypeTopic, schema.DeadLetterTopic, kmsg.ACLOperationWrite},
		{kmsg.ACLResourceTypeGroup, "convdel", kmsg.ACLOperationRead},
		{kmsg.ACLResourceTypeTopic, outcomeTopic, kmsg.ACLOperationWrite},
	}
	rows := []check.Name{check.Topic, check.DeadLetterTopic, check.Group, check.OutcomeTopic}
	describes := func(r right) right { return right{r.on, r.name, kmsg.ACLOperationDescribe} }
	users := map[string][]right{"none": nil}
	for i, r := range all {
		users[fmt.Sprint("blind-", i)] = slices.Delete(slices.Clone(all), i, i+1)
		users[fmt.Sprint("looks-", i)] = append(slices.Delete(slices.Clone(all), i, i+1), describes(r))
	}
	s := guardedShelf(t, true, users)
	for user := range users {
		var n int
		_, _ = fmt.Sscanf(user[len(user)-1:], "%d", &n)
		_, found := checkup(t, s.as(user).with(environment{"CONVDEL_OUTCOME_TOPIC": outcomeTopic, "CONVDEL_IM_ENDPOINT": "http://127.0.0.1:1"}))
		for i, name := range rows {
			lacks := user == "none" || i == n
			row := found[name]
			want := fmt.Sprintf("--add --allow-principal User:%s --operation %s --%s %s", user, all[i].what, strings.ToLower(all[i].on.String()), all[i].name)
			cut := name == check.Group && user == "blind-0" // without the topic, where the group begins is not known
			if row.OK == lacks && !cut || lacks && !strings.Contains(strings.ToLower(row.Fix), strings.ToLower(want)) {
				t.Errorf("%s: %+v\nwant %s", user, row, want)
			}
		}
	}
}

// TestCheckStopped: a signal ends check.
func TestCheckStopped(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out strings.Builder
	con := &console{stdout: &out, stderr: &out, env: required().with(environment{"CONVDEL_BROKERS": "127.0.0.1:1", "CONVDEL_IM_ENDPOINT": "http://127.0.0.1:1"}).lookup}
	if status := execute(ctx, []string{"check"}, con); status != exitFailed || out.String() != "convdel: stopped before the end\n" {
		t.Errorf("status %d: %s", status, out.String())
	}
}
