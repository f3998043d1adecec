// Package offsets decides which offset of a partition may be committed, and what the commit says beside it.
//
// A commit of an offset says that every record below it has ended. Records end out of order, so the lowest unfinished
// offset, the watermark, is the one to commit. A [Tracker] knows it. The finished offsets above the watermark go into the
// commit's metadata, in a [Stamp], so that the next owner of the partition does not execute them again.
//
// Nothing here locks, waits, logs, or asks for the time. A caller that shares a Tracker between goroutines locks it.
//
//	t := offsets.Resume(offsets.At(150))
//	first, second := t.Add(150, at), t.Add(153, at)
//	t.End(second)
//	now, _ := t.Snapshot() // Watermark 150, Finished 153 to 153
//	t.End(first)
//	now, _ = t.Snapshot() // Watermark 154
package offsets
