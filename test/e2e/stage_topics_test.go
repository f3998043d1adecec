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
	cluster, err := s.admin.BrokerMetadata(s.tb.Context())
	if err != nil {
		return id, false
	}
	req := kmsg.NewPtrMetadataRequest()
	asked := kmsg.NewMetadataRequestTopic()
	asked.Topic = &topic
	req.Topics = append(req.Topics, asked)
	ids := make(map[[16]byte]bool)
	for _, b := range cluster.Brokers {
		res, err := s.client.Broker(int(b.NodeID)).Request(s.tb.Context(), req)
		if err != nil {
			return id, false
		}
		for _, t := range res.(*kmsg.MetadataResponse).Topics {
			if t.ErrorCode != 0 || len(t.Partitions) != int(partitions) {
				return id, false
			}
			id = t.TopicID
			ids[id] = true
		}
	}
	return id, len(ids) == 1
}
