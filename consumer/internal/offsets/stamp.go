package offsets

import (
	"strconv"
	"strings"
)

// Stamp is what a commit says beside its offset. It is the commit's metadata, a string that brokers keep with the offset
// and hand to the next owner:
//
//	convdel3 app=1400000001 letters=events.dead-letter log=… of=12 partition=3 at=150 epoch=3 read=162 done=r…
//
// A reader ignores words that it does not know, so that a later version may add some. A word that is missing is unknown.
//
// Some tools that move a group write the metadata that they have read beside an offset of their own, or write one
// partition's metadata for all partitions. So the words about offsets count only beside the offset and the partition that
// they name.
type Stamp struct {
	// App is the SDKAppID of the service, DeadLetterTopic the topic of its dead letters; empty if unknown.
	App, DeadLetterTopic string
	// Topic is the topic of the offset.
	Topic TopicID
	// Partitions is how many of the topic's first partitions had an offset at the time of the commit; 0 if unknown. If a
	// partition among these has no offset later, it has lost it. A partition behind them was added later.
	Partitions int
	// Partition and Offset are those of the commit; -1 if unknown.
	Partition int
	Offset    int64
	// LastRead is how far the partition was read.
	LastRead LastRead
	// List is the finished offsets above Offset in the form of the metadata. [Stamp.Finished] reads it,
	// [Stamp.WithFinished] writes it.
	List string
}

const (
	stampWord = "convdel3"
	// formerWord begins the metadata of former versions that write the topic's ID and a list. Their list is relative to an
	// offset that it does not name, so the list is not read.
	formerWord = "convdel-topic1:"
	// maxMetadata is how many bytes of metadata brokers take by default, offset.metadata.max.bytes.
	maxMetadata = 4096
)

// Unstamped returns the stamp of an offset whose metadata says nothing.
func Unstamped() Stamp { return Stamp{Partition: -1, Offset: -1, LastRead: NothingRead()} }

// WithFinished returns the stamp with as much of the list of finished offsets as there is room for.
func (s Stamp) WithFinished(finished []Range) Stamp {
	s.List = ""
	s.List = encodeFinished(s.Offset, finished, maxMetadata-len(s.text())-len(" done="))
	return s
}

// Finished returns the finished offsets above Offset, ascending. The error is a [*ListError].
func (s Stamp) Finished() ([]Range, error) { return decodeFinished(s.Offset, s.List) }

// Detail is how much of a stamp is written. Some brokers take less metadata than a whole stamp needs.
type Detail int

// The details, from the most to the least.
const (
	// Everything is the whole stamp.
	Everything Detail = iota
	// NoList leaves the list of finished offsets out.
	NoList
	// TopicOnly leaves out all but the topic.
	TopicOnly
	// Nothing is no metadata at all.
	Nothing
)

// Metadata writes the stamp in so much detail.
func (s Stamp) Metadata(d Detail) string {
	switch d {
	case Everything:
	case NoList:
		s.List = ""
	case TopicOnly:
		topic := s.Topic
		s = Unstamped()
		s.Topic = topic
	case Nothing:
		return ""
	}
	return s.text()
}

func (s Stamp) text() string {
	var b strings.Builder
	b.WriteString(stampWord)
	word := func(key, value string) {
		if value != "" {
			b.WriteString(" " + key + "=" + value)
		}
	}
	word("app", s.App)
	word("letters", s.DeadLetterTopic)
	word("log", s.Topic.text())
	if s.Partitions > 0 {
		word("of", strconv.Itoa(s.Partitions))
	}
	if s.Offset >= 0 {
		word("partition", strconv.Itoa(s.Partition))
		word("at", strconv.FormatInt(s.Offset, 10))
	}
	if s.LastRead.Epoch >= 0 {
		word("epoch", strconv.FormatInt(int64(s.LastRead.Epoch), 10))
		word("read", strconv.FormatInt(s.LastRead.End, 10))
	}
	word("done", s.List)
	return b.String()
}

// ReadStamp reads the metadata of a committed offset of a partition, whichever program has written it.
func ReadStamp(partition int, offset int64, metadata string) Stamp {
	s := Unstamped()
	words := strings.Split(metadata, " ")
	if former, is := strings.CutPrefix(words[0], formerWord); is {
		s.Topic = readTopicID(former)
		return s
	}
	if words[0] != stampWord {
		return s
	}
	for _, w := range words[1:] {
		key, value, _ := strings.Cut(w, "=")
		s.set(key, value)
	}
	if s.Offset != offset || s.Partition != partition {
		s.Partition, s.Offset, s.LastRead, s.List = -1, -1, NothingRead(), ""
	}
	return s
}

func (s *Stamp) set(key, value string) {
	switch key {
	case "app":
		s.App = value
	case "letters":
		s.DeadLetterTopic = value
	case "log":
		s.Topic = readTopicID(value)
	case "of":
		s.Partitions = int(max(0, number(value, 32)))
	case "partition":
		s.Partition = int(number(value, 32))
	case "at":
		s.Offset = number(value, 64)
	case "epoch":
		s.LastRead.Epoch = int32(number(value, 32)) //nolint:gosec // it fits 32 bits
	case "read":
		s.LastRead.End = number(value, 64)
	case "done":
		s.List = value
	}
}

// number reads a number that is not negative; -1 for anything else.
func number(text string, bits int) int64 {
	n, err := strconv.ParseInt(text, 10, bits)
	if err != nil || n < 0 {
		return -1
	}
	return n
}
