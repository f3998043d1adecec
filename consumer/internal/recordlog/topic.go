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

// identityVersion is the version of Metadata that has topic IDs first. kafka-go knows none that has.
const identityVersion = 10

// maxMetadata bounds what a broker may answer to a question for one topic.
const maxMetadata = 16 << 20

var errMetadata = errors.New("metadata response does not parse")

// ID asks for the topic's ID. It is the zero ID where brokers are older than topics' IDs, and the error is
// [kafka.UnknownTopicOrPartition] where there is no topic.
func (l *Log) ID(ctx context.Context) (ID, error) {
	ctx, cancel := context.WithTimeout(ctx, adminTimeout)
	defer cancel()
	client := &kafka.Client{Addr: l.Addr, Transport: l.Transport}
	versions, err := client.ApiVersions(ctx, &kafka.ApiVersionsRequest{})
	if err == nil {
		err = versions.Error
	}
	if err != nil {
		return ID{}, err
	}
	for _, api := range versions.ApiKeys {
		if api.ApiKey == int(protocol.Metadata) && api.MaxVersion < identityVersion {
			return ID{}, nil
		}
	}
	message, err := l.Transport.RoundTrip(ctx, l.Addr, &identity{Topic: l.Topic})
	if err != nil {
		return ID{}, err
	}
	answer, _ := message.(*identity)
	switch {
	case answer == nil || answer.Topic != l.Topic:
		return ID{}, errors.New("metadata response without the topic")
	case answer.code != 0:
		return ID{}, kafka.Error(answer.code)
	}
	return answer.id, nil
}

// identity is the question for a topic's ID, and its answer. It writes and reads itself.
type identity struct {
	Topic string
	id    ID
	code  int16
}

var _ protocol.RawExchanger = (*identity)(nil)

// ApiKey says that it is a kind of Metadata.
func (*identity) ApiKey() protocol.ApiKey { return protocol.Metadata }

// Required says that kafka-go is not to write it.
func (*identity) Required(map[protocol.ApiKey]int16) bool { return true }

// RawExchange asks on a connection on which nothing else is under way.
func (i *identity) RawExchange(rw io.ReadWriter) (protocol.Message, error) {
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
	return readIdentity(body)
}

// request is Metadata version 10 for one topic, by its name.
func (i *identity) request() []byte {
	b := make([]byte, 4, 64+len(i.Topic))
	b = binary.BigEndian.AppendUint16(b, uint16(protocol.Metadata))
	b = binary.BigEndian.AppendUint16(b, identityVersion)
	b = append(b, 0, 0, 0, 0)          // correlation: nothing else is under way
	b = append(b, 0xff, 0xff, 0)       // no client ID, no tags
	b = append(b, 2)                   // one topic, counted from one
	b = append(b, make([]byte, 16)...) // by its name, not by ID
	b = binary.AppendUvarint(b, uint64(len(i.Topic)+1))
	b = append(b, i.Topic...)
	b = append(b, 0)                                // no tags
	b = append(b, 0, 0, 0, 0)                       // not to be created, no authorized operations twice, no tags
	binary.BigEndian.PutUint32(b, uint32(len(b)-4)) //nolint:gosec // a topic's name has 249 characters at most
	return b
}

// readIdentity reads an answer as far as the topic's ID.
func readIdentity(body []byte) (*identity, error) {
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
	answer := &identity{}
	code := r.take(2)
	answer.Topic = r.text()
	copy(answer.id.Topic[:], r.take(16))
	answer.id.Cluster = cluster.Sum32()
	if r.err != nil {
		return nil, r.err
	}
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
