package deadletter

import (
	"context"
	"slices"

	"convdel/consumer/internal/pass"
	"convdel/consumer/internal/recordlog"
	"convdel/schema"
)

// A settling may take hours at a low rate. Meanwhile other operators settle letters, and events that are delivered again
// become letters of the same ID once more. So the end of the topic is read right before each letter is settled.

// stillOpen returns true if the topic has no newer record of the letter. It takes letters that have changed off those that
// are settled along with it.
func (t *Table) stillOpen(ctx context.Context, ix *index, l *Letter) (bool, error) {
	var read []int32
	for _, p := range l.everywhere() {
		if slices.Contains(read, p.partition) {
			continue
		}
		read = append(read, p.partition)
		if err := t.catchUp(ctx, ix, int(p.partition)); err != nil {
			return false, err
		}
	}
	l.positions, l.supersedes = ix.positions(l.key), ix.chain(l.key)
	return len(l.positions) > 0, nil
}

// catchUp reads what was written to a partition since it was last read, and takes the letters with a newer record out of
// the index.
func (t *Table) catchUp(ctx context.Context, ix *index, partition int) error {
	end, err := t.in.Stable(ctx, partition)
	if err != nil {
		return err
	}
	read, err := t.in.Each(ctx, pass.Part{Partition: partition, From: ix.read[partition], To: end, MaxBytes: passBytes},
		func(rec *recordlog.Record) error {
			ix.forget(rec)
			return nil
		}, func(g Gap) { t.note(&ix.unread, g) })
	ix.read[partition] = max(ix.read[partition], read)
	return err
}

// forget takes the letter of a newer record out of the index: a tombstone, or another letter with its ID.
func (ix *index) forget(r *recordlog.Record) {
	if r.Omitted != nil || r.Value != nil && readLetter(r) == nil {
		return // the same records change no state in the pass over the topic
	}
	topic, partition, offset, err := schema.ParseID(string(r.Key))
	n, known := ix.topics[topic]
	if err != nil || !known {
		return
	}
	key := letterKey{topic: n, partition: int32(partition), offset: offset} //nolint:gosec // ParseID bounds it
	delete(ix.open, key)
	delete(ix.elsewhere, key)
}
