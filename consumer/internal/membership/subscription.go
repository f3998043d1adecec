package membership

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// The protocols. A version of convdel that knows only Range lets go of everything before it joins.
const (
	// Cooperative is the protocol in which members keep what they hold while they join.
	Cooperative = "convdel"
	// Range is the protocol of earlier versions, with the assignment of kafka-go's RangeGroupBalancer.
	Range = "range"
)

const (
	// mostBytes is the size from which metadata and assignments are not read. Brokers keep a group's in one record, which is smaller.
	mostBytes = 1 << 20
	// mostPartition is the highest partition that a claim or an assignment may name.
	mostPartition = 1 << 20
	// withClaims is the version of the subscription that has claims and their generation.
	withClaims = 2
)

var errTooLarge = errors.New("larger than any that a broker keeps")

// claims are the partitions that a member holds, ascending, by an assignment of a generation.
type claims struct {
	generation int32
	partitions []int
}

// protocols returns what a member offers. Earlier versions read no claims, and refuse bytes that they do not know.
func protocols(topic string, c claims, both bool) []Protocol {
	offered := []Protocol{{Cooperative, subscriptionBytes(topic, withClaims, c)}}
	if both {
		offered = append(offered, Protocol{Range, subscriptionBytes(topic, 0, claims{})})
	}
	return offered
}

func subscriptionBytes(topic string, version int16, c claims) []byte {
	m := kmsg.NewConsumerMemberMetadata()
	m.Version, m.Topics, m.Generation = version, []string{topic}, c.generation
	if len(c.partitions) > 0 {
		m.OwnedPartitions = []kmsg.ConsumerMemberMetadataOwnedPartition{{Topic: topic, Partitions: numbers32(c.partitions)}}
	}
	return m.AppendTo(nil)
}

// readSubscription returns what a member claims of a topic. ok is false if it does not subscribe to it, or in bytes that nobody
// can read.
func readSubscription(topic string, bytes []byte) (c claims, ok bool) {
	m, err := readMetadata(bytes)
	if err != nil || !slices.Contains(m.Topics, topic) {
		return claims{}, false
	}
	c.generation = m.Generation
	for _, owned := range m.OwnedPartitions {
		if owned.Topic == topic {
			c.partitions = append(c.partitions, numbers(owned.Partitions)...)
		}
	}
	c.partitions = ascending(c.partitions)
	return c, true
}

// readMetadata reads what a member says about itself. kafka-go's ConsumerGroup says that it is version 1, and leaves out what came
// with that: then the fields of version 0 count.
func readMetadata(bytes []byte) (kmsg.ConsumerMemberMetadata, error) {
	m := kmsg.NewConsumerMemberMetadata()
	if len(bytes) > mostBytes {
		return m, errTooLarge
	}
	err := m.ReadFrom(bytes)
	if err != nil && len(bytes) > 2 {
		m = kmsg.NewConsumerMemberMetadata()
		err = m.ReadFrom(append([]byte{0, 0}, bytes[2:]...))
	}
	return m, err
}

// share is what a member gets in a generation.
type share struct {
	partitions []int
	// basis tells all members by what the leader has assigned.
	basis basis
}

// basis is by what a leader has assigned. Leaders of earlier versions do not tell.
type basis struct {
	known bool
	// number is how many partitions the topic had; 0 if the leader did not know.
	number int
	// withheld says that partitions were given to nobody, since somebody else than the member that is to get them claims them.
	withheld bool
}

// The basis is in the assignment's user data: a version, a number of four bytes, and whether something was withheld.
const (
	basisVersion = 1
	basisSize    = 6
)

func (b basis) bytes() []byte {
	if !b.known {
		return nil
	}
	data := binary.BigEndian.AppendUint32([]byte{basisVersion}, uint32(b.number)) //nolint:gosec // a number of partitions
	if b.withheld {
		return append(data, 1)
	}
	return append(data, 0)
}

func readBasis(data []byte) basis {
	if len(data) != basisSize || data[0] != basisVersion {
		return basis{}
	}
	number := binary.BigEndian.Uint32(data[1:])
	if number > mostPartition {
		return basis{}
	}
	return basis{known: true, number: int(number), withheld: data[basisSize-1] != 0}
}

func assignmentBytes(topic string, s share) []byte {
	m := kmsg.NewConsumerMemberAssignment()
	m.UserData = s.basis.bytes()
	if len(s.partitions) > 0 {
		m.Topics = []kmsg.ConsumerMemberAssignmentTopic{{Topic: topic, Partitions: numbers32(s.partitions)}}
	}
	return m.AppendTo(nil)
}

// readAssignment returns what a leader gives of a topic. No bytes mean nothing.
func readAssignment(topic string, bytes []byte) (share, error) {
	if len(bytes) == 0 {
		return share{}, nil
	}
	if len(bytes) > mostBytes {
		return share{}, fmt.Errorf("assignment: %w", errTooLarge)
	}
	m := kmsg.NewConsumerMemberAssignment()
	if err := m.ReadFrom(bytes); err != nil {
		return share{}, fmt.Errorf("assignment: %w", err)
	}
	s := share{basis: readBasis(m.UserData)}
	for _, t := range m.Topics {
		if t.Topic == topic {
			s.partitions = append(s.partitions, numbers(t.Partitions)...)
		}
	}
	s.partitions = ascending(s.partitions)
	return s, nil
}

// numbers returns those numbers that a partition can have.
func numbers(partitions []int32) []int {
	var ps []int
	for _, p := range partitions {
		if p >= 0 && p < mostPartition {
			ps = append(ps, int(p))
		}
	}
	return ps
}

func numbers32(partitions []int) []int32 {
	ps := make([]int32, len(partitions))
	for i, p := range partitions {
		ps[i] = int32(p) //nolint:gosec // below mostPartition
	}
	return ps
}

// ascending sorts partitions, each once.
func ascending(partitions []int) []int {
	slices.Sort(partitions)
	return slices.Compact(partitions)
}
