package recordlog

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
)

// ID is a topic's identity: one that is deleted and made anew keeps its name, not its ID. The zero ID is unknown.
type ID struct {
	// Cluster is a hash of the cluster's ID, Topic the topic's own.
	Cluster uint32
	Topic   [16]byte
}

// Topic is what a broker says of a topic.
type Topic struct {
	ID         ID
	Partitions int
	// Epochs are the leaders' by partition, [NoEpoch] where not known; shorter than Partitions where brokers are old.
	Epochs []int32
}

// topicVersion is the version of Metadata that has topic IDs first. kafka-go knows none that has.
const topicVersion = 10

// maxMetadata bounds what a broker may answer to a question for one topic.
const maxMetadata = 16 << 20

var errMetadata = errors.New("metadata response does not parse")

// Describe asks a broker about the topic: the coordinator of l.Group, which has shared the partitions out by what it knew
// itself. kafka-go's transports answer such questions from memory, with what was true some seconds ago or, where brokers
// are away, longer; so does Describe where brokers are older than topics' IDs, and leaves the ID zero. The error is
// [kafka.UnknownTopicOrPartition] where there is no topic.
func (l *Log) Describe(ctx context.Context) (Topic, error) {
	ctx, cancel := context.WithTimeout(ctx, adminTimeout)
	defer cancel()
	client := &kafka.Client{Addr: l.Addr, Transport: l.Transport}
	versions, err := client.ApiVersions(ctx, &kafka.ApiVersionsRequest{})
	if err == nil {
		err = versions.Error
	}
	if err != nil {
		return Topic{}, err
	}
	for _, api := range versions.ApiKeys {
		if api.ApiKey == int(protocol.Metadata) && api.MaxVersion < topicVersion {
			n, err := l.Partitions(ctx)
			return Topic{Partitions: n}, err
		}
	}
	message, err := l.Transport.RoundTrip(ctx, l.Addr, &inquiry{name: l.Topic, group: l.Group})
	if err != nil {
		return Topic{}, err
	}
	answer, _ := message.(*inquiry)
	switch {
	case answer == nil || answer.name != l.Topic:
		return Topic{}, errors.New("metadata response without the topic")
	case answer.code != 0:
		return Topic{}, kafka.Error(answer.code)
	}
	return answer.Topic, nil
}

// inquiry is the question about a topic, and its answer. It writes and reads itself.
type inquiry struct {
	Topic

	name, group string
	code        int16
}

var (
	_ protocol.RawExchanger = (*inquiry)(nil)
	_ protocol.GroupMessage = (*inquiry)(nil)
)

// ApiKey says that it is a kind of Metadata.
func (*inquiry) ApiKey() protocol.ApiKey { return protocol.Metadata }

// Group says whose coordinator is to be asked.
func (i *inquiry) Group() string { return i.group }

// Required says that kafka-go is not to write it.
func (*inquiry) Required(map[protocol.ApiKey]int16) bool { return true }

// RawExchange asks on a connection on which nothing else is under way.
func (i *inquiry) RawExchange(rw io.ReadWriter) (protocol.Message, error) {
	if _, err := rw.Write(i.request()); err != nil {
		return nil, err
	}
	var head [4]byte
	if _, err := io.ReadFull(rw, head[:]); err != nil {
		return nil, err
	}
	size := binary.BigEndian.Uint32(head[:])
	if size > maxMetadata {
		return nil, fmt.Errorf("%w: %d bytes", errMetadata, size)
	}
	body := make([]byte, size)
	if _, err := io.ReadFull(rw, body); err != nil {
		return nil, err
	}
	return readInquiry(body)
}

// request is Metadata version 10 for one topic, by its name.
func (i *inquiry) request() []byte {
	b := make([]byte, 4, 64+len(i.name))
	b = binary.BigEndian.AppendUint16(b, uint16(protocol.Metadata))
	b = binary.BigEndian.AppendUint16(b, topicVersion)
	b = append(b, 0, 0, 0, 0)          // correlation: nothing else is under way
	b = append(b, 0xff, 0xff, 0)       // no client ID, no tags
	b = append(b, 2)                   // one topic, counted from one
	b = append(b, make([]byte, 16)...) // by its name, not by ID
	b = binary.AppendUvarint(b, uint64(len(i.name)+1))
	b = append(b, i.name...)
	b = append(b, 0)                                // no tags
	b = append(b, 0, 0, 0, 0)                       // not to be created, no authorized operations twice, no tags
	binary.BigEndian.PutUint32(b, uint32(len(b)-4)) //nolint:gosec // a topic's name has 249 characters at most
	return b
}

// readInquiry reads an answer as far as the number of the topic's partitions.
func readInquiry(body []byte) (*inquiry, error) {
	r := reader{bytes.NewReader(body), nil}
	r.skip(4) // correlation
	r.tags()
	r.skip(4) // throttled
	for brokers := r.uvarint(); brokers > 1 && r.err == nil; brokers-- {
		r.skip(4)
		r.text() // host
		r.skip(4)
		r.text() // rack
		r.tags()
	}
	cluster := fnv.New32a()
	_, _ = cluster.Write([]byte(r.text()))
	r.skip(4) // controller
	if r.uvarint() != 2 {
		return nil, fmt.Errorf("%w: not one topic", errMetadata)
	}
	answer := &inquiry{}
	code := r.take(2)
	answer.name = r.text()
	copy(answer.ID.Topic[:], r.take(16))
	answer.ID.Cluster = cluster.Sum32()
	r.skip(1) // internal
	partitions := r.uvarint()
	if r.err == nil && partitions > uint64(len(body)) {
		r.err = fmt.Errorf("%w: it can't have %d partitions", errMetadata, partitions)
	}
	if r.err != nil {
		return nil, r.err
	}
	answer.Partitions = max(0, int(partitions)-1)      //nolint:gosec // fewer than the answer's bytes
	answer.code = int16(binary.BigEndian.Uint16(code)) //nolint:gosec // errors are signed: -1 is one
	return answer, nil
}

// reader reads what flexible messages consist of, until the first error.
type reader struct {
	*bytes.Reader
	err error
}

func (r *reader) take(n uint64) []byte {
	if r.err == nil && n > uint64(r.Len()) { //nolint:gosec // a length
		r.err = fmt.Errorf("%w: it ends early", errMetadata)
	}
	if r.err != nil {
		return nil
	}
	b := make([]byte, n)
	_, r.err = io.ReadFull(r.Reader, b)
	return b
}

func (r *reader) skip(n uint64) { r.take(n) }

func (r *reader) uvarint() uint64 {
	if r.err != nil {
		return 0
	}
	var n uint64
	n, r.err = binary.ReadUvarint(r.Reader)
	return n
}

// text is a string, its length counted from one; 0 is null.
func (r *reader) text() string {
	n := r.uvarint()
	if n <= 1 {
		return ""
	}
	return string(r.take(n - 1))
}

func (r *reader) tags() {
	for n := r.uvarint(); n > 0 && r.err == nil; n-- {
		r.uvarint()
		r.skip(r.uvarint())
	}
}
