package consumer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/segmentio/kafka-go"
)

// TopicError says that a topic is missing, or can't be made.
type TopicError struct {
	Topic string
	Err   error
}

func (e *TopicError) Error() string { return fmt.Sprintf("topic %s: %v", e.Topic, e.Err) }

// Unwrap returns the broker's verdict, a [kafka.Error].
func (e *TopicError) Unwrap() error { return e.Err }

// prepareTopics makes sure that all topics exist. Brokers that can't be reached are asked again
// until they can or ctx ends, which returns its error; a topic that is missing is a [TopicError], and brokers that refuse this
// replica are a [*refusedError].
func (c *Consumer) prepareTopics(ctx context.Context, kafkas *connections) error {
	for {
		err := c.atStart(c.prepareTopicsOnce(ctx, kafkas))
		if _, unusable := errors.AsType[*TopicError](err); err == nil || unusable || isFinal(err) {
			return err
		}
		c.log.LogAttrs(ctx, slog.LevelWarn, "brokers not reached, will retry", slog.Any("brokers", c.cfg.Cluster.Brokers), slog.Any("error", err))
		c.troubled("brokers not reached", err)
		if err := pause(ctx, time.Second); err != nil {
			return err
		}
	}
}

func (c *Consumer) prepareTopicsOnce(ctx context.Context, kafkas *connections) error {
	ctx, cancel := context.WithTimeout(ctx, adminTimeout)
	defer cancel()
	for _, topic := range c.cfg.topics() {
		_, err := kafkas.log(topic).Partitions(ctx)
		if errors.Is(err, kafka.UnknownTopicOrPartition) {
			if !c.cfg.CreateTopics {
				return &TopicError{Topic: topic, Err: err}
			}
			err = c.createTopic(ctx, kafkas.client, topic)
		}
		if _, unusable := errors.AsType[*TopicError](err); unusable {
			return err
		}
		if err != nil {
			return fmt.Errorf("topic %s: %w", topic, err)
		}
	}
	c.checkDeadLetterTopic(ctx, kafkas.client)
	if c.cfg.OutcomeTopic != "" {
		c.checkOutcomeTopic(ctx, kafkas.client)
	}
	return nil
}

// LetterHeaderBytes is what a dead letter's headers take at most, about: its record is that much larger
// than the source record.
const LetterHeaderBytes = 3 << 10

// deadLetterBytes is the size of records that a new dead-letter topic takes: that of Kafka's default, which
// is 1 MiB and 12 bytes, with room for the headers.
const deadLetterBytes = 1<<20 + 64<<10

// checkDeadLetterTopic warns of settings by which dead letters would be lost or not fit. It can't tell
// where the brokers don't let it look.
func (c *Consumer) checkDeadLetterTopic(ctx context.Context, client *kafka.Client) {
	events, err := topicConfig(ctx, client, c.cfg.Topic)
	letters, err2 := topicConfig(ctx, client, c.cfg.DeadLetterTopic)
	if err := errors.Join(err, err2); err != nil {
		c.log.LogAttrs(ctx, slog.LevelInfo, "settings of the dead-letter topic not checked", slog.Any("error", err))
		return
	}
	log := c.log.With(slog.String("topic", c.cfg.DeadLetterTopic))
	if policy := letters["cleanup.policy"]; policy != "compact" && letters["retention.ms"] != "-1" {
		log.LogAttrs(ctx, slog.LevelWarn, "dead letters will be lost: the topic removes records by age; set cleanup.policy=compact",
			slog.String("cleanup_policy", policy), slog.String("retention_ms", letters["retention.ms"]))
	}
	largest, err := strconv.Atoi(events["max.message.bytes"])
	room, err2 := strconv.Atoi(letters["max.message.bytes"])
	if err == nil && err2 == nil && room < largest+LetterHeaderBytes {
		level := slog.LevelInfo // Kafka's defaults: only records within LetterHeaderBytes of the limit are concerned
		if room < largest {
			level = slog.LevelWarn
		}
		log.LogAttrs(ctx, level, "the largest records would not fit as dead letters, which will lack their values; raise max.message.bytes",
			slog.Int("max_message_bytes", room), slog.Int("needed", largest+LetterHeaderBytes))
	}
}

const (
	// OutcomeBytes is the size of the largest outcome, about.
	OutcomeBytes = 32 << 10
	// outcomeRetention is how long a new outcome topic keeps records: a request for erasure may be answered within three months.
	outcomeRetention = 90 * 24 * time.Hour
	// LeastOutcomeRetention is how long an outcome topic has to keep records so that no warning is given.
	LeastOutcomeRetention = 7 * 24 * time.Hour
)

// checkOutcomeTopic warns of settings by which outcomes would be lost or not fit. It can't tell where the brokers don't let it
// look.
func (c *Consumer) checkOutcomeTopic(ctx context.Context, client *kafka.Client) {
	config, err := topicConfig(ctx, client, c.cfg.OutcomeTopic)
	if err != nil {
		c.log.LogAttrs(ctx, slog.LevelInfo, "settings of the outcome topic not checked", slog.Any("error", err))
		return
	}
	log := c.log.With(slog.String("topic", c.cfg.OutcomeTopic))
	if policy := config["cleanup.policy"]; strings.Contains(policy, "compact") {
		log.LogAttrs(ctx, slog.LevelWarn, "outcomes will be lost: the topic keeps only the last one of each event; set cleanup.policy=delete",
			slog.String("cleanup_policy", policy))
	}
	if ms, err := strconv.ParseInt(config["retention.ms"], 10, 64); err == nil && ms >= 0 && ms < LeastOutcomeRetention.Milliseconds() {
		log.LogAttrs(ctx, slog.LevelWarn, "outcomes will be gone soon; raise retention.ms, to 90 days for instance",
			slog.Int64("retention_ms", ms), slog.Int64("least", LeastOutcomeRetention.Milliseconds()))
	}
	if room, err := strconv.Atoi(config["max.message.bytes"]); err == nil && room < OutcomeBytes {
		log.LogAttrs(ctx, slog.LevelWarn, "an outcome may not fit, and its event would never end; raise max.message.bytes",
			slog.Int("max_message_bytes", room), slog.Int("needed", OutcomeBytes))
	}
}

func topicConfig(ctx context.Context, client *kafka.Client, topic string) (map[string]string, error) {
	res, err := client.DescribeConfigs(ctx, &kafka.DescribeConfigsRequest{Resources: []kafka.DescribeConfigRequestResource{{
		ResourceType: kafka.ResourceTypeTopic, ResourceName: topic,
		ConfigNames: []string{"cleanup.policy", "retention.ms", "max.message.bytes"},
	}}})
	if err != nil {
		return nil, err
	}
	config := make(map[string]string)
	for _, r := range res.Resources {
		if r.Error != nil {
			return nil, r.Error
		}
		for _, e := range r.ConfigEntries {
			config[e.ConfigName] = e.ConfigValue
		}
	}
	return config, nil
}

// createTopic makes a topic with the brokers' default replication. The dead-letter topic is a
// table: compacted, never cut by age, and with room for the largest of records. The outcome topic is a log, which is cut by age.
func (c *Consumer) createTopic(ctx context.Context, client *kafka.Client, topic string) error {
	config := kafka.TopicConfig{Topic: topic, NumPartitions: c.cfg.NewPartitions, ReplicationFactor: -1}
	switch topic {
	case c.cfg.DeadLetterTopic:
		config.ConfigEntries = []kafka.ConfigEntry{
			{ConfigName: "cleanup.policy", ConfigValue: "compact"},
			{ConfigName: "max.message.bytes", ConfigValue: strconv.Itoa(deadLetterBytes)},
		}
	case c.cfg.OutcomeTopic:
		config.ConfigEntries = []kafka.ConfigEntry{
			{ConfigName: "cleanup.policy", ConfigValue: "delete"},
			{ConfigName: "retention.ms", ConfigValue: strconv.FormatInt(outcomeRetention.Milliseconds(), 10)},
		}
	}
	res, err := client.CreateTopics(ctx, &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{config}})
	if err != nil {
		return fmt.Errorf("create: %w", err)
	}
	if err := res.Errors[topic]; err != nil && !errors.Is(err, kafka.TopicAlreadyExists) {
		return &TopicError{Topic: topic, Err: err}
	}
	c.log.LogAttrs(ctx, slog.LevelInfo, "topic created", slog.String("topic", topic), slog.Int("partitions", c.cfg.NewPartitions))
	return nil
}
