// Package recordlog reads partitions of one topic with plain fetch requests, record by record, as a
// read_committed consumer should see them: without what transactional producers have rolled back, and
// without the markers by which they say so.
//
// It reads batches by itself, of all formats, and takes nothing on trust that producers have written: positions
// come from batches, not from records; memory is counted before it is taken; what can't be read is said with the offsets
// that it concerns.
//
// It keeps no position and retries nothing: who asks says from where, and what to do about an error. Of the
// group it knows nothing but whose coordinator to ask about the topic.
//
//	log := &recordlog.Log{Transport: t, Addr: addr, Topic: "events"}
//	fetched, err := log.Fetch(ctx, recordlog.Request{Partition: 3, Offset: 42, MaxBytes: 1 << 20, Epoch: recordlog.NoEpoch})
//	...
//	err = fetched.Each(0, func(r *recordlog.Record) error { ... })
//	next := fetched.Next
package recordlog
