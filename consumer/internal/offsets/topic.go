package offsets

import (
	"encoding/base64"
	"encoding/binary"
)

// TopicID is a topic's identity: a topic that is deleted and created again keeps its name, and gets another ID. The zero
// TopicID means unknown.
type TopicID struct {
	// Cluster is a hash of the cluster's ID, Topic the topic's own ID.
	Cluster uint32
	Topic   [16]byte
}

// Origin says which log a committed offset belongs to.
type Origin int

const (
	// ThisTopic is the log that is read now. An unknown log is taken for it.
	ThisTopic Origin = iota
	// FormerTopic is the log of a deleted topic of the same name. Its offsets mean nothing in this one.
	FormerTopic
	// OtherCluster is the log of another cluster. A mirror has copied and translated the offset, but not what else the
	// commit says about offsets.
	OtherCluster
)

// OriginOf compares the topic of a committed offset with the topic that is read now. An unknown ID is taken for the same
// one.
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

// text returns the ID as commits carry it: 20 bytes in unpadded base64, or nothing for an unknown ID.
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
