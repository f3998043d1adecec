package consumer_test

import (
	"bytes"
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// guardCommits checks at the broker, at the moment of each commit request, that no committed offset
// passes a record that has not ended, neither by a finished delete nor as a written dead letter.
func (w *world) guardCommits() {
	letters := make(map[string]bool) // written only on the broker's goroutine
	dlt := w.kafka.TopicInfo(testDLT)
	w.kafka.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
		w.kafka.KeepControl()
		p, _ := req.(*kmsg.ProduceRequest)
		for _, t := range p.Topics {
			if t.Topic != testDLT && (dlt == nil || t.TopicID != dlt.TopicID) {
				continue
			}
			for _, part := range t.Partitions {
				for _, id := range letterIDs(part.Records) {
					letters[id] = true
				}
			}
		}
		return nil, nil, false
	})
	w.kafka.ControlKey(int16(kmsg.OffsetCommit), func(req kmsg.Request) (kmsg.Response, error, bool) {
		w.kafka.KeepControl()
		c, _ := req.(*kmsg.OffsetCommitRequest)
		deletes := w.api.deletes()
		for _, t := range c.Topics {
			for _, p := range t.Partitions {
				for o := range p.Offset {
					if deletes[conversation(numberAt(p.Partition, o))] == 0 && !letters[fmt.Sprintf("%s/%d/%d", testTopic, p.Partition, o)] {
						w.t.Errorf("commit of %d/%d although offset %d has not ended", p.Partition, p.Offset, o)
					}
				}
			}
		}
		return nil, nil, false
	})
}

// letterIDs finds dead letters' keys in a produced batch, uncompressed as the service writes them.
func letterIDs(batch []byte) []string {
	var ids []string
	for {
		i := bytes.Index(batch, []byte(testTopic+"/"))
		if i < 0 {
			return ids
		}
		end := i + len(testTopic) + 1
		for end < len(batch) && (batch[end] >= '0' && batch[end] <= '9' || batch[end] == '/') {
			end++
		}
		ids = append(ids, string(batch[i:end]))
		batch = batch[end:]
	}
}

// numberAt is the number of the event at an offset in the tests that use publishNumbered.
func numberAt(partition int32, offset int64) int { return int(partition)*10_000 + int(offset) }

func (w *world) publishNumbered(partitions int32, each int) {
	w.t.Helper()
	for p := range partitions {
		w.publish(p, eventValues(numberAt(p, 0), numberAt(p, int64(each)))...)
	}
}
