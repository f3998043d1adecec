package sim

import (
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// retention holds the records that were removed from the topic during the day.
type retention struct {
	turn    chan struct{} // one removal at a time
	removed []*kgo.Record
	cuts    []cut
}

// cut is a removal of a partition's records below an offset.
type cut struct {
	partition int32
	offset    int64
	at        time.Time
}

// cutLog removes a share of each partition's records, read or not, as retention does. It first reads them for the ledger.
// Events that are removed unread may be lost; all other events must end as if no record had been removed.
func (w *world) cutLog(share float64) {
	w.acting.Go(func() {
		w.retention.turn <- struct{}{}
		defer func() { <-w.retention.turn }()
		below := map[int32]int64{}
		for _, p := range w.kafka.PartitionInfos(topic) {
			below[p.Partition] = p.LogStartOffset + int64(share*float64(p.HighWatermark-p.LogStartOffset))
		}
		for _, r := range w.readTopic() {
			if r.Offset < below[r.Partition] {
				w.retention.removed = append(w.retention.removed, r)
			}
		}
		for partition, offset := range below {
			if err := w.kafka.DeleteRecords(topic, partition, offset); err != nil {
				w.t.Error(err)
			}
			w.retention.cuts = append(w.retention.cuts, cut{partition, offset, time.Now()})
		}
	})
}

// removedAt returns when a record was removed; zero if it was not.
func (r *retention) removedAt(partition int32, offset int64) (at time.Time) {
	for _, c := range r.cuts {
		if c.partition == partition && offset < c.offset && (at.IsZero() || c.at.Before(at)) {
			at = c.at
		}
	}
	return at
}
