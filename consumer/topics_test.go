package consumer_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"convdel/consumer"
	"convdel/internal/testkit"
)

// TestMissingTopicFailsTheStart, unless topics are to be created.
func TestMissingTopicFailsTheStart(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{}, func(w *world) {
		t := w.t
		r := w.start(func(c *consumer.Config) { c.DeadLetterTopic = "not.there" })
		<-r.done
		var topic *consumer.TopicError
		if !errors.As(r.err, &topic) || topic.Topic != "not.there" {
			t.Errorf("Run returned %v, want a TopicError of not.there", r.err)
		}
		r.err = nil
		w.start(func(c *consumer.Config) { c.DeadLetterTopic, c.CreateTopics = "not.there", true })
		w.publish(0, []byte("garbage"))
		w.awaitDrained(time.Minute)
		if info := w.kafka.TopicInfo("not.there"); info == nil {
			t.Error("the dead-letter topic was not created")
		}
		if n := len(w.readAll("not.there")); n != 1 {
			t.Errorf("%d dead letters", n)
		}
	})
}

// TestStopBeforeKafkaIsThere: a replica that waits for brokers stops at once.
func TestStopBeforeKafkaIsThere(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{}, func(w *world) {
		t := w.t
		away := testkit.NewDialer(w.network.DialContext)
		away.Sever()
		r := w.start(func(c *consumer.Config) { c.Cluster.Dial = away.DialContext })
		time.Sleep(time.Minute)
		if took := r.stop(); took > time.Second {
			t.Errorf("stop took %s", took)
		}
	})
}

// TestLetterTopicIsChecked: settings by which dead letters would be lost are warned of at the start.
func TestLetterTopicIsChecked(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{}, func(w *world) {
		t := w.t
		setTopicConfig(t, w, testDLT, "max.message.bytes", "1000")
		warnings := []string{"removes records by age", "would not fit as dead letters"}
		w.start()
		w.await(time.Minute, "a generation", func() bool { return strings.Contains(w.log.String(), "generation begins") })
		for _, text := range warnings {
			if !strings.Contains(w.log.String(), text) {
				t.Errorf("no warning that says %q", text)
			}
		}
		setTopicConfig(t, w, testDLT, "max.message.bytes", "2000000")
		setTopicConfig(t, w, testDLT, "cleanup.policy", "compact")
		before := len(w.log.String())
		w.start()
		time.Sleep(time.Minute)
		for _, text := range warnings {
			if strings.Contains(w.log.String()[before:], text) {
				t.Errorf("a warning that says %q, of a topic that is well", text)
			}
		}
	})
}
