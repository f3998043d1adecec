package consumer

import (
	"context"
	"errors"
	"fmt"

	"convdel/consumer/internal/recordlog"
)

// keptBytes is what a letter that waits for the dead-letter topic may keep of its record without counting as in flight. All
// letters together keep so much for each of max-in-flight events at most.
const keptBytes = 2 << 10

// Why a letter that waits lacks its record for good.
const missingGone = "value, key and headers: the source record was gone from its topic when the letter could be written"

var (
	// errNothing says that a fetch has brought nothing, since the broker throttles it perhaps.
	errNothing = errors.New("nothing fetched")
	// errFound ends the search for a record.
	errFound = errors.New("record found")
)

// unload gives the bytes back that a waiting letter holds. A small record stays, a large one is read again before its letter
// is written.
func (s *session) unload(l *letter) {
	if l.lent {
		return
	}
	l.lent = true
	s.capacity.releaseBytes(l.size)
	if l.size <= keptBytes {
		return
	}
	c := l.content()
	l.unloaded = &c
	l.key, l.value, l.headers = nil, nil, nil
}

// load waits for room for a letter's bytes and reads them again, if it is to be written with them.
func (s *session) load(ctx context.Context, l *letter) error {
	if l.form == formLeast {
		return nil
	}
	if err := s.capacity.acquireBytes(ctx, l.size); err != nil {
		return err
	}
	err := s.reload(ctx, l)
	if err == nil && l.unloaded == nil {
		l.lent = false
		return nil
	}
	s.capacity.releaseBytes(l.size)
	return err
}

// reload reads the record of a letter again. Where it is gone, or another one is in its place, the letter does without.
func (s *session) reload(ctx context.Context, l *letter) error {
	found, err := s.readAgain(ctx, l)
	if err != nil && !errors.Is(err, recordlog.ErrOffsetGone) {
		return fmt.Errorf("source record not read again: %w", err)
	}
	if found == nil || hashRecord(found) != l.unloaded.whole {
		l.form, l.missing = formLeast, missingGone
		return nil
	}
	l.key, l.value, l.headers, l.unloaded = found.key, found.value, found.headers, nil
	return nil
}

// readAgain fetches the record of a letter, or the batch that it stands for, with as much room as that needs. It returns nil
// where the log has none at its offset.
func (s *session) readAgain(ctx context.Context, l *letter) (*record, error) {
	need := int64(0)
	for {
		found, err := s.readOnce(ctx, l, need)
		var more *recordlog.NeedRoomError
		if errors.As(err, &more) && more.Bytes > need {
			need = more.Bytes
			continue
		}
		return found, err
	}
}

func (s *session) readOnce(ctx context.Context, l *letter, need int64) (found *record, err error) {
	room, err := s.capacity.roomToReread(ctx, need)
	if err != nil {
		return nil, err
	}
	defer room.giveBack()
	fetched, err := s.source.Fetch(ctx, recordlog.Request{
		Partition: l.partition.id, Offset: l.offset, MaxBytes: askLeast, Epoch: recordlog.NoEpoch, Room: room.bytes,
	})
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
