package consumer

import (
	"context"
	"errors"
	"fmt"

	"convdel/consumer/internal/recordlog"
)

// keptBytes is what a dead letter that waits may keep of its source record without counting as in flight. All dead
// letters together keep so much for each of max-in-flight events at most.
const keptBytes = 2 << 10

var (
	// errNothing says that a fetch has brought nothing, since the broker throttles it perhaps.
	errNothing = errors.New("nothing fetched")
	// errFound ends the search for a record.
	errFound = errors.New("record found")
)

// giveBack gives back what a dead letter that waits holds of the bytes in flight. A small source record stays in memory, a
// large one is read again before the dead letter is written.
func (d *deadLetters) giveBack(l *deadLetter) {
	d.capacity.releaseBytes(l.size, 0)
	l.size = 0
	if l.digest != nil || l.bytes <= keptBytes {
		return
	}
	digest := l.makeDigest()
	l.digest = &digest
	l.key, l.value, l.headers = nil, nil, nil
}

// complete waits for the bytes of a dead letter's source record and reads it again, if the next write is to have them. A record that
// is gone, or has another one in its place, is done without.
func (d *deadLetters) complete(ctx context.Context, l *deadLetter) error {
	if l.form == formLeast {
		return nil
	}
	if err := d.capacity.acquireBytes(ctx, l.bytes); err != nil {
		return err
	}
	l.size = l.bytes
	found, err := d.reread(ctx, l)
	switch {
	case err != nil && !errors.Is(err, recordlog.ErrOffsetGone):
		return fmt.Errorf("source record not read again: %w", err) // its failure gives the bytes back
	case found == nil || hashRecord(found) != l.digest.whole:
		d.giveBack(l)
		l.lose()
	default:
		l.key, l.value, l.headers, l.digest = found.key, found.value, found.headers, nil
	}
	return nil
}

// reread fetches the source record of a dead letter, or the batch that it stands for, with as much memory as that needs. It
// returns nil where the log has none at that offset.
func (d *deadLetters) reread(ctx context.Context, l *deadLetter) (*record, error) {
	need := int64(0)
	for {
		found, err := d.rereadIn(ctx, l, need)
		var more *recordlog.NeedRoomError
		if errors.As(err, &more) && more.Bytes > need {
			need = more.Bytes
			continue
		}
		return found, err
	}
}

func (d *deadLetters) rereadIn(ctx context.Context, l *deadLetter, need int64) (found *record, err error) {
	room, err := d.capacity.roomToReread(ctx, need)
	if err != nil {
		return nil, err
	}
	defer room.giveBack()
	ask := recordlog.Request{Partition: l.partition.id, Offset: l.offset, MaxBytes: askLeast, Epoch: recordlog.NoEpoch, Room: room.bytes}
	at := loopOf(ctx)
	at.rests()
	fetched, err := d.source.Fetch(ctx, ask)
	at.works()
	if err != nil {
		return nil, err
	}
	err = fetched.Each(room.bytes, func(r *recordlog.Record) error {
		if r.Offset == l.offset && l.batch == nil {
			found = &record{key: r.Key, value: r.Value, headers: r.Headers}
		}
		return errFound
	})
	var bad *recordlog.BatchError
	switch {
	case errors.Is(err, errFound):
		return found, nil
	case errors.As(err, &bad) && l.batch != nil:
		return &record{value: bad.Raw}, nil
	case errors.As(err, &bad) || err == nil && fetched.Next > l.offset:
		return nil, nil // there is no record to be read
	case err == nil:
		return nil, errNothing
	}
	return nil, err
}
