package recordlog

import (
	"cmp"
	"errors"
	"io"
	"slices"

	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/fetch"
)

// abortMarker is the type of the control record that ends an aborted transaction.
const abortMarker int16 = 0

// abortedSet tells which batches of a fetch were rolled back by their producers. The broker lists
// the aborted transactions of a read_committed fetch by producer and first offset; each ends with
// the abort marker of its producer.
type abortedSet struct {
	// coming are the transactions that have not begun yet, ascending by first offset.
	coming []fetch.ResponseTransaction
	// open are the producers whose current transaction will be aborted.
	open map[int64]bool
}

func newAbortedSet(list []fetch.ResponseTransaction) *abortedSet {
	coming := slices.Clone(list)
	slices.SortFunc(coming, func(a, b fetch.ResponseTransaction) int { return cmp.Compare(a.FirstOffset, b.FirstOffset) })
	return &abortedSet{coming: coming, open: make(map[int64]bool)}
}

// use says whether a batch's records are events. Control batches, which only mark the ends of
// transactions, are consumed up to their last record's offset by whoever asked.
func (a *abortedSet) use(batch protocol.RecordReader) (bool, error) {
	switch b := batch.(type) {
	case *protocol.ControlBatch:
		a.begin(b.BaseOffset)
		return false, a.mark(b)
	case *protocol.RecordBatch:
		a.begin(b.BaseOffset)
		return !b.Attributes.Transactional() || !a.open[b.ProducerID], nil
	default:
		return true, nil // a message set from before transactions
	}
}

func (a *abortedSet) begin(offset int64) {
	for len(a.coming) > 0 && a.coming[0].FirstOffset <= offset {
		a.open[a.coming[0].ProducerID] = true
		a.coming = a.coming[1:]
	}
}

// mark closes the producer's aborted transaction if the control batch is an abort marker. It
// leaves the batch readable from its start.
func (a *abortedSet) mark(b *protocol.ControlBatch) error {
	var seen []protocol.Record
	for {
		r, err := b.Records.ReadRecord()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		offset, when := r.Offset, r.Time
		c, err := protocol.ReadControlRecord(r)
		if err != nil {
			return err
		}
		if c.Type == abortMarker {
			delete(a.open, b.ProducerID)
		}
		seen = append(seen, protocol.Record{Offset: offset, Time: when})
	}
	b.Records = protocol.NewRecordReader(seen...)
	return nil
}
