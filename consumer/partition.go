package consumer

import (
	"sync"
	"sync/atomic"
	"time"

	"convdel/consumer/internal/offsets"
)

// partition is an owned partition of the topic.
type partition struct {
	id int

	// mu guards the tracker, shrunk, live, emptied, writes, written and unread…. While it is held nothing waits and no other lock is taken, so it may be taken under
	// any other one.
	mu      sync.Mutex
	tracker *offsets.Tracker
	// shrunk is closed when the tracker's span shrinks; nil while nothing waits for that.
	shrunk chan struct{}
	// live is how many of its events are in memory. emptied is closed when there is none; nil while nothing waits for that.
	live    int
	emptied chan struct{}
	// writes is how many of its events have a dead letter or an outcome that is being written. written is closed when there is none; nil before the
	// partition is cut off.
	writes  int
	written chan struct{}
	// unreadAt is the position at which the end of the log was last seen beyond it, -1 if it was not; unreadSince is since when.
	unreadAt    int64
	unreadSince time.Time

	// epoch is the leader's, as fetches name it: a leader of another epoch refuses. [recordlog.NoEpoch]: not known.
	epoch atomic.Int32
	// noCommits says that the tracker's offsets must not be committed: their log is gone, or another service has committed
	// offsets of the partition.
	noCommits atomic.Bool
	// leaving says that the partition is being given up: its events that wait for a call are left to its next owner. cutOff says that the drain
	// has taken too long: no further write of its events begins. It changes under mu.
	leaving, cutOff atomic.Bool
	// end is the high watermark last seen, seen when that was (Unix nanoseconds), stable where committed reads ended.
	end, seen, stable atomic.Int64
	// committed is the group's offset, -1 if there is none.
	committed atomic.Int64
	// failing is why the partition can't be read; nil if it can.
	failing atomic.Pointer[error]
}

func newPartition(id int, from offsets.Handover, epoch int32) *partition {
	p := &partition{id: id, tracker: offsets.Resume(from), unreadAt: -1}
	p.committed.Store(-1)
	p.epoch.Store(epoch)
	return p
}

// read notes the next record, and says whether a previous owner has finished it.
func (p *partition) read(offset int64, epoch int32) (finished bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.tracker.Read(offset, epoch)
}

// add begins to track a delivered record, of an event of a time. Every record that is added is ended later.
func (p *partition) add(offset int64, at time.Time) offsets.Seq {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.live++
	return p.tracker.Add(offset, at.UnixMilli())
}

// ended marks a record as ended. If the span has shrunk, it wakes the fetching that waits for that.
func (p *partition) ended(seq offsets.Seq) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.tracker.End(seq) && p.shrunk != nil {
		close(p.shrunk)
		p.shrunk = nil
	}
	p.forgetLocked()
}

// left forgets an event that has not ended, and is left to the partition's next owner: its offset is not committed.
func (p *partition) left() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.forgetLocked()
}

func (p *partition) forgetLocked() {
	if p.live--; p.live == 0 && p.emptied != nil {
		close(p.emptied)
		p.emptied = nil
	}
}

// empty says whether no event of the partition is in memory. If there is one, it returns a channel that is closed when there is none.
func (p *partition) empty() (yes bool, emptied <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.live == 0 {
		return true, nil
	}
	if p.emptied == nil {
		p.emptied = make(chan struct{})
	}
	return false, p.emptied
}

// beginWrite counts a dead letter or an outcome that is being written, unless the partition is cut off.
func (p *partition) beginWrite() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cutOff.Load() {
		return false
	}
	p.writes++
	return true
}

// endWrite notes that a write has ended: nothing of it leaves any more, and what it has come to is noted.
func (p *partition) endWrite() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.writes--; p.writes == 0 && p.written != nil {
		close(p.written)
		p.written = nil
	}
}

// cut lets no further write begin. It returns a channel that is closed when those that have begun have ended.
func (p *partition) cut() (written <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cutOff.Store(true)
	ended := make(chan struct{})
	if p.writes == 0 {
		close(ended)
	} else {
		p.written = ended
	}
	return ended
}

// pass moves the position behind a record that is not delivered.
func (p *partition) pass(position int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tracker.Pass(position)
}

// skip moves the position over offsets without a record.
func (p *partition) skip(position int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tracker.Skip(position)
}

// restart moves the position anywhere, unless a record has been delivered. It says whether it has moved it.
func (p *partition) restart(position int64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.tracker.Restart(position)
}

// position is the offset to fetch next.
func (p *partition) position() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.tracker.Position()
}

// watermark is the lowest unfinished offset.
func (p *partition) watermark() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.tracker.Watermark()
}

// spanFull says whether fetching has to wait for the oldest record to end. If so, it returns a channel that is closed when the
// span has shrunk.
func (p *partition) spanFull() (full bool, shrunk <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.tracker.Span() < offsets.MaxSpan {
		return false, nil
	}
	if p.shrunk == nil {
		p.shrunk = make(chan struct{})
	}
	return true, p.shrunk
}

// lastRead is how far the partition was read.
func (p *partition) lastRead() offsets.LastRead {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.tracker.LastRead()
}

// snapshot is the progress to commit, and whether it has changed since the last snapshot.
func (p *partition) snapshot() (now offsets.Progress, changed bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.tracker.Snapshot()
}

// notCommitted makes the next snapshot report a change.
func (p *partition) notCommitted() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tracker.NotCommitted()
}

// todo is how far the watermark is behind the records that can be read: those behind an open transaction can't.
func (p *partition) todo() int64 { return max(0, p.stable.Load()-p.watermark()) }
