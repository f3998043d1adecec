package e2e

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func (s *stage) createTopics(partitions int32) {
	s.tb.Helper()
	ctx := s.tb.Context()
	compact := "compact"
	for topic, config := range map[string]map[string]*string{s.topic: nil, s.dlt: {"cleanup.policy": &compact}} {
		res, err := s.admin.CreateTopic(ctx, partitions, -1, config, topic)
		if err != nil || res.Err != nil {
			s.tb.Fatal(err, res.Err)
		}
	}
	made := []string{s.topic, s.dlt}
	s.tb.Cleanup(func() { _, _ = s.admin.DeleteTopics(context.Background(), made...) })
	s.await(30*time.Second, "leaders of the new topics", func() bool {
		return s.leads(s.topic, partitions) && s.leads(s.dlt, partitions)
	})
}

// leads returns true if each broker knows a topic with so many partitions, and each partition has a leader that answers. A broker learns of
// a new topic later than the one that has created it, and says until then that there is none.
func (s *stage) leads(topic string, partitions int32) bool {
	offsets, err := s.admin.ListEndOffsets(s.tb.Context(), topic)
	if err != nil || offsets.Error() != nil || len(offsets[topic]) != int(partitions) {
		return false
	}
	_, known := s.known(topic, partitions)
	return known
}

// known returns the ID of a topic with so many partitions, and true if each broker knows the same one.
func (s *stage) known(topic string, partitions int32) (id [16]byte, toAll bool) {
	ids := make(map[[16]byte]bool)
	for _, t := range s.views(topic) {
		if t.ErrorCode != 0 || len(t.Partitions) != int(partitions) {
			return id, false
		}
		id = t.TopicID
		ids[id] = true
	}
	return id, len(ids) == 1
}

// preferred returns true if each broker knows that each partition of a topic is led by its preferred replica, so that an election has nothing
// left to move.
func (s *stage) preferred(topic string) bool {
	views := s.views(topic)
	for _, t := range views {
		for _, p := range t.Partitions {
			if p.ErrorCode != 0 || p.Leader != p.Replicas[0] {
				return false
			}
		}
	}
	return len(views) > 0
}

// views returns what each broker knows of a topic; nil if one does not answer.
func (s *stage) views(topic string) (all []kmsg.MetadataResponseTopic) {
	cluster, err := s.admin.BrokerMetadata(s.tb.Context())
	if err != nil {
		return nil
	}
	req := kmsg.NewPtrMetadataRequest()
	asked := kmsg.NewMetadataRequestTopic()
	asked.Topic = &topic
	req.Topics = append(req.Topics, asked)
	for _, b := range cluster.Brokers {
		res, err := s.client.Broker(int(b.NodeID)).Request(s.tb.Context(), req)
		if err != nil {
			return nil
		}
		all = append(all, res.(*kmsg.MetadataResponse).Topics...)
	}
	return all
}
