package deadletter

import (
	"convdel/consumer/internal/recordlog"
	"convdel/schema"
)

// readLetter reads a letter. It returns nil if the record is a tombstone or not convdel's.
func readLetter(r *recordlog.Record) *Letter {
	if r.Value == nil || r.Key == nil || r.Omitted != nil {
		return nil
	}
	d, err := schema.ParseDeadLetter(r.Headers)
	if err != nil || string(r.Key) != d.ID() {
		return nil // another tool's record
	}
	l := &Letter{DeadLetter: d, Value: r.Value, Headers: r.Headers, Written: r.Time}
	if d.NullValue {
		l.Value = nil
	}
	return l
}
