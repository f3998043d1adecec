package recordlog

import (
	"context"
	"net"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// AskGroup makes a request of the coordinator of a group, in the newest version that kafka-go and the broker share, and returns the
// answer. kafka-go finds the coordinator anew for each request, and gives each a connection of its own while it is under way. It would send
// heartbeats to any broker, and writes the newest versions of some of these requests in a way that brokers can't read. When ctx ends, the
// request's connection is closed: the coordinator may hold a join for long.
func AskGroup(ctx context.Context, transport *kafka.Transport, addr net.Addr, group string, req kmsg.Request) (kmsg.Response, error) {
	var answer kmsg.Response
	talk := func(w *wire) (err error) {
		kept := w.cutBy(ctx)
		req.SetVersion(w.version)
		answer, err = w.call(req)
		if err == nil {
			err = kept()
		}
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

// cutBy has the connection fail when ctx ends. The returned function ends that, and returns an error if ctx has ended.
func (w *wire) cutBy(ctx context.Context) (kept func() error) {
	conn, ok := w.rw.(interface{ SetDeadline(t time.Time) error })
	if !ok {
		return ctx.Err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	return func() error {
		if !stop() {
			return context.Cause(ctx)
		}
		return nil
	}
}
