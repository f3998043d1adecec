package deadletter

import "convdel/consumer/internal/pass"

// Gap is a part of a partition that can't be read: the offsets First to Last, both included.
type Gap = pass.Gap

// Unread says which parts of the topic could not be read. Letters there are not among the open ones. A letter whose
// tombstone is there looks open.
type Unread = pass.Unread

// note adds a gap to u, and calls Notice.
func (t *Table) note(u **Unread, g Gap) { t.in.Note(u, g, t.Notice) }
