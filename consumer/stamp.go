package consumer

import (
	"encoding/base64"
	"encoding/binary"
	"strconv"
	"strings"

	"convdel/consumer/internal/recordlog"
)

// stamp is what a commit says beside its offset. It travels in the commit's metadata, a string that brokers keep with
// the offset and hand to the next owner:
//
//	convdel3 app=1400000001 letters=events.dead-letter log=… of=12 partition=3 at=150 epoch=3 read=162 done=r…
//
// Words that are not known are ignored, so that a later version may add some; those that are missing are unknown.
//
// Tools that move a group write back the metadata that they have read, beside an offset of their own or in all partitions
// alike. So what is about offsets counts only where at is the offset committed, and partition its partition.
type stamp struct {
	// app is the SDKAppID of the service, letters its dead-letter topic; empty if unknown.
	app, letters string
	// log is the topic that the offset is one of, of how many of its first partitions had an offset by then; 0 if unknown.
	log recordlog.ID
	of  int
	// partition is that of the offset, at the offset that it was committed with; -1 if unknown.
	partition int
	at        int64
	// epoch is that of the leader who has appended the last record read, and read the offset behind that record.
	epoch int32
	read  int64
	// done are the offsets above at that have ended, see encodeDone.
	done string
}

const (
	stampWord = "convdel3"
	// formerStamp is what versions before wrote before a list, an identity in the same form as here. Their lists are
	// relative to an offset that they do not name, and count for nothing.
	formerStamp = "convdel-topic1:"
	// maxStamp is how many bytes of metadata brokers take by default, offset.metadata.max.bytes.
	maxStamp = 4096
)

// blankStamp knows nothing.
func blankStamp() stamp { return stamp{partition: -1, at: -1, epoch: recordlog.NoEpoch, read: -1} }

// list returns the stamp with as much of the list of finished offsets as there is room for.
func (s stamp) list(done []offsetRange) stamp {
	s.done = ""
	s.done = encodeDone(s.at, done, maxStamp-len(s.text())-len(" done="))
	return s
}

// text writes a stamp.
func (s stamp) text() string {
	var b strings.Builder
	b.WriteString(stampWord)
	word := func(key, value string) {
		if value != "" {
			b.WriteString(" " + key + "=" + value)
		}
	}
	word("app", s.app)
	word("letters", s.letters)
	word("log", identityText(s.log))
	if s.of > 0 {
		word("of", strconv.Itoa(s.of))
	}
	if s.at >= 0 {
		word("partition", strconv.Itoa(s.partition))
		word("at", strconv.FormatInt(s.at, 10))
	}
	if s.epoch >= 0 {
		word("epoch", strconv.FormatInt(int64(s.epoch), 10))
		word("read", strconv.FormatInt(s.read, 10))
	}
	word("done", s.done)
	return b.String()
}

// readStamp reads the metadata of an offset that has been committed of a partition, whoever did it.
func readStamp(partition int, offset int64, metadata string) stamp {
	s := blankStamp()
	words := strings.Split(metadata, " ")
	if old, is := strings.CutPrefix(words[0], formerStamp); is {
		s.log = readIdentity(old)
		return s
	}
	if words[0] != stampWord {
		return s
	}
	for _, w := range words[1:] {
		key, value, _ := strings.Cut(w, "=")
		s.set(key, value)
	}
	if s.at != offset || s.partition != partition {
		s.partition, s.at, s.epoch, s.read, s.done = -1, -1, recordlog.NoEpoch, -1, ""
	}
	return s
}

func (s *stamp) set(key, value string) {
	number := func(bits int) int64 {
		n, err := strconv.ParseInt(value, 10, bits)
		if err != nil || n < 0 {
			return -1
		}
		return n
	}
	switch key {
	case "app":
		s.app = value
	case "letters":
		s.letters = value
	case "log":
		s.log = readIdentity(value)
	case "of":
		s.of = int(max(0, number(32)))
	case "partition":
		s.partition = int(number(32))
	case "at":
		s.at = number(64)
	case "epoch":
		s.epoch = int32(number(32)) //nolint:gosec // it fits 32 bits
	case "read":
		s.read = number(64)
	case "done":
		s.done = value
	}
}

// identityText is a topic's identity as commits carry it: 20 bytes in unpadded base64; empty if it is unknown.
func identityText(id recordlog.ID) string {
	if id == (recordlog.ID{}) {
		return ""
	}
	raw := binary.BigEndian.AppendUint32(nil, id.Cluster)
	return base64.RawStdEncoding.EncodeToString(append(raw, id.Topic[:]...))
}

func readIdentity(text string) (id recordlog.ID) {
	raw, err := base64.RawStdEncoding.DecodeString(text)
	if err != nil || len(raw) != 4+len(id.Topic) {
		return recordlog.ID{}
	}
	id.Cluster = binary.BigEndian.Uint32(raw)
	copy(id.Topic[:], raw[4:])
	return id
}
