// Package deadletter reads and settles the dead letters that convdel's consumer writes. It is for operators' tools and for
// workflows that must prove that every conversation is gone.
//
// The dead-letter topic is a table. A record's key is a letter's ID. The newest record of a key is the letter's state: a
// record without a value, a tombstone, means that the letter is settled. All other letters are open.
//
// A [Table] shows the open letters ([Table.Each], [Table.Follow]). [Table.Replay] publishes their source records again and
// then settles them, [Table.Discard] only settles them.
//
// A tombstone says who settled the letter, when and why. [Table.EachSettled] shows settled letters as long as the topic keeps
// their tombstones.
//
// A replayed record may fail again and become a letter once more. This letter replaces the one that was replayed, even if
// the replay was killed before it could settle that one. The new letter's headers name the old letter, but anybody who may
// publish can forge them. So the two letters must prove it: they have the same key, value, headers and first time, and the
// new one has one replay more. Otherwise both stay open. Settling a letter also settles the letters that it replaces, and a
// plan names them.
//
// Reading takes one pass over the topic, and keeps a few bytes for each open letter. A second pass reads the letters on
// both sides of each claim to replace another letter, a third one the open letters. Records that convdel has not written
// are counted and otherwise ignored. Reading ends where committed reads end, before a transaction that is still open. It
// steps over batches that can't be read. [Totals] and [Table.Notice] report both.
//
// Settling may be interrupted at any time. A replay publishes one record, waits until every in-sync replica has it, writes
// the tombstone, waits again, and goes on to the next letter. If it is killed, no letter is lost, and at most the letter in
// hand is published a second time.
//
// The package calls no API and changes no group's offsets.
package deadletter
