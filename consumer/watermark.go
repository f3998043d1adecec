package consumer

import "sync"

// maxSpan is how many delivered records a partition's watermark may lag behind the newest one
// before its fetching waits. It bounds what a crash behind one stuck event could repeat, should the
// commit's list of finished offsets (see encodeDone) not have made it.
const maxSpan = 10_000

// tracker knows which delivered offsets of one partition have not ended. Offsets arrive in
// ascending order and may have holes (compaction, transactions), so it works on the order of
// delivery and never on "the next offset is this one plus one".
type tracker struct {
	mu sync.Mutex
	// entries is a ring: the entry with sequence number n is entries[n % len(entries)].
	// Live numbers are head <= n < tail.
	entries    []entry
	head, tail uint64
	// position is the offset from which fetching goes on: behind every delivered record. read is behind the last record
	// seen, delivered or not; what lies between is empty.
	position, read int64
	// leaders say who has appended what was read, see leaderOf.
	leaders leaders
	// prior are the offsets at or above the position that a previous owner has ended: they go into
	// the commits until the fetching gets to them.
	prior []offsetRange
	// moved is closed and replaced when the head moves, for those who wait for the span to shrink.
	moved chan struct{}
	dirty bool
}

type entry struct {
	offset int64
	ended  bool
}

// slot names one delivered record in its tracker.
type slot uint64

func newTracker(position int64) *tracker {
	return &tracker{entries: make([]entry, 64), position: position, leaders: noLeaders(), moved: make(chan struct{})}
}

// inherit takes over what a previous owner has ended above its watermark.
func (t *tracker) inherit(done []offsetRange) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.prior = done
}

// endedBefore says whether a previous owner has ended an offset that is about to be delivered.
func (t *tracker) endedBefore(offset int64) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for len(t.prior) > 0 && t.prior[0].last < offset {
		t.prior = t.prior[1:]
	}
	return len(t.prior) > 0 && offset >= t.prior[0].first
}

// add takes a delivered record. Offsets must ascend.
func (t *tracker) add(offset int64) slot {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.tail-t.head == uint64(len(t.entries)) {
		t.grow()
	}
	s := t.tail
	*t.at(s) = entry{offset: offset}
	t.tail++
	t.position = max(t.position, offset+1)
	t.read = max(t.read, offset+1)
	return slot(s)
}

// next is the offset to fetch next.
func (t *tracker) next() int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.position
}

// restart sets the position of a tracker that no record has been delivered to, and says whether
// that was so.
func (t *tracker) restart(position int64) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.tail > 0 {
		return false
	}
	t.position, t.dirty, t.prior = position, true, nil
	t.read, t.leaders = 0, noLeaders()
	return true
}

// advance moves the position behind a record that is none for us: control batches, aborted transactions.
func (t *tracker) advance(position int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.read = max(t.read, position)
	t.skipLocked(position)
}

// skip moves the position over offsets without a record: what compaction or retention has removed.
func (t *tracker) skip(position int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.skipLocked(position)
}

func (t *tracker) skipLocked(position int64) {
	if position <= t.position {
		return
	}
	t.position = position
	if t.head == t.tail {
		t.dirty = true
	}
}

// end marks a record as ended.
func (t *tracker) end(s slot) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.at(uint64(s)).ended = true
	t.dirty = true
	before := t.head
	for t.head < t.tail && t.at(t.head).ended {
		t.head++
	}
	if t.head != before {
		close(t.moved)
		t.moved = make(chan struct{})
	}
}

// span is the number of delivered records at or above the watermark, and a channel that is closed
// when it has shrunk.
func (t *tracker) span() (n int, shrunk <-chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return int(t.tail - t.head), t.moved //nolint:gosec // at most maxSpan and what one fetch brings
}

// watermark is the lowest offset that has not ended, the one to commit; where everything
// delivered has ended, the position.
func (t *tracker) watermark() int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.watermarkLocked()
}

func (t *tracker) watermarkLocked() int64 {
	if t.head == t.tail {
		return t.position
	}
	return t.at(t.head).offset
}

// progress is what to commit of a partition.
type progress struct {
	watermark int64
	// done are the offsets above it that have ended.
	done []offsetRange
	// before is the epoch of the leader who has appended the record before the watermark, epoch that of the last record
	// read, and read the offset behind that.
	before, epoch int32
	read          int64
}

// snapshot is what to commit now, and whether anything has changed since the last snapshot.
func (t *tracker) snapshot() (now progress, changed bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	changed, t.dirty = t.dirty, false
	now.watermark = t.watermarkLocked()
	now.done = t.doneLocked()
	for _, r := range t.prior {
		r.first = max(r.first, t.position)
		switch {
		case r.last < t.position:
		case r.first == now.watermark:
			now.watermark = r.last + 1
		default:
			now.done = append(now.done, r)
		}
	}
	now.before, now.epoch, now.read = noEpoch, noEpoch, -1
	if now.watermark <= t.read {
		now.before = t.leaders.before(now.watermark)
	}
	now.epoch, now.read = t.lastReadLocked()
	t.leaders.forget(now.watermark)
	return now, changed
}

// markDirty makes the next snapshot report a change: the commit of the last one failed.
func (t *tracker) markDirty() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.dirty = true
}

// doneLocked lists, in ascending order, the ended offsets above the watermark. A range may span
// holes but never a record that has not ended.
func (t *tracker) doneLocked() []offsetRange {
	var done []offsetRange
	open := false
	for n := t.head; n < t.tail; n++ {
		e := t.at(n)
		switch {
		case !e.ended:
			open = false
		case open:
			done[len(done)-1].last = e.offset
		default:
			done = append(done, offsetRange{first: e.offset, last: e.offset})
			open = true
		}
	}
	return done
}

func (t *tracker) at(n uint64) *entry { return &t.entries[n%uint64(len(t.entries))] }

func (t *tracker) grow() {
	bigger := make([]entry, 2*len(t.entries))
	for n := t.head; n < t.tail; n++ {
		bigger[n%uint64(len(bigger))] = *t.at(n)
	}
	t.entries = bigger
}
