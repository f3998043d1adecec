//go:build kafka

package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kmsg"

	"convdel/imclient/imtest"
)

// The tests behind the build tag kafka need a cluster of three real nodes, described by the variables of `make test-kafka`.

// setting returns a variable that `make test-kafka` sets.
func setting(tb testing.TB, name string) string {
	tb.Helper()
	value := os.Getenv(name)
	if value == "" {
		tb.Fatalf("%s is not set: run `make test-kafka`", name)
	}
	return value
}

// node runs deploy/kafka/node.sh on a node: kill, stop, start.
func node(tb testing.TB, what string, id int32) {
	tb.Helper()
	out, err := exec.CommandContext(context.Background(), setting(tb, "TEST_KAFKA_NODE"), what, strconv.Itoa(int(id))).CombinedOutput()
	if err != nil {
		tb.Fatalf("node.sh %s %d: %v\n%s", what, id, err, out)
	}
}

// newClusterStage creates topics with three replicas. At the test's end it waits until all nodes are in sync again.
func newClusterStage(t *testing.T, partitions int32, sim imtest.Config) *stage {
	t.Helper()
	setting(t, "TEST_BROKERS")
	s := newStage(t, partitions, sim)
	s.awaitInSync()
	return s
}

// killNode kills a node like a lost machine. revive starts it again, which happens at the test's end in any case.
func (s *stage) killNode(id int32) (revive func()) {
	s.tb.Helper()
	start := s.endNode("kill", id)
	revive = func() {
		start()
		s.awaitInSync()
	}
	s.tb.Cleanup(revive)
	return revive
}

// endNode kills a node or stops it cleanly. start starts it again, which happens at the test's end in any case.
func (s *stage) endNode(how string, id int32) (start func()) {
	s.tb.Helper()
	node(s.tb, how, id)
	down := true
	start = func() {
		if down {
			down = false
			node(s.tb, "start", id)
		}
	}
	s.tb.Cleanup(start)
	return start
}

func (s *stage) awaitInSync() {
	s.tb.Helper()
	s.await(2*time.Minute, "all replicas in sync", s.inSync)
}

// inSync returns true if all partitions, those of the group coordinators included, have all of their replicas in sync.
func (s *stage) inSync() bool {
	topics, err := s.admin.ListTopicsWithInternal(context.Background(), s.topic, s.dlt, "__consumer_offsets")
	if err != nil || len(topics) != 3 || topics.Error() != nil {
		return false
	}
	all := true
	topics.EachPartition(func(p kadm.PartitionDetail) { all = all && len(p.ISR) == len(p.Replicas) })
	return all
}

// coordinator returns the node that coordinates a group.
func (s *stage) coordinator(group string) int32 {
	s.tb.Helper()
	found := s.admin.FindGroupCoordinators(s.tb.Context(), group)
	if err := found.Error(); err != nil {
		s.tb.Fatal(err)
	}
	return found[group].NodeID
}

// chooseGroup chooses a name for the group, which decides its coordinator: the node whose controller is the active one, or
// another node. It returns that node.
func (s *stage) chooseGroup(activeController bool) int32 {
	s.tb.Helper()
	// A node that was away leads nothing until an election is asked for.
	if _, err := s.admin.ElectLeaders(s.tb.Context(), kadm.ElectPreferredReplica, nil); err != nil {
		s.tb.Fatal(err)
	}
	s.await(30*time.Second, "coordinators that stay", func() bool {
		s.admin.FindGroupCoordinators(s.tb.Context(), s.topic) // makes the topic, if this is the first group
		return s.preferred("__consumer_offsets")
	})
	controller := s.controller()
	for n := range 200 {
		group := fmt.Sprintf("%s-%d", s.topic, n)
		if node := s.coordinator(group); (node == controller) == activeController {
			s.group = group
			return node
		}
	}
	s.tb.Fatalf("node %d is the active controller, and no group's coordinator is fit", controller)
	return 0
}

// controller returns the node whose controller is the active one.
func (s *stage) controller() int32 {
	s.tb.Helper()
	req := kmsg.NewPtrDescribeQuorumRequest()
	topic, partition := kmsg.NewDescribeQuorumRequestTopic(), kmsg.NewDescribeQuorumRequestTopicPartition()
	topic.Topic = "__cluster_metadata"
	topic.Partitions = append(topic.Partitions, partition)
	req.Topics = append(req.Topics, topic)
	res, err := req.RequestWith(s.tb.Context(), s.client)
	if err != nil || len(res.Topics) != 1 || len(res.Topics[0].Partitions) != 1 {
		s.tb.Fatalf("quorum not described: %v, %v", res, err)
	}
	return res.Topics[0].Partitions[0].LeaderID
}

// led returns how many partitions of a topic a node leads.
func (s *stage) led(topic string, id int32) (n int) {
	s.tb.Helper()
	topics, err := s.admin.ListTopics(s.tb.Context(), topic)
	if err != nil || topics.Error() != nil {
		s.tb.Fatal(err, topics.Error())
	}
	for _, p := range topics[topic].Partitions {
		if p.Leader == id {
			n++
		}
	}
	return n
}

// configure changes a topic's setting.
func (s *stage) configure(topic, name, value string) {
	s.tb.Helper()
	res, err := s.admin.AlterTopicConfigs(s.tb.Context(), []kadm.AlterConfig{{Name: name, Value: &value}}, topic)
	if err == nil {
		for _, r := range res {
			if r.Err != nil {
				err = fmt.Errorf("%s: %w", r.Name, r.Err)
			}
		}
	}
	if err != nil {
		s.tb.Fatal(err)
	}
}
