//go:build kafka

package e2e

import (
	"context"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kmsg"

	"convdel/imclient/imtest"
)

const (
	cutWhileStopped = "the log was cut below what has been read: going on where it was"
	cutWhileRunning = "the log was cut below what has been read: opening the partition anew"
)

// TestPromise1_KafkaUncleanElection: the only node with the newest records is lost, and a node without them takes over. New
// events get offsets that are finished already. They are executed, whether the service runs meanwhile or not.
//
//nolint:paralleltest // the others would lose the nodes as well
func TestPromise1_KafkaUncleanElection(t *testing.T) {
	t.Run("WhileStopped", func(t *testing.T) { electUncleanly(t, false) })
	t.Run("WhileRunning", func(t *testing.T) { electUncleanly(t, true) })
}

func electUncleanly(t *testing.T, running bool) {
	t.Helper()
	s := newClusterStage(t, 1, imtest.Config{})
	// One of three nodes coordinates the group, so that its offsets survive. The other two have the topic.
	coordinator := s.coordinator(s.group)
	ahead, behind := coordinator%3+1, (coordinator+1)%3+1
	s.topicOfTwo(ahead, behind)

	t.Cleanup(s.awaitInSync) // both nodes are back by then

	both := events("both", 0, 50)
	s.produce(values(t, both)...)
	s.awaitInSync()
	startBehind := s.endNode("stop", behind)
	s.await(time.Minute, "a leader that is alone", func() bool { return s.isLedBy(ahead, 1) })
	alone := events("alone", 0, 100)
	s.produce(values(t, alone)...)
	p := s.service()
	s.await(2*time.Minute, "every offset committed", func() bool { return s.drained() && s.committed()[0] == 150 })
	if !running {
		p.stop()
	}
	s.endNode("kill", ahead)
	startBehind()
	s.await(2*time.Minute, "a leader that lacks records", func() bool {
		_, _ = s.admin.ElectLeaders(t.Context(), kadm.ElectLiveReplica, kadm.TopicsSet{s.topic: {0: {}}})
		return s.isLedBy(behind, 1) && s.leads(s.topic, 1)
	})
	s.renewClient() // the old producer's sequence numbers are unknown to the new leader
	after := events("after", 0, 200)
	s.produce(values(t, after)...)
	if !running {
		p = s.service()
	}
	s.await(3*time.Minute, "all events of the new leader deleted", func() bool { return len(s.deleted("after")) == len(after) })
	s.await(2*time.Minute, "every offset committed", func() bool { return s.drained() && s.committed()[0] == 250 })
	p.stop()
	if again := s.wantDeleted(both, alone, after); again != 0 {
		t.Errorf("%d events done twice", again)
	}
	if n := len(s.deadLetters()); n != 0 {
		t.Errorf("%d dead letters", n)
	}
	s.wantCutSaid(p, running)
}

// wantCutSaid checks that the log reports, as an error, a log cut at 50 that had been read to 150.
func (s *stage) wantCutSaid(p *process, running bool) {
	s.tb.Helper()
	for message, want := range map[string]bool{cutWhileStopped: true, cutWhileRunning: running} {
		lines := p.lines(message)
		if want && len(lines) == 0 && message == cutWhileStopped {
			s.tb.Errorf("no line says %q", message)
		}
		for _, l := range lines {
			if !want || l.text("level") != "ERROR" || l.number("cut") != 50 || l.number("read") != 150 {
				s.tb.Errorf("not what has happened: %v", l)
			}
		}
	}
}

// topicOfTwo replaces the topic with one of a single partition on two nodes. The first node leads it, and either may lead
// it alone.
func (s *stage) topicOfTwo(leader, follower int32) {
	s.tb.Helper()
	s.topic += "-of-two"
	req := kmsg.NewPtrCreateTopicsRequest()
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor = s.topic, -1, -1
	assigned := kmsg.NewCreateTopicsRequestTopicReplicaAssignment()
	assigned.Replicas = []int32{leader, follower}
	topic.ReplicaAssignment = append(topic.ReplicaAssignment, assigned)
	for name, value := range map[string]string{"unclean.leader.election.enable": "true", "min.insync.replicas": "1"} {
		config := kmsg.NewCreateTopicsRequestTopicConfig()
		config.Name, config.Value = name, &value
		topic.Configs = append(topic.Configs, config)
	}
	req.Topics = append(req.Topics, topic)
	res, err := req.RequestWith(s.tb.Context(), s.client)
	if err != nil || res.Topics[0].ErrorCode != 0 {
		s.tb.Fatal(err, res)
	}
	made := s.topic
	s.tb.Cleanup(func() { _, _ = s.admin.DeleteTopics(context.Background(), made) })
	s.await(time.Minute, "a leader of the new topic", func() bool { return s.isLedBy(leader, 2) && s.leads(s.topic, 1) })
}

// isLedBy returns true if a node leads the topic's first partition with so many replicas in sync.
func (s *stage) isLedBy(node int32, inSync int) bool {
	topics, err := s.admin.ListTopics(s.tb.Context(), s.topic)
	if err != nil || topics.Error() != nil {
		return false
	}
	p := topics[s.topic].Partitions[0]
	return p.Leader == node && len(p.ISR) == inSync
}
