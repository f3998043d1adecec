package recordlog

import (
	"context"
	"net"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// AskGroup makes a request of the coordinator of a group, in the newest version that kafka-go and the broker share, and returns the
// answer. kafka-go finds the coordinator anew for each request, and gives each a connection of its own while it is under way. It would send
// heartbeats to any broker, and writes the newest versions of some of these requests in a way that brokers can't read.
func AskGroup(ctx context.Context, transport *kafka.Transport, addr net.Addr, group string, req kmsg.Request) (kmsg.Response, error) {
	var answer kmsg.Response
	talk := func(w *wire) (err error) {
		req.SetVersion(w.version)
		answer, err = w.call(req)
		return err
	}
	_, err := transport.RoundTrip(ctx, addr, &toCoordinator{
		exchange: exchange{key: protocol.ApiKey(req.Key()), client: transport.ClientID, talk: talk}, group: group,
	})
	if err != nil {
		return nil, err
	}
	return answer, nil
}
