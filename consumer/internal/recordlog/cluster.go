package recordlog

import (
	"context"
	"errors"
	"net"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	// rightsVersion is the first version of Metadata that tells the client's rights, since Kafka 2.3. newestMetadata is the newest one that
	// is used.
	rightsVersion  = 8
	newestMetadata = 12
	// groupRightsVersion is the first version of DescribeGroups that does so, and newestGroups the newest one that is used.
	groupRightsVersion = 3
	newestGroups       = 5
)

// ErrTooOld says that a broker is older than Kafka 2.3, the oldest version that the service works with.
var ErrTooOld = errors.New("broker is older than Kafka 2.3")

// Metadata asks any broker about its cluster and about some topics, with the rights of the client on each. It asks the broker itself:
// kafka-go's transports answer from a cache. No topic is created. A missing topic, or one that the client may not see, has an error code.
func Metadata(ctx context.Context, transport *kafka.Transport, addr net.Addr, topics ...string) (*kmsg.MetadataResponse, error) {
	req := kmsg.NewPtrMetadataRequest()
	req.IncludeTopicAuthorizedOperations = true
	req.Topics = []kmsg.MetadataRequestTopic{} // none; nil is all of them
	for _, name := range topics {
		topic := kmsg.NewMetadataRequestTopic()
		topic.Topic = &name
		req.Topics = append(req.Topics, topic)
	}
	var answer *kmsg.MetadataResponse
	talk := func(w *wire) (err error) {
		if req.Version, err = w.between(protocol.Metadata, rightsVersion, newestMetadata); err != nil {
			return err
		}
		got, err := w.call(req)
		answer, _ = got.(*kmsg.MetadataResponse)
		return err
	}
	// A topic without a name has no leader: any broker answers.
	_, err := transport.RoundTrip(ctx, addr, &toLeader{exchange: exchange{key: protocol.Metadata, client: transport.ClientID, talk: talk}})
	if err != nil {
		return nil, err
	}
	return answer, nil
}

// DescribeGroup asks a group's coordinator for its members, and for the rights of the client. A group that does not exist has the state
// Dead.
func DescribeGroup(ctx context.Context, transport *kafka.Transport, addr net.Addr, group string) (*kmsg.DescribeGroupsResponseGroup, error) {
	req := kmsg.NewPtrDescribeGroupsRequest()
	req.Groups, req.IncludeAuthorizedOperations = []string{group}, true
	var answer *kmsg.DescribeGroupsResponse
	talk := func(w *wire) (err error) {
		if req.Version, err = w.between(protocol.DescribeGroups, groupRightsVersion, newestGroups); err != nil {
			return err
		}
		got, err := w.call(req)
		answer, _ = got.(*kmsg.DescribeGroupsResponse)
		return err
	}
	_, err := transport.RoundTrip(ctx, addr, &toCoordinator{exchange: exchange{key: protocol.DescribeGroups, client: transport.ClientID, talk: talk}, group: group})
	if err != nil {
		return nil, err
	}
	if len(answer.Groups) != 1 || answer.Groups[0].Group != group {
		return nil, errors.New("answer without the group")
	}
	if code := answer.Groups[0].ErrorCode; code != 0 {
		return nil, kafka.Error(code)
	}
	return &answer.Groups[0], nil
}

// between returns the newest version of a kind of request that the broker knows, at most newest. It is [ErrTooOld] if that is below oldest.
func (w *wire) between(key protocol.ApiKey, oldest, newest int16) (int16, error) {
	known, err := w.newest(key)
	if err == nil && known < oldest {
		err = ErrTooOld
	}
	return min(known, newest), err
}
