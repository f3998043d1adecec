package main

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"

	"convdel/consumer"
	"convdel/consumer/inspect"
	"convdel/consumer/redisbudget"
	"convdel/imclient"
	"convdel/internal/check"
	"convdel/internal/service"
)

// inspection makes the checks. Each is made if the settings that it needs are right, whatever the others find.
type inspection struct {
	con      *console
	settings *serviceSettings
	c        checker
	cfg      serviceConfig
	probe    string
	limit    time.Duration

	mu   sync.Mutex
	rows map[check.Name]check.Row
}

func newInspection(con *console, s *serviceSettings, probe string, limit time.Duration) *inspection {
	i := &inspection{con: con, settings: s, probe: probe, limit: limit, rows: make(map[check.Name]check.Row)}
	i.cfg = s.read(&i.c, con.env)
	i.cfg.Consumer.App = strconv.Itoa(i.cfg.IM.SDKAppID)
	return i
}

// run makes all checks.
func (i *inspection) run(ctx context.Context) check.Report {
	i.checkSettings()
	var all sync.WaitGroup
	all.Go(func() { i.checkKafka(ctx) })
	all.Go(func() { i.checkRedis(ctx) })
	all.Go(func() { i.checkEndpoint(ctx) })
	all.Go(func() { i.checkCredential(ctx) })
	all.Wait()
	var rows []check.Row
	for _, name := range check.Names() {
		rows = append(rows, i.rows[name])
	}
	return check.ReportOf(rows)
}

// put notes the result of a check.
func (i *inspection) put(row check.Row) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.rows[row.Name] = row
}

// can returns true if settings are right that a check needs. Otherwise it notes the check as not made.
func (i *inspection) can(name check.Name, settings ...string) bool {
	var wrong []string
	for _, s := range settings {
		if slices.Contains(i.c.faulty, s) && !slices.Contains(wrong, s) {
			wrong = append(wrong, s)
		}
	}
	if wrong == nil {
		return true
	}
	for n, s := range wrong {
		if !strings.HasPrefix(s, envPrefix) {
			wrong[n] = "--" + s
		}
	}
	i.put(check.NotChecked(name, "wrong or missing: "+strings.Join(wrong, ", "), "see settings"))
	return false
}

// checkSettings rules on the settings themselves, and on variables that are none.
func (i *inspection) checkSettings() {
	problems := slices.Clone(i.c.problems)
	if i.con.unknown != nil {
		problems = append(problems, i.con.unknown.lines...)
	}
	var set []string
	for _, a := range i.cfg.Set {
		set = append(set, strings.ReplaceAll(a.Key, "_", "-"))
	}
	i.put(check.SettingsRow(problems, i.cfg.Warnings, set))
}

// lateError says that something has not answered in the time for a check.
type lateError struct{ limit time.Duration }

func (e *lateError) Error() string { return "no answer within " + short(e.limit) }

// Is makes it a [context.DeadlineExceeded].
func (*lateError) Is(target error) bool { return target == context.DeadlineExceeded }

// grace is how long what asks may take to notice that the time is over. Then it is left alone.
const grace = time.Second

// within asks for no longer than the limit, and the grace if what asks does not heed its context.
func within[T any](ctx context.Context, limit time.Duration, ask func(ctx context.Context) (T, error)) (T, error) {
	type answer struct {
		found T
		err   error
	}
	ctx, cancel := context.WithTimeoutCause(ctx, limit, &lateError{limit})
	defer cancel()
	answers := make(chan answer, 1)
	go func() {
		found, err := ask(ctx)
		answers <- answer{found, err}
	}()
	late := time.NewTimer(limit + grace)
	defer late.Stop()
	select {
	case a := <-answers:
		if a.err != nil && ctx.Err() != nil {
			a.err = context.Cause(ctx)
		}
		return a.found, a.err
	case <-late.C:
		var none T
		return none, &lateError{limit}
	}
}

// kafkaNeeds are the settings of all connections to Kafka.
func kafkaNeeds(more ...string) []string {
	return append([]string{
		"brokers", "kafka-tls", "kafka-ca-file", "kafka-cert-file", "kafka-key-file", "kafka-sasl", "kafka-username", "insecure", string(kafkaPassword),
	}, more...)
}

// checkKafka checks the brokers, and then all that needs them.
func (i *inspection) checkKafka(ctx context.Context) {
	if !i.can(check.Kafka, kafkaNeeds()...) {
		i.withoutKafka("see settings", nil)
		return
	}
	kafkas := inspect.New(i.cfg.Consumer.Cluster)
	defer kafkas.Close()
	found, err := within(ctx, i.limit, kafkas.Cluster)
	i.put(check.KafkaRow(found, err, i.cfg.Consumer.Cluster.TLS != nil, i.settings.Username))
	if err != nil {
		i.withoutKafka("see kafka", err)
		return
	}
	k := &kafkaInspection{inspection: i, kafkas: kafkas, user: check.User(i.settings.Username)}
	k.topics(ctx)
	k.group(ctx)
	i.checkQuota(k.quota())
}

// withoutKafka notes the checks that can't be made without brokers.
func (i *inspection) withoutKafka(fix string, err error) {
	why := "the brokers are not known"
	if err != nil {
		why = "Kafka can't be used"
	}
	for _, name := range []check.Name{check.Topic, check.DeadLetterTopic, check.Group} {
		i.put(check.NotChecked(name, why, fix))
	}
	if i.cfg.Consumer.OutcomeTopic == "" {
		i.put(check.Off(check.OutcomeTopic, outcomesOff))
	} else {
		i.put(check.NotChecked(check.OutcomeTopic, why, fix))
	}
	i.checkQuota(check.QuotaEvidence{Members: -1})
}

const outcomesOff = "not used: --outcome-topic is empty"

// kafkaInspection makes the checks that need brokers.
type kafkaInspection struct {
	*inspection

	kafkas *inspect.Inspector
	user   string
	events check.TopicEvidence
	found  *inspect.Group
}

// topic asks for a topic.
func (k *kafkaInspection) topic(ctx context.Context, name string) check.TopicEvidence {
	found, err := within(ctx, k.limit, func(ctx context.Context) (*inspect.Topic, error) { return k.kafkas.Topic(ctx, name) })
	return check.TopicEvidence{Name: name, Found: found, Err: err, Create: k.cfg.Consumer.CreateTopics, User: k.user}
}

// topics checks the topics.
func (k *kafkaInspection) topics(ctx context.Context) {
	var all sync.WaitGroup
	var letters, outcomes check.TopicEvidence
	cfg := &k.cfg.Consumer
	withEvents := k.can(check.Topic, "topic", "create-topics")
	withLetters := k.can(check.DeadLetterTopic, "dead-letter-topic", "topic", "create-topics")
	withOutcomes := cfg.OutcomeTopic != "" && k.can(check.OutcomeTopic, "outcome-topic", "create-topics")
	if withEvents {
		all.Go(func() { k.events = k.topic(ctx, cfg.Topic) })
	}
	if withLetters {
		all.Go(func() { letters = k.topic(ctx, cfg.DeadLetterTopic) })
	}
	if withOutcomes {
		all.Go(func() { outcomes = k.topic(ctx, cfg.OutcomeTopic) })
	}
	all.Wait()
	if withEvents {
		k.put(check.EventTopicRow(k.events))
	}
	if withLetters {
		largest := ""
		if k.events.Found != nil {
			largest = k.events.Found.Settings["max.message.bytes"]
		}
		k.put(check.LetterTopicRow(letters, largest))
	}
	switch {
	case withOutcomes:
		k.put(check.OutcomeTopicRow(outcomes))
	case cfg.OutcomeTopic == "" && !slices.Contains(k.c.faulty, "outcome-topic"):
		k.put(check.Off(check.OutcomeTopic, outcomesOff))
	}
}

// quota is what the topic and the group say about the quota.
func (k *kafkaInspection) quota() check.QuotaEvidence {
	e := check.QuotaEvidence{Members: -1, Created: k.cfg.Consumer.CreateTopics && errors.Is(k.events.Err, kafka.UnknownTopicOrPartition)}
	if k.events.Found != nil {
		e.Partitions = k.events.Found.Partitions
	}
	if k.found != nil {
		e.Members = len(k.found.Members)
	}
	return e
}

// group checks the group, and looks for others.
func (k *kafkaInspection) group(ctx context.Context) {
	cfg := k.cfg.Consumer
	if !k.can(check.Group, "group", "topic", "dead-letter-topic", "start", "adopt", "im-sdkappid") {
		return
	}
	e := check.GroupEvidence{Name: cfg.Group, Topic: cfg.Topic, Start: cfg.Start.String(), User: k.user}
	var all sync.WaitGroup
	all.Go(func() {
		e.Found, e.Err = within(ctx, k.limit, func(ctx context.Context) (*inspect.Group, error) { return k.kafkas.Group(ctx, cfg.Group) })
	})
	absent := errors.Is(k.events.Err, kafka.UnknownTopicOrPartition)
	all.Go(func() {
		if absent {
			return
		}
		e.Others, e.OthersErr = within(ctx, k.limit, func(ctx context.Context) (*inspect.Others, error) { return k.kafkas.Others(ctx, cfg.Topic, cfg.Group) })
	})
	all.Go(func() {
		e.Beginning, e.BeginningErr = within(ctx, k.limit, func(ctx context.Context) (*consumer.Beginning, error) { return consumer.Preview(ctx, cfg) })
	})
	all.Wait()
	if errors.Is(e.BeginningErr, kafka.UnknownTopicOrPartition) {
		e.BeginningErr = nil
		if e.Beginning = nil; cfg.CreateTopics {
			e.Beginning = new(consumer.Beginning)
		}
	}
	if e.Beginning != nil {
		e.Advice = service.Advice(e.Beginning.Err)
	}
	k.found = e.Found
	k.put(check.GroupRow(e))
}

// checkQuota checks how the quota is shared.
func (i *inspection) checkQuota(e check.QuotaEvidence) {
	if !i.can(check.Quota, "calls-per-second", "quota") {
		return
	}
	e.CallsPerSecond, e.How = i.cfg.Consumer.CallsPerSecond, i.settings.Quota
	i.put(check.QuotaRow(e))
}

// checkRedis checks the Redis that shares the quota.
func (i *inspection) checkRedis(ctx context.Context) {
	if !i.can(check.Redis, "quota", string(redisURL), "redis-key", "calls-per-second", "insecure") {
		return
	}
	if i.cfg.Redis == nil {
		i.put(check.Off(check.Redis, "not used: --quota is "+i.settings.Quota))
		return
	}
	i.put(check.RedisRow(within(ctx, i.limit, func(ctx context.Context) (*redisbudget.Inspection, error) {
		return redisbudget.Inspect(ctx, *i.cfg.Redis)
	})))
}

// checkEndpoint checks the endpoint, and the clock by its answer. Nothing that it sends bears a signature, so it needs no credential.
func (i *inspection) checkEndpoint(ctx context.Context) {
	if endpoint, clock := i.can(check.Endpoint, "im-endpoint"), i.can(check.Clock, "im-endpoint"); !endpoint || !clock {
		return
	}
	client, err := imclient.New(imclient.Config{
		Endpoint: i.cfg.IM.Endpoint, SDKAppID: 1, Identifier: "none", SecretKey: imclient.StaticKey("none"), Insecure: true, CallTimeout: i.cfg.IM.CallTimeout,
	})
	if err != nil {
		i.put(check.Failed(check.Endpoint, err.Error(), "correct the variable"))
		i.put(check.ClockRow(nil, err))
		return
	}
	defer client.CloseIdleConnections()
	found, err := within(ctx, i.limit, client.Reach)
	i.put(check.EndpointRow(i.cfg.IM.Endpoint, found, err))
	i.put(check.ClockRow(found, err))
}

// errProbed ends the probe before a second call.
var errProbed = errors.New("one call is enough")

// checkCredential makes a signature and, if there is an account to ask for, one call with it.
func (i *inspection) checkCredential(ctx context.Context) {
	if !i.can(check.Credential, "im-endpoint", "im-sdkappid", "im-identifier", string(imSecretKey), "call-timeout") {
		return
	}
	e := check.CredentialEvidence{SDKAppID: i.cfg.IM.SDKAppID, Identifier: i.cfg.IM.Identifier, Probe: i.probe}
	client, err := imclient.New(i.cfg.IM)
	if err != nil {
		i.put(check.Failed(check.Credential, err.Error(), "correct the setting"))
		return
	}
	defer client.CloseIdleConnections()
	e.Expires, e.Err = within(ctx, i.limit, client.Signature)
	if e.Err == nil && i.probe != "" {
		_, e.ProbeErr = within(ctx, i.limit, func(ctx context.Context) (struct{}, error) { return struct{}{}, probeOnce(ctx, client, i.probe) })
	}
	i.put(check.CredentialRow(e))
}

// probeOnce asks for an account's list, with one call, and returns how that failed.
func probeOnce(ctx context.Context, client *imclient.Client, account string) error {
	calls := 0
	list := client.Conversations(ctx, imclient.ListRequest{Account: account, Permit: func(context.Context) error {
		if calls++; calls > 1 {
			return errProbed
		}
		return nil
	}})
	for range list.All() { //nolint:contextcheck // the list has the context
		break
	}
	if err := list.Err(); !errors.Is(err, errProbed) {
		return err
	}
	return nil
}
