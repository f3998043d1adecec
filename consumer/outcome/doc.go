// Package outcome reads the outcomes that convdel's consumer and operators' tools write: the evidence of how events have ended. It is
// for tools and workflows that must prove that a conversation is gone.
//
// The outcome topic is a ledger. A record's key is the ID of an event's record, its value a [schema.Outcome]. Several outcomes of one
// record are usual: a dead letter that was replayed has two, and an event that was done again after a crash may have. All are kept.
// The record of a replay is another one, with outcomes of its own that name the first record.
//
// An outcome is worth as much as the right to write to the topic. Records that are no outcomes are counted and named, and never
// believed. Reading ends where committed reads end, before a transaction that is still open. It steps over batches that can't be
// read. [Totals] and [Topic.Notice] report both.
//
// The package calls no API and changes nothing.
package outcome
