package main

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"convdel/consumer"
	"convdel/consumer/redisbudget"
	"convdel/imclient"
	"convdel/internal/service"
	"convdel/internal/tracing"
)

// These are the values of quota.
const (
	quotaPartitions = "partitions"
	quotaRedis      = "redis"
	quotaLocal      = "local"
)

// leastRecordBytes is the lowest allowed bound on batches and records.
const leastRecordBytes = 64 << 10

// deadLetterSuffix, added to a topic's name, makes the default name of the dead-letter topic.
const deadLetterSuffix = ".dead-letter"

// serviceSettings is every setting of the service, as text.
type serviceSettings struct {
	brokerSettings    `embed:"" group:"kafka"`
	groupSettings     `embed:"" group:"kafka"`
	securitySettings  `embed:"" group:"kafka"`
	apiSettings       `embed:"" group:"api"`
	paceSettings      `embed:"" group:"pace"`
	boundSettings     `embed:"" group:"bounds"`
	operationSettings `embed:"" group:"operations"`
}

// serviceConfig is the service's settings, read and checked.
type serviceConfig struct {
	service.Config

	logLevel  slog.Level
	logFormat string
	// logAccounts says that log lines may name accounts.
	logAccounts bool
	// traces say where spans go; nil: there are none.
	traces *tracing.Settings
}

// check reads all settings. It returns a *usageError with a line for each wrong one.
func (s *serviceSettings) check(env func(string) (string, bool)) (serviceConfig, error) {
	var c checker
	cfg := s.read(&c, env)
	return cfg, c.err()
}

// read reads all settings. Those that are wrong are noted in c.
func (s *serviceSettings) read(c *checker, env func(string) (string, bool)) serviceConfig {
	var cfg serviceConfig
	cfg.Consumer.Cluster = c.cluster(s.brokerSettings, s.securitySettings, env)
	c.checkTopics(s, &cfg.Consumer)
	c.checkAPI(s.apiSettings, cfg.Consumer.Cluster.Insecure, env, &cfg.IM)
	c.checkPace(s.paceSettings, &cfg.Consumer)
	cfg.Redis = c.checkQuota(s.paceSettings, env, &cfg)
	c.checkBounds(s.boundSettings, &cfg.Consumer)
	if s.AdminAddr != "" {
		cfg.AdminAddr = c.listenAddress("admin-addr", s.AdminAddr, ", or empty to turn it off")
	} else {
		c.note("admin-addr", "")
	}
	cfg.AdminHosts = c.hostNames("admin-hosts", s.AdminHosts)
	cfg.AdminAccounts = c.yesNo("admin-accounts", s.AdminAccounts)
	cfg.logLevel = c.logLevel(s.LogLevel)
	cfg.logAccounts = c.yesNo("log-accounts", s.LogAccounts)
	cfg.traces = c.traces(env, cfg.Consumer.Cluster.Insecure)
	cfg.logFormat = c.oneOf("log-format", s.LogFormat, formatAuto, formatText, formatJSON)
	if cfg.Consumer.MaxCalls == 0 {
		cfg.Consumer.MaxCalls = callsNeeded(cfg.Consumer)
		c.note("max-calls-needed", strconv.Itoa(cfg.Consumer.MaxCalls))
	}
	cfg.IM.CallTimeout = cfg.Consumer.CallTimeout
	cfg.IM.MaxConcurrent = cfg.Consumer.MaxCalls
	cfg.Set, cfg.Defaults = c.split(defaultTexts())
	cfg.SecretFiles = c.files
	cfg.Warnings = slices.Concat(c.warnings, warnings(s, env, cfg.Consumer.Cluster.TLS != nil))
	return cfg
}

func (c *checker) checkTopics(s *serviceSettings, cfg *consumer.Config) {
	cfg.Topic = c.eventTopic(s.Topic)
	cfg.Group = c.printable("group", s.Group, 255)
	cfg.InstanceID = c.instanceID("instance-id", s.InstanceID)
	cfg.SessionTimeout = c.duration("session-timeout", s.SessionTimeout, 6*time.Second, 45*time.Second)
	cfg.DeadLetterTopic = c.letterTopic(s.Topic, s.DeadLetterTopic)
	cfg.OutcomeTopic = c.outcomeTopic(s.OutcomeTopic, cfg.Topic, cfg.DeadLetterTopic)
	cfg.OutcomesHideAccounts = !c.yesNo("outcome-accounts", s.OutcomeAccounts)
	if cfg.OutcomesHideAccounts && s.OutcomeTopic == "" {
		c.warnings = append(c.warnings, "--outcome-accounts is false and has no effect: --outcome-topic is not set, so nothing is recorded")
	}
	cfg.CreateTopics = c.yesNo("create-topics", s.CreateTopics)
	cfg.Start = c.start("start", s.Start, time.Now())
	cfg.Adopt = c.adopt("adopt", s.Adopt)
}

// eventTopic reads the name of the topic of events. If the two topics are mixed up, dead letters would be executed that an operator has
// discarded, and events would be published where nobody executes them.
func (c *checker) eventTopic(text string) string {
	if strings.HasSuffix(text, deadLetterSuffix) {
		c.conflict("topic", text, "a topic with this ending holds dead letters, not events")
	}
	return c.topic("topic", text)
}

// letterTopic reads the name of the dead-letter topic. By default it follows from the topic's name.
func (c *checker) letterTopic(topic, letters string) string {
	if letters == "" && topic != "" {
		letters = topic + deadLetterSuffix
		c.derived = append(c.derived, "dead-letter-topic")
	}
	c.topic("dead-letter-topic", letters)
	if topic != "" && topic == letters {
		c.conflict("dead-letter-topic", letters, "must differ from --topic")
	}
	return letters
}

// outcomeTopic reads the name of the outcome topic. Without a name, nothing is recorded.
func (c *checker) outcomeTopic(outcomes, topic, letters string) string {
	switch outcomes {
	case "":
		c.note("outcome-topic", "")
		return ""
	case topic:
		c.conflict("outcome-topic", outcomes, "must differ from --topic")
	case letters:
		c.conflict("outcome-topic", outcomes, "must differ from --dead-letter-topic")
	}
	return c.topic("outcome-topic", outcomes)
}

// checkAPI reads the settings that identify the app to the API.
func (c *checker) checkAPI(s apiSettings, insecure bool, env func(string) (string, bool), cfg *imclient.Config) {
	endpoint := c.endpoint("im-endpoint", s.Endpoint)
	cfg.Endpoint = endpoint.String()
	cfg.SDKAppID = int(c.number("im-sdkappid", s.SDKAppID, 1, math.MaxUint32, ", the app's SDKAppID"))
	cfg.Identifier = c.printable("im-identifier", s.Identifier, 32)
	key := keySource(c.secret(imSecretKey, env, true))
	_, _ = key.Key() // from now on there is a last good key; what is wrong with it has been told
	cfg.SecretKey, cfg.Insecure = c.exposedSignature(endpoint, key, insecure)
}

// keySource makes the client's source of the secret key.
func keySource(from secretSource) imclient.KeySource {
	if from.file != nil {
		return imclient.KeyFile(from.file.Path())
	}
	return imclient.StaticKey(from.value)
}

func (c *checker) checkPace(s paceSettings, cfg *consumer.Config) {
	cfg.CallsPerSecond = int(c.number("calls-per-second", s.CallsPerSecond, 0, 100_000, ", 0 = no limit"))
	cfg.CallTimeout = c.duration("call-timeout", s.CallTimeout, 100*time.Millisecond, 5*time.Minute)
	cfg.MaxCalls = int(c.number("max-calls", s.MaxCalls, 0, 100_000, ", 0 = what the quota and the timeout need"))
	cfg.MaxAttempts = int(c.number("max-attempts", s.MaxAttempts, 1, 1000, ""))
	cfg.RetryInitial = c.duration("retry-initial", s.RetryInitial, time.Millisecond, time.Hour)
	cfg.RetryMax = c.duration("retry-max", s.RetryMax, time.Millisecond, 24*time.Hour)
	if cfg.RetryMax != 0 && cfg.RetryMax < cfg.RetryInitial {
		c.conflict("retry-max", s.RetryMax, fmt.Sprintf("must be at least --retry-initial, which is %q", s.RetryInitial))
	}
}

// checkQuota reads how replicas share the quota. It comes after the settings that it depends on.
func (c *checker) checkQuota(s paceSettings, env func(string) (string, bool), cfg *serviceConfig) *redisbudget.Config {
	how := c.oneOf("quota", s.Quota, quotaPartitions, quotaRedis, quotaLocal)
	cfg.Consumer.ShareByPartitions = how == quotaPartitions || how == quotaRedis
	key := s.RedisKey
	if key == "" {
		key = redisbudget.KeyOf(cfg.IM.SDKAppID)
		c.derived = append(c.derived, "redis-key")
	}
	c.printable("redis-key", key, 255)
	if how != quotaRedis {
		return nil
	}
	if s.CallsPerSecond == "0" {
		c.conflict("calls-per-second", s.CallsPerSecond, "must be at least 1 with --quota redis")
	}
	from := c.secret(redisURL, env, true)
	redis := &redisbudget.Config{URL: from.read, Key: key, CallsPerSecond: cfg.Consumer.CallsPerSecond, Insecure: cfg.Consumer.Cluster.Insecure}
	wrong, ok := errors.AsType[*redisbudget.ConfigError](redis.Validate())
	if _, err := from.read(); ok && wrong.Field == "URL" && from.given() && err == nil {
		c.problem(string(redisURL), "%s %s", redisURL.says(from), wrong.Reason)
	}
	return redis
}

func (c *checker) checkBounds(s boundSettings, cfg *consumer.Config) {
	cfg.MaxInFlight = int(c.number("max-in-flight", s.MaxInFlight, 1, 10_000_000, ""))
	cfg.MaxInFlightBytes = c.number("max-in-flight-bytes", s.MaxInFlightBytes, 1024, 1<<40, "")
	cfg.MaxBatchBytes = c.number("max-batch-bytes", s.MaxBatchBytes, leastRecordBytes, 1<<40, "")
	cfg.MaxRecordBytes = c.number("max-record-bytes", s.MaxRecordBytes, leastRecordBytes, 1<<40, "")
	if cfg.MaxBatchBytes != 0 && cfg.MaxRecordBytes > cfg.MaxBatchBytes {
		c.conflict("max-record-bytes", s.MaxRecordBytes, fmt.Sprintf("must be at most --max-batch-bytes, which is %q", s.MaxBatchBytes))
	}
	cfg.MaxEventAge = c.duration("max-event-age", s.MaxEventAge, 0, 10*365*24*time.Hour)
	cfg.RevivedCheck = c.duration("revived-check", s.RevivedCheck, 0, 10*365*24*time.Hour)
	cfg.DrainTimeout = c.duration("drain-timeout", s.DrainTimeout, 100*time.Millisecond, 10*time.Minute)
}

// callsNeeded is how many calls are under way at once if all calls of the quota time out. It is 64 without a quota, which
// is enough for a simulator that answers at once.
func callsNeeded(cfg consumer.Config) int {
	calls := 64
	if cfg.CallsPerSecond > 0 {
		calls = max(1, int(float64(cfg.CallsPerSecond)*cfg.CallTimeout.Seconds()))
	}
	return min(calls, cfg.MaxInFlight)
}

// warnings names settings that are allowed, for a simulator or a closed network, or have no effect, and are rarely intended. The
// client itself warns of an endpoint without TLS.
func warnings(s *serviceSettings, env func(string) (string, bool), tls bool) []string {
	var list []string
	if s.CallsPerSecond == "0" {
		list = append(list, "--calls-per-second is 0: nothing keeps the API's quota")
	}
	if s.SASL == saslPlain && !tls {
		list = append(list, "--kafka-sasl is plain without --kafka-tls: the password travels in the clear")
	}
	if s.Quota == quotaRedis {
		return list
	}
	const useless = " is set and has no effect: --quota is %s, not %s"
	for _, name := range []string{string(redisURL), redisURL.file()} {
		if value, _ := env(name); value != "" {
			list = append(list, fmt.Sprintf(name+useless, s.Quota, quotaRedis))
		}
	}
	if s.RedisKey != "" {
		list = append(list, fmt.Sprintf("--redis-key"+useless, s.Quota, quotaRedis))
	}
	return list
}
