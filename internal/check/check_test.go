package check_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"convdel/consumer"
	"convdel/consumer/inspect"
	"convdel/consumer/redisbudget"
	"convdel/imclient"
	"convdel/internal/check"
)

// want is what a row must be.
type want struct {
	ok, warning bool
	detail, fix string
}

func (w want) of(t *testing.T, what string, row check.Row) {
	t.Helper()
	if row.OK != w.ok || row.Warning != w.warning || !strings.Contains(row.Detail, w.detail) || !strings.Contains(row.Fix, w.fix) {
		t.Errorf("%s: %+v\nwant %+v", what, row, w)
	}
}

func TestClock(t *testing.T) {
	t.Parallel()
	for ahead, w := range map[time.Duration]want{
		0:                                   {true, false, "within 2s", ""},
		-59 * time.Second:                   {true, false, "59s behind the API's", ""},
		time.Minute:                         {true, true, "1m0s ahead of the API's", "NTP"},
		-5*time.Minute + time.Second:        {true, true, "4m59s behind", "NTP"},
		5 * time.Minute:                     {false, false, "5m0s ahead", "NTP"},
		-(24*time.Hour + 30*time.Second):    {false, false, "24h0m30s behind", "NTP"},
		time.Duration(1500) * time.Hour * 1: {false, false, "1500h0m0s ahead", "NTP"},
	} {
		w.of(t, ahead.String(), check.ClockRow(&imclient.Reached{Dated: true, Ahead: ahead}, nil))
	}
	want{true, true, "no Date header", "compare"}.of(t, "no date", check.ClockRow(&imclient.Reached{}, nil))
	want{false, false, "not checked", "see im-endpoint"}.of(t, "no answer", check.ClockRow(nil, errors.New("x")))
}

func TestEndpoint(t *testing.T) {
	t.Parallel()
	api := func(code int) *imclient.Reached { return &imclient.Reached{HTTPStatus: 200, API: true, Code: code} }
	for _, c := range []struct {
		endpoint string
		found    *imclient.Reached
		want     want
	}{
		{"https://console.tim.qq.com", api(60012), want{true, false, "the vendor's endpoint in China", ""}},
		{"https://adminapisgp.im.qcloud.com", api(60004), want{true, false, "the vendor's endpoint in Singapore", ""}},
		{"http://console.tim.qq.com", api(60012), want{false, false, "https only", "use https://console.tim.qq.com"}},
		{"https://im.example.org", api(60012), want{true, true, "im.example.org is none of the vendor's endpoints", "docs/check.md"}},
		{"https://console.tim.qq.com", api(60021), want{false, false, "takes no calls from this IP address", "allow list"}},
		{"https://console.tim.qq.com", api(60009), want{false, false, "code 60009", "check im-endpoint"}},
		{"https://console.tim.qq.com", api(60011), want{true, true, "code 60011", "SDKAppID"}},
		{"https://console.tim.qq.com", api(0), want{true, true, "accepts a request without a signature", "check"}},
		{"https://console.tim.qq.com", &imclient.Reached{HTTPStatus: 502}, want{false, false, "HTTP status 502", "check --im-endpoint"}},
		{"https://console.tim.qq.com", &imclient.Reached{HTTPStatus: 200}, want{false, false, "not the API's JSON", "check --im-endpoint"}},
	} {
		c.want.of(t, c.endpoint, check.EndpointRow(c.endpoint, c.found, nil))
	}
}

// TestCredentialCodes: each code about a signature is explained, and none of them is ok.
func TestCredentialCodes(t *testing.T) {
	t.Parallel()
	for _, code := range []int{70001, 70003, 70009, 70013, 70014, 70016, 70020, 70050, 70051, 70052, 60004, 60005, 60006, 60010, 60016, 60017, 60020, 60021, 50003} {
		meaning, advice := imclient.Explain(code)
		row := check.CredentialRow(check.CredentialEvidence{SDKAppID: 1, Identifier: "a", Expires: time.Now(), Probe: "b", ProbeErr: &imclient.APIError{Code: code, ClockSkew: time.Hour}})
		want{false, false, meaning, advice}.of(t, "code", row)
		if skewed := strings.Contains(row.Fix, "set this machine's clock (NTP)"); skewed != (code > 70000) {
			t.Errorf("code %d: %+v", code, row)
		}
	}
}

func TestQuota(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		in   check.QuotaEvidence
		want want
	}{
		{check.QuotaEvidence{CallsPerSecond: 200, How: "partitions", Partitions: 6, Members: 6}, want{true, false, "6 replicas can work", ""}},
		{check.QuotaEvidence{CallsPerSecond: 200, How: "partitions", Partitions: 1, Members: 1}, want{true, false, "1 partition: a replica can have up to 200, and 1 replica can work", ""}},
		{check.QuotaEvidence{CallsPerSecond: 200, How: "partitions", Partitions: 6, Members: 8}, want{true, true, "2 members have no partition and no share", "at most as many replicas"}},
		{check.QuotaEvidence{CallsPerSecond: 5, How: "partitions", Partitions: 6, Members: 1}, want{true, true, "6 partitions share 5 calls", "fewer partitions"}},
		{check.QuotaEvidence{CallsPerSecond: 200, How: "partitions", Members: -1}, want{false, false, "not known", "see topic"}},
		{check.QuotaEvidence{CallsPerSecond: 200, How: "partitions", Members: -1, Created: true}, want{true, false, "not there yet", ""}},
		{check.QuotaEvidence{CallsPerSecond: 200, How: "local", Partitions: 6}, want{true, false, "for one replica", ""}},
		{check.QuotaEvidence{CallsPerSecond: 200, How: "local", Partitions: 6, Members: 1}, want{true, true, "another replica", "--quota"}},
		{check.QuotaEvidence{CallsPerSecond: 200, How: "local", Partitions: 6, Members: 2}, want{false, false, "each makes 200", "--quota"}},
		{check.QuotaEvidence{CallsPerSecond: 200, How: "local", Members: -1}, want{true, true, "not known", "--quota"}},
	} {
		c.want.of(t, c.in.How, check.QuotaRow(c.in))
	}
}

func TestTopics(t *testing.T) {
	t.Parallel()
	good := map[string]string{"cleanup.policy": "delete", "retention.ms": "604800000", "min.insync.replicas": "2", "max.message.bytes": "1048588"}
	with := func(changes ...string) map[string]string {
		all := map[string]string{}
		maps.Copy(all, good)
		for i := 0; i < len(changes); i += 2 {
			all[changes[i]] = changes[i+1]
		}
		return all
	}
	topic := func(edit func(*inspect.Topic), settings map[string]string) check.TopicEvidence {
		found := &inspect.Topic{Name: "t", Partitions: 6, Replicas: 3, InSync: 3, Settings: settings}
		edit(found)
		return check.TopicEvidence{Name: "t", Found: found, User: check.User("u")}
	}
	same := func(*inspect.Topic) {}
	for what, c := range map[string]struct {
		row  check.Row
		want want
	}{
		"good":                 {check.EventTopicRow(topic(same, good)), want{true, false, "events are kept for 7d", ""}},
		"kept for 3 days":      {check.EventTopicRow(topic(same, with("retention.ms", "259200000"))), want{true, false, "kept for 3d", ""}},
		"kept for less":        {check.EventTopicRow(topic(same, with("retention.ms", "259199000"))), want{true, true, "a longer outage", "raise"}},
		"kept for ever":        {check.EventTopicRow(topic(same, with("retention.ms", "-1"))), want{true, false, "", ""}},
		"leaderless":           {check.EventTopicRow(topic(func(t *inspect.Topic) { t.Leaderless = []int{1, 4} }, good)), want{false, false, "without a leader: 1, 4", "bring back"}},
		"unclean":              {check.EventTopicRow(topic(same, with("unclean.leader.election.enable", "true"))), want{true, true, "loses records", "unclean"}},
		"settings not told":    {check.EventTopicRow(topic(func(t *inspect.Topic) { t.SettingsErr = errors.New("x") }, nil)), want{true, true, "not checked", "DescribeConfigs"}},
		"letters, good":        {check.LetterTopicRow(topic(same, with("cleanup.policy", "compact", "max.message.bytes", "1051660")), "1048588"), want{true, false, "enough", ""}},
		"letters, a byte less": {check.LetterTopicRow(topic(same, with("cleanup.policy", "compact", "max.message.bytes", "1051659")), "1048588"), want{true, true, "lack their values", "max.message.bytes=1051660"}},
		"letters, kept":        {check.LetterTopicRow(topic(same, with("retention.ms", "-1")), ""), want{true, true, "settled letters pile up", "compact"}},
		"letters, both":        {check.LetterTopicRow(topic(same, with("cleanup.policy", "compact,delete")), ""), want{true, true, "dead letters are lost after 7d", "compact"}},
		"letters, one in sync": {check.LetterTopicRow(topic(func(t *inspect.Topic) { t.InSync = 1 }, with("cleanup.policy", "compact")), ""), want{false, false, "1 of 3 replicas are in sync, and writes need 2", "bring back"}},
		"events, one in sync":  {check.EventTopicRow(topic(func(t *inspect.Topic) { t.InSync = 1 }, good)), want{true, true, "1 of 3 replicas are in sync", ""}},
	} {
		c.want.of(t, what, c.row)
	}
}

func TestGroup(t *testing.T) {
	t.Parallel()
	e := check.GroupEvidence{
		Name: "g", Topic: "t", Start: "recent", User: check.User(""), Found: &inspect.Group{State: "Stable", Protocol: "connect"},
		Beginning: &consumer.Beginning{HasOffsets: true, Partitions: []consumer.PartitionBeginning{
			{First: 0, End: 10, Committed: 4, Begin: -1}, {First: 0, End: 10, Committed: 9, Former: true, Begin: -1},
		}},
		Others: &inspect.Others{Groups: []inspect.Other{{Group: "h", ByService: true}}, Unseen: 3},
	}
	row := check.GroupRow(e)
	for _, detail := range []string{
		`another kind of program ("connect")`, "16 records are not committed", "a deleted topic of the same name: partitions 1",
		"group h consumes the topic too: another convdel", "3 other groups could not be looked at",
	} {
		want{false, false, detail, "use another --group"}.of(t, "group", row)
	}
	e.Found = &inspect.Group{State: "Stable", Protocol: "consumer"}
	e.Beginning.Err = &consumer.StartError{Group: "g", Topic: "t", What: "partition t/1 has lost its offset"}
	e.Advice = "say where"
	want{false, false, "run would not start: group g: partition t/1 has lost its offset", "say where"}.of(t, "lost offset", check.GroupRow(e))
}

func TestRedis(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct {
		in   redisbudget.Inspection
		want want
	}{
		"good":     {redisbudget.Inspection{LeastTook: time.Second, Eviction: "noeviction", Bounded: true}, want{true, false, "maxmemory-policy noeviction", ""}},
		"unbound":  {redisbudget.Inspection{LeastTook: time.Second, Eviction: "allkeys-lru"}, want{true, false, "allkeys-lru", ""}},
		"slow":     {redisbudget.Inspection{LeastTook: time.Second, Took: 600 * time.Millisecond}, want{true, true, "gives up after 1s", "nearer"}},
		"its time": {redisbudget.Inspection{LeastTook: time.Second, Ahead: -time.Hour}, want{true, true, "1h0m0s behind Redis's", "NTP"}},
	} {
		c.want.of(t, what, check.RedisRow(&c.in, nil))
	}
}

// TestGroupWithMembers: beside members, run joins only if they share partitions as it does, and decides where to begin only at the first records.
func TestGroupWithMembers(t *testing.T) {
	t.Parallel()
	members := []inspect.Member{{Client: "convdel", Host: "h"}}
	for what, c := range map[string]struct {
		found *inspect.Group
		begin int64
		want  want
	}{
		"at the first record":  {&inspect.Group{State: "Stable", Protocol: "consumer", Assignor: "convdel", Members: members}, 0, want{true, false, "1 member", ""}},
		"of a version before":  {&inspect.Group{State: "Stable", Protocol: "consumer", Assignor: "range", Members: members}, 0, want{true, false, "1 member", ""}},
		"another assignor":     {&inspect.Group{State: "Stable", Protocol: "consumer", Assignor: "sticky", Members: members}, 0, want{false, false, `share partitions by "sticky": run can't join`, "stop its members"}},
		"at a later record":    {&inspect.Group{State: "Stable", Protocol: "consumer", Assignor: "range", Members: members}, 4, want{false, false, "run would not start: group g has members", "stop them first"}},
		"without members":      {&inspect.Group{State: "Empty", Protocol: "consumer"}, 4, want{true, true, "leaves out 4 records", "--start earliest"}},
		"while they rebalance": {&inspect.Group{State: "PreparingRebalance", Protocol: "consumer", Members: members}, 0, want{true, false, "1 member", ""}},
	} {
		c.want.of(t, what, check.GroupRow(check.GroupEvidence{
			Name: "g", Topic: "t", Start: "latest", Found: c.found,
			Beginning: &consumer.Beginning{Partitions: []consumer.PartitionBeginning{{First: 0, End: 10, Committed: -1, Begin: c.begin}}},
		}))
	}
}

// TestKafkaSilent: a row says what has not answered, once, and what that can be.
func TestKafkaSilent(t *testing.T) {
	t.Parallel()
	row := check.KafkaRow(nil, fmt.Errorf("ask: %w", context.DeadlineExceeded), false, "")
	if row.OK || row.Detail != "none of --brokers can be used: ask: no answer in time" || !strings.Contains(row.Fix, "--kafka-tls") {
		t.Errorf("%+v", row)
	}
}
