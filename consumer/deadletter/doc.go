// Package deadletter reads and settles the dead letters that convdel's consumer writes. It is for
// operators' tools and for workflows that must prove that every conversation is gone.
//
// The dead-letter topic is a table: a record's key is a letter's ID, the newest record of a key is
// its state, and one without a value (a tombstone) means settled. A [Table] shows the open letters
// ([Table.Each], [Table.Follow]), publishes their source records again ([Table.Replay]) and settles
// them without ([Table.Discard]). A letter whose source record was a replay replaces the letter that
// was replayed, even where the tombstone of that is missing. Anybody who may publish can forge what says
// so. So the two must prove it: the same key, value, headers and first time, and one replay more.
// Otherwise both are open letters. A plan tells what is settled along with a letter that replaces it.
//
// Reading takes one pass over the topic that keeps a few bytes for each open letter. It reads again what
// claims to replace another letter, or is claimed to be replaced, and then the open letters. Records of
// other origin in the topic are counted and left alone. Reading ends where committed reads do, before a
// transaction that is still open, and steps over batches that can't be read; [Totals] and [Table.Notice]
// say so.
//
// Settling is made to be interrupted. A replay publishes one record, waits until every in-sync replica
// has it, writes the tombstone, waits again, and goes on to the next: killed anywhere it loses no
// letter and repeats at most the one in hand.
//
// It calls no API and moves no group's offsets.
package deadletter
