// Package consumer empties a Kafka topic of delete events: each event ends either deleted at the API
// or as an acknowledged dead letter, and only then may its offset be committed.
//
// A [Consumer] is one member of a consumer group. As long as it is one, it fetches the
// partitions that it owns, decodes each record into an event, joins events of one conversation into
// one call, calls an [API] under one limiter, retries what may be retried, writes dead letters, and
// commits per partition the watermark, the lowest offset that has not ended. record.go follows a
// record along that way.
//
// It keeps no order between deletes, since they commute, and pays for none: an event that is slow
// or waits for a retry holds up no other. It never makes two calls for one conversation at once.
//
// What it does not do: it knows no HTTP and no error codes; an [API] tells it by a [Verdict] what an
// answer means. It publishes nothing but dead letters.
//
//	c, err := consumer.New(consumer.Config{
//		Cluster: cluster.Config{Brokers: []string{"127.0.0.1:9092"}},
//		Topic:   schema.Topic, Group: "convdel", DeadLetterTopic: schema.DeadLetterTopic,
//		API: api, CallsPerSecond: 200,
//		Logger: logger, Metrics: consumer.NewMetrics(prometheus.DefaultRegisterer),
//	})
//	if err != nil {
//		return err
//	}
//	return c.Run(ctx) // until ctx ends; then it drains, commits and leaves the group
package consumer
