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

// maxAnswer bounds, in bytes, what a broker may answer to a question that is not for records.
const maxAnswer = 16 << 20

var errAnswer = errors.New("broker's answer does not parse")

// exchange is a message that writes and reads itself on a connection of kafka-go's transport, on which nothing else is
// under way. talk runs on the connection's goroutine, which may outlive the round trip where that is given up: its results
// may be read only where the round trip has succeeded.
type exchange struct {
	key      protocol.ApiKey
	client   string
	talk     func(w *wire) error
	versions map[protocol.ApiKey]int16
}

// ApiKey says what kind of message it is.
func (e *exchange) ApiKey() protocol.ApiKey { return e.key }

// Required says that kafka-go is not to write it. The versions are those that kafka-go and the broker both have.
func (e *exchange) Required(versions map[protocol.ApiKey]int16) bool {
	e.versions = versions
	return true
}

// RawExchange asks and hears. After an error the transport closes the connection.
func (e *exchange) RawExchange(rw io.ReadWriter) (protocol.Message, error) {
	return e, e.talk(&wire{rw: rw, client: e.client, version: e.versions[e.key]})
}

// toLeader goes to a partition's leader. Where the transport knows none, any broker says what is the matter.
type toLeader struct {
	exchange

	topic     string
	partition int32
}

// Broker is the leader.
func (m *toLeader) Broker(cluster protocol.Cluster) (protocol.Broker, error) {
	if p, ok := cluster.Topics[m.topic].Partitions[m.partition]; ok {
		if b, ok := cluster.Brokers[p.Leader]; ok {
			return b, nil
		}
	}
	return protocol.Broker{ID: -1}, nil
}

// toCoordinator goes to the coordinator of a group.
type toCoordinator struct {
	exchange

	group string
}

// Group says whose coordinator.
func (m *toCoordinator) Group() string { return m.group }

var (
	_ protocol.RawExchanger  = (*toLeader)(nil)
	_ protocol.BrokerMessage = (*toLeader)(nil)
	_ protocol.RawExchanger  = (*toCoordinator)(nil)
	_ protocol.GroupMessage  = (*toCoordinator)(nil)
)

// askLeader has talk run on a connection to the partition's leader.
func (l *Log) askLeader(ctx context.Context, key protocol.ApiKey, partition int, talk func(w *wire) error) error {
	_, err := l.Transport.RoundTrip(ctx, l.Addr, &toLeader{
		exchange: exchange{key: key, client: l.Transport.ClientID, talk: talk},
		topic:    l.Topic, partition: int32(partition), //nolint:gosec // Kafka's partition numbers are 32 bits wide
	})
	return err
}

// askCoordinator has talk run on a connection to the coordinator of the log's group.
func (l *Log) askCoordinator(ctx context.Context, key protocol.ApiKey, talk func(w *wire) error) error {
	_, err := l.Transport.RoundTrip(ctx, l.Addr, &toCoordinator{
		exchange: exchange{key: key, client: l.Transport.ClientID, talk: talk}, group: l.Group,
	})
	return err
}

// wire is a connection while an exchange has it.
type wire struct {
	rw     io.ReadWriter
	client string
	// version is that of the exchange's own kind of message, as far as kafka-go knows it.
	version int16
	asked   int32
}

// send writes a request.
func (w *wire) send(req kmsg.Request) error {
	w.asked++
	_, err := w.rw.Write(kmsg.NewRequestFormatter(kmsg.FormatterClientID(w.client)).AppendRequest(nil, req, w.asked))
	return err
}

// size reads how many bytes the answer has, behind this number.
func (w *wire) size() (int64, error) {
	var head [4]byte
	if _, err := io.ReadFull(w.rw, head[:]); err != nil {
		return 0, err
	}
	return int64(binary.BigEndian.Uint32(head[:])), nil
}

// call asks and reads the answer into what the request's kind has for it.
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
	const head = 4                                                           // the request's number
	if len(body) < head || int32(binary.BigEndian.Uint32(body)) != w.asked { //nolint:gosec // the number that was sent
		return nil, fmt.Errorf("%w: it is not to what was asked", errAnswer)
	}
	body = body[head:]
	answer := req.ResponseKind()
	if answer.IsFlexible() && answer.Key() != int16(protocol.ApiVersions) {
		var ok bool
		if body, ok = skipTags(body); !ok {
			return nil, fmt.Errorf("%w: its head ends early", errAnswer)
		}
	}
	if err := answer.ReadFrom(body); err != nil {
		return nil, fmt.Errorf("%w: %w", errAnswer, err)
	}
	return answer, nil
}

// skipTags returns what is behind the tagged fields of a message's head.
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
		b = b[tag+n+int(size):] //nolint:gosec // no more than there is
	}
	return b, true
}

// newest is the newest version of a kind of message that the broker has, -1 if it does not know the kind. kafka-go tells
// that only of versions and kinds that it has itself.
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
