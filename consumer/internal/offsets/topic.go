package offsets

import (
	"encoding/base64"
	"encoding/binary"
)

// TopicID is a topic's identity: a topic that is deleted and made anew keeps its name, and gets another ID. The zero TopicID is
// unknown.
type TopicID struct {
	// Cluster is a hash of the cluster's ID, Topic the topic's own ID.
	Cluster uint32
	Topic   [16]byte
}

// Origin says of which log a committed offset is one.
type Origin int

const (
	// ThisTopic is the log that is read now, as far as known.
	ThisTopic Origin = iota
	// FormerTopic is the log of a deleted topic of the same name. Its offsets mean nothing in this one.
	FormerTopic
	// OtherCluster is the log of another cluster. A mirror has brought the offset along and has translated it, but nothing else
	// that the commit says about offsets.
	OtherCluster
)

// OriginOf says what an offset that was committed of one topic is to the topic that is read now. An unknown ID is taken for
// the same.
func OriginOf(committed, now TopicID) Origin {
	switch {
	case committed == (TopicID{}) || now == (TopicID{}) || committed == now:
		return ThisTopic
	case committed.Cluster == now.Cluster:
		return FormerTopic
	default:
		return OtherCluster
	}
}

// text is the ID as commits carry it: 20 bytes in unpadded base64; empty if it is unknown.
func (id TopicID) text() string {
	if id == (TopicID{}) {
		return ""
	}
	raw := binary.BigEndian.AppendUint32(nil, id.Cluster)
	return base64.RawStdEncoding.EncodeToString(append(raw, id.Topic[:]...))
}

func readTopicID(text string) (id TopicID) {
	raw, err := base64.RawStdEncoding.DecodeString(text)
	if err != nil || len(raw) != 4+len(id.Topic) {
		return TopicID{}
	}
	id.Cluster = binary.BigEndian.Uint32(raw)
	copy(id.Topic[:], raw[4:])
	return id
}
