package offsets

// Tracker knows which delivered records of one partition have not ended. Records are delivered in ascending order of their
// offsets. Offsets have holes (compaction, transactions), so the tracker works on the order of delivery: it never takes
// "plus one" for the offset of the next record.
type Tracker struct {
	// entries is a ring: entry number n is entries[n % len(entries)]. The numbers in use are head <= n < tail.
	entries    []entry
	head, tail uint64
	// open is how many of them have not ended.
	open int
	// position is the offset to fetch next, behind every delivered record. read is the offset behind the last record that
	// was fetched, delivered or not; 0 if none was. No record lies between the two.
	position, read int64
	// epochs are the epochs of the leaders that have appended the records read.
	epochs epochs
	// inherited are the offsets that the previous owner has finished. Those at or above position go into every commit until
	// they are fetched. Otherwise a second handover shortly after the first would lose them.
	inherited []Range
	// lastRead is how far the previous owner has read.
	lastRead LastRead
	// changed says that the next snapshot differs from the last one.
	changed bool
}

type entry struct {
	offset, at int64
	ended      bool
}

// Seq numbers the delivered records of one [Tracker], in the order of their delivery.
type Seq uint64

// MaxSpan is how many delivered records may lie at or above a partition's watermark before fetching waits. It bounds how
// many records are executed again after a crash if one record is stuck and the list of finished offsets is lost. Even if
// every other one of so many offsets has ended, the list fits into a commit.
const MaxSpan = 10_000

// leastEntries is the size of a new tracker's ring.
const leastEntries = 64

// Resume returns the tracker of a partition that continues at the state in which its previous owner has left it.
func Resume(from Handover) *Tracker {
	return &Tracker{entries: make([]entry, leastEntries), position: from.Watermark, inherited: from.Finished, lastRead: from.LastRead}
}

// Restart moves a tracker to another position, which may be a lower one, and forgets what was inherited. It returns false,
// and changes nothing, once a record has been delivered.
func (t *Tracker) Restart(position int64) bool {
	if t.tail > 0 {
		return false
	}
	*t = Tracker{entries: t.entries, position: position, lastRead: NothingRead(), changed: true}
	return true
}

// Read notes the next record before it is delivered or passed: its offset, and the epoch of the leader that has appended
// it. It returns true if a previous owner has finished that offset. The same record may be noted again.
func (t *Tracker) Read(offset int64, epoch int32) (finished bool) {
	t.epochs.note(offset, epoch)
	for len(t.inherited) > 0 && t.inherited[0].Last < offset {
		t.inherited = t.inherited[1:]
	}
	return len(t.inherited) > 0 && offset >= t.inherited[0].First
}

// Add takes a delivered record of the time at, in milliseconds. Its offset is at or above the position.
func (t *Tracker) Add(offset, at int64) Seq {
	if t.tail-t.head == uint64(len(t.entries)) {
		t.grow()
	}
	seq := t.tail
	*t.at(seq) = entry{offset: offset, at: at}
	t.tail++
	t.open++
	t.position = max(t.position, offset+1)
	t.read = max(t.read, offset+1)
	return Seq(seq)
}

// Pass moves the position behind a record that is not delivered, a transaction's marker or a rolled-back record.
func (t *Tracker) Pass(position int64) {
	t.read = max(t.read, position)
	t.Skip(position)
}

// Skip moves the position over offsets without a record: compaction or retention has removed them. A lower position than
// the present one changes nothing.
func (t *Tracker) Skip(position int64) {
	if position <= t.position {
		return
	}
	t.position = position
	if t.head == t.tail {
		t.changed = true
	}
}

// End marks a delivered record as ended, once. It returns true if the span has shrunk.
func (t *Tracker) End(seq Seq) (shrunk bool) {
	t.at(uint64(seq)).ended = true
	t.changed = true
	t.open--
	before := t.head
	for t.head < t.tail && t.at(t.head).ended {
		t.head++
	}
	return t.head != before
}

// Position is the offset to fetch next.
func (t *Tracker) Position() int64 { return t.position }

// Span is how many delivered records are at or above the watermark, ended ones included.
func (t *Tracker) Span() int { return int(t.tail - t.head) } //nolint:gosec // it counts entries, which are in memory

// Unfinished is how many records have not ended of a log that ends at an offset: the delivered ones, and each offset that has not been
// read, though there may be holes among these. The offsets that the previous owner has finished do not count.
func (t *Tracker) Unfinished(end int64) int64 {
	unread := max(0, end-t.position)
	for _, r := range t.inherited {
		unread -= max(0, min(r.Last+1, end)-max(r.First, t.position))
	}
	return int64(t.open) + unread
}

// Oldest is the least time of the delivered records that have not ended. It returns false if there are none.
func (t *Tracker) Oldest() (at int64, ok bool) {
	for n := t.head; n < t.tail; n++ {
		if e := t.at(n); !e.ended && (!ok || e.at < at) {
			at, ok = e.at, true
		}
	}
	return at, ok
}

// Open calls a function with the offset and the time of each delivered record that has not ended, in the order of their offsets.
func (t *Tracker) Open(of func(offset, at int64)) {
	for n := t.head; n < t.tail; n++ {
		if e := t.at(n); !e.ended {
			of(e.offset, e.at)
		}
	}
}

// Watermark is the lowest unfinished offset; the position if every delivered record has ended.
func (t *Tracker) Watermark() int64 {
	if t.head == t.tail {
		return t.position
	}
	return t.at(t.head).offset
}

// LastRead is how far the partition was read: by this owner, or by the previous one while its finished offsets still count.
func (t *Tracker) LastRead() LastRead {
	own := LastRead{Epoch: t.epochs.before(t.read), End: t.read}
	last := len(t.inherited) - 1
	if t.read == 0 || last >= 0 && t.inherited[last].Last >= t.position {
		own.Epoch, own.End = max(own.Epoch, t.lastRead.Epoch), max(own.End, t.lastRead.End)
	}
	if own.Epoch < 0 {
		return NothingRead()
	}
	return own
}

// Progress is the content of a partition's commit.
type Progress struct {
	Watermark int64
	// Finished are the finished offsets above the watermark, ascending.
	Finished []Range
	// Epoch is the epoch of the leader that has appended the record before the watermark; [NoEpoch] if unknown. Kafka has a
	// field of its own for it, which other clients read.
	Epoch int32
	// LastRead is how far the partition was read.
	LastRead LastRead
}

// Snapshot returns what to commit now, and whether that has changed since the last snapshot.
func (t *Tracker) Snapshot() (now Progress, changed bool) {
	changed, t.changed = t.changed, false
	now = Progress{Watermark: t.Watermark(), Finished: t.finished(), Epoch: NoEpoch, LastRead: t.LastRead()}
	for _, r := range t.inherited {
		r.First = max(r.First, t.position)
		switch {
		case r.Last < t.position:
		case r.First == now.Watermark:
			now.Watermark = r.Last + 1
		default:
			now.Finished = append(now.Finished, r)
		}
	}
	if now.Watermark <= t.read {
		now.Epoch = t.epochs.before(now.Watermark)
	}
	t.epochs.forget(now.Watermark)
	return now, changed
}

// NotCommitted makes the next snapshot report a change: the commit of the last one has failed.
func (t *Tracker) NotCommitted() { t.changed = true }

// finished lists the ended records above the watermark. A range may span holes, but no record that has not ended.
func (t *Tracker) finished() []Range {
	var finished []Range
	open := false
	for n := t.head; n < t.tail; n++ {
		e := t.at(n)
		switch {
		case !e.ended:
			open = false
		case open:
			finished[len(finished)-1].Last = e.offset
		default:
			finished = append(finished, Range{First: e.offset, Last: e.offset})
			open = true
		}
	}
	return finished
}

func (t *Tracker) at(n uint64) *entry { return &t.entries[n%uint64(len(t.entries))] }

func (t *Tracker) grow() {
	bigger := make([]entry, 2*len(t.entries))
	for n := t.head; n < t.tail; n++ {
		bigger[n%uint64(len(bigger))] = *t.at(n)
	}
	t.entries = bigger
}
