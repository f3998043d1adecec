package consumer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
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

// prepareTopics makes sure that both topics exist. Brokers that can't be reached are asked again
// until they can or ctx ends, which returns its error; a topic that is missing is a [TopicError].
func (c *Consumer) prepareTopics(ctx context.Context, kafkas *connections) error {
	for {
		err := c.prepareTopicsOnce(ctx, kafkas)
		if _, unusable := errors.AsType[*TopicError](err); err == nil || unusable {
			return err
		}
		c.log.LogAttrs(ctx, slog.LevelWarn, "brokers not reached, will retry", slog.Any("brokers", c.cfg.Cluster.Brokers), slog.Any("error", err))
		if err := pause(ctx, time.Second); err != nil {
			return err
		}
	}
}

func (c *Consumer) prepareTopicsOnce(ctx context.Context, kafkas *connections) error {
	ctx, cancel := context.WithTimeout(ctx, adminTimeout)
	defer cancel()
	for _, topic := range []string{c.cfg.Topic, c.cfg.DeadLetterTopic} {
		_, err := kafkas.log(topic).Partitions(ctx)
		if errors.Is(err, kafka.UnknownTopicOrPartition) {
			if !c.cfg.CreateTopics {
				return &TopicError{Topic: topic, Err: err}
			}
			err = c.createTopic(ctx, kafkas.client, topic)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// createTopic makes a topic with the brokers' default replication. The dead-letter topic is a
// table: compacted, and never cut by age.
func (c *Consumer) createTopic(ctx context.Context, client *kafka.Client, topic string) error {
	config := kafka.TopicConfig{Topic: topic, NumPartitions: c.cfg.NewPartitions, ReplicationFactor: -1}
	if topic == c.cfg.DeadLetterTopic {
		config.ConfigEntries = []kafka.ConfigEntry{{ConfigName: "cleanup.policy", ConfigValue: "compact"}}
	}
	res, err := client.CreateTopics(ctx, &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{config}})
	if err != nil {
		return fmt.Errorf("create topic %s: %w", topic, err)
	}
	if err := res.Errors[topic]; err != nil && !errors.Is(err, kafka.TopicAlreadyExists) {
		return &TopicError{Topic: topic, Err: err}
	}
	c.log.LogAttrs(ctx, slog.LevelInfo, "topic created", slog.String("topic", topic), slog.Int("partitions", c.cfg.NewPartitions))
	return nil
}
