package recordlog

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// maxAnswer bounds a broker's answer to anything but a fetch, in bytes.
const maxAnswer = 16 << 20

var errAnswer = errors.New("broker's answer does not parse")

// exchange is a request that writes itself, and reads its answer, on a connection of kafka-go's transport that nothing else
// uses meanwhile. talk runs on the connection's goroutine, which may outlive a round trip that is given up. So talk's
// results may be read only after a successful round trip.
type exchange struct {
	key      protocol.ApiKey
	client   string
	talk     func(w *wire) error
	versions map[protocol.ApiKey]int16
}

// ApiKey returns the kind of the request.
func (e *exchange) ApiKey() protocol.ApiKey { return e.key }

// Required returns true, so that kafka-go leaves the writing to RawExchange. versions are those that kafka-go and the
// broker share.
func (e *exchange) Required(versions map[protocol.ApiKey]int16) bool {
	e.versions = versions
	return true
}

// RawExchange runs talk. After an error the transport closes the connection.
func (e *exchange) RawExchange(rw io.ReadWriter) (protocol.Message, error) {
	return e, e.talk(&wire{rw: rw, client: e.client, version: e.versions[e.key]})
}

// toLeader is an exchange with a partition's leader. If the transport knows no leader, any broker answers with the reason.
type toLeader struct {
	exchange

	topic     string
	partition int32
}

// Broker returns the leader.
func (m *toLeader) Broker(cluster protocol.Cluster) (protocol.Broker, error) {
	if p, ok := cluster.Topics[m.topic].Partitions[m.partition]; ok {
		if b, ok := cluster.Brokers[p.Leader]; ok {
			return b, nil
		}
	}
	return protocol.Broker{ID: -1}, nil
}

// toCoordinator is an exchange with the coordinator of a group.
type toCoordinator struct {
	exchange

	group string
}

// Group returns the group's name.
func (m *toCoordinator) Group() string { return m.group }

var (
	_ protocol.RawExchanger  = (*toLeader)(nil)
	_ protocol.BrokerMessage = (*toLeader)(nil)
	_ protocol.RawExchanger  = (*toCoordinator)(nil)
	_ protocol.GroupMessage  = (*toCoordinator)(nil)
)

// askLeader runs talk on a connection to the partition's leader.
func (l *Log) askLeader(ctx context.Context, key protocol.ApiKey, partition int, talk func(w *wire) error) error {
	_, err := l.Transport.RoundTrip(ctx, l.Addr, &toLeader{
		exchange: exchange{key: key, client: l.Transport.ClientID, talk: talk},
		topic:    l.Topic, partition: int32(partition), //nolint:gosec // Kafka's partition numbers are 32 bits wide
	})
	return err
}

// askCoordinator runs talk on a connection to the coordinator of the log's group.
func (l *Log) askCoordinator(ctx context.Context, key protocol.ApiKey, talk func(w *wire) error) error {
	_, err := l.Transport.RoundTrip(ctx, l.Addr, &toCoordinator{
		exchange: exchange{key: key, client: l.Transport.ClientID, talk: talk}, group: l.Group,
	})
	return err
}

// wire is a connection during an exchange.
type wire struct {
	rw     io.ReadWriter
	client string
	// version is the newest version of the exchange's request that both kafka-go and the broker know.
	version int16
	asked   int32
}

// send writes a request.
func (w *wire) send(req kmsg.Request) error {
	w.asked++
	_, err := w.rw.Write(kmsg.NewRequestFormatter(kmsg.FormatterClientID(w.client)).AppendRequest(nil, req, w.asked))
	return err
}

// size reads the answer's size in bytes, which precedes the answer.
func (w *wire) size() (int64, error) {
	var head [4]byte
	if _, err := io.ReadFull(w.rw, head[:]); err != nil {
		return 0, err
	}
	return int64(binary.BigEndian.Uint32(head[:])), nil
}

// call sends a request and reads the answer.
func (w *wire) call(req kmsg.Request) (kmsg.Response, error) {
	if err := w.send(req); err != nil {
		return nil, err
	}
	size, err := w.size()
	if err != nil {
		return nil, err
	}
	if size > maxAnswer {
		return nil, fmt.Errorf("%w: it has %d bytes", errAnswer, size)
	}
	body := make([]byte, size)
	if _, err := io.ReadFull(w.rw, body); err != nil {
		return nil, err
	}
	return w.parse(req, body)
}

// parse reads an answer's body.
func (w *wire) parse(req kmsg.Request, body []byte) (kmsg.Response, error) {
	const head = 4                                                           // request number
	if len(body) < head || int32(binary.BigEndian.Uint32(body)) != w.asked { //nolint:gosec // the number that was sent
		return nil, fmt.Errorf("%w: it answers another request", errAnswer)
	}
	body = body[head:]
	answer := req.ResponseKind()
	if answer.IsFlexible() && answer.Key() != int16(protocol.ApiVersions) {
		var ok bool
		if body, ok = skipTags(body); !ok {
			return nil, fmt.Errorf("%w: its head is cut short", errAnswer)
		}
	}
	if err := answer.ReadFrom(body); err != nil {
		return nil, fmt.Errorf("%w: %w", errAnswer, err)
	}
	return answer, nil
}

// skipTags returns the bytes behind the tagged fields of a message's head.
func skipTags(b []byte) ([]byte, bool) {
	count, n := binary.Uvarint(b)
	if n <= 0 {
		return nil, false
	}
	for b = b[n:]; count > 0; count-- {
		_, tag := binary.Uvarint(b)
		if tag <= 0 {
			return nil, false
		}
		size, n := binary.Uvarint(b[tag:])
		if n <= 0 || size > uint64(len(b)-tag-n) { //nolint:gosec // not negative
			return nil, false
		}
		b = b[tag+n+int(size):] //nolint:gosec // at most len(b)
	}
	return b, true
}

// newest asks for the newest version of a kind of request that the broker knows, -1 if it does not know the kind. kafka-go
// knows this only for kinds and versions that it has itself.
func (w *wire) newest(key protocol.ApiKey) (int16, error) {
	answer, err := w.call(kmsg.NewPtrApiVersionsRequest())
	if err != nil {
		return 0, err
	}
	versions, _ := answer.(*kmsg.ApiVersionsResponse)
	if versions.ErrorCode != 0 {
		return 0, kafka.Error(versions.ErrorCode)
	}
	for _, k := range versions.ApiKeys {
		if k.ApiKey == int16(key) {
			return k.MaxVersion, nil
		}
	}
	return -1, nil
}
