// Package pass reads topics as a table or a ledger is read: from an offset to the end of committed reads. It steps over batches that
// can't be read and reports them, ends before a transaction that is still open, and bears brokers that refuse for a moment. It
// changes nothing at the brokers.
package pass
