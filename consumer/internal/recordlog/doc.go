// Package recordlog reads partitions of one topic with plain fetch requests. It delivers record by record what a
// read_committed consumer sees: neither records of aborted transactions nor the markers that end transactions are events.
//
// It parses batches of all formats by itself, and does not trust what producers have written. Positions come from batches,
// not from records. Memory is counted before it is allocated. An error about a batch names the offsets that can't be read.
//
// It keeps no position and retries nothing. The code that uses it names the offset to read from, and decides what to do
// about an error. Of the consumer group it knows only the name: it asks the group's coordinator about the topic.
//
//	log := &recordlog.Log{Transport: t, Addr: addr, Topic: "events"}
//	fetched, err := log.Fetch(ctx, recordlog.Request{Partition: 3, Offset: 42, MaxBytes: 1 << 20, Epoch: recordlog.NoEpoch})
//	...
//	err = fetched.Each(0, func(r *recordlog.Record) error { ... })
//	next := fetched.Next
package recordlog
