package recordlog

import (
	"cmp"
	"encoding/binary"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// abortMarker is the type of the control record that ends an aborted transaction.
const abortMarker uint16 = 0

// abortedSet tells which batches of a fetch are part of an aborted transaction. The broker lists the aborted transactions
// of a read_committed fetch by producer and first offset. Each ends with the abort marker of its producer. Reading a batch
// twice changes nothing.
type abortedSet struct {
	// coming are the transactions that have not begun yet, ascending by first offset.
	coming []kmsg.FetchResponseTopicPartitionAbortedTransaction
	// open are the producers whose current transaction will be aborted.
	open map[int64]bool
}

func newAbortedSet(list []kmsg.FetchResponseTopicPartitionAbortedTransaction) *abortedSet {
	coming := slices.Clone(list)
	slices.SortFunc(coming, func(a, b kmsg.FetchResponseTopicPartitionAbortedTransaction) int {
		return cmp.Compare(a.FirstOffset, b.FirstOffset)
	})
	return &abortedSet{coming: coming, open: make(map[int64]bool)}
}

// use returns true if a batch's records are events. Control batches hold only the ends of transactions; the position moves
// behind them.
func (a *abortedSet) use(b *batch) bool {
	for len(a.coming) > 0 && a.coming[0].FirstOffset <= b.base {
		a.open[a.coming[0].ProducerID] = true
		a.coming = a.coming[1:]
	}
	return !b.control() && (!b.transactional() || !a.open[b.ProducerID])
}

// mark ends the producer's aborted transaction if the key is that of an abort marker.
func (a *abortedSet) mark(producer int64, key []byte) {
	const version, kind = 2, 2 // bytes
	if len(key) >= version+kind && binary.BigEndian.Uint16(key[version:]) == abortMarker {
		delete(a.open, producer)
	}
}
