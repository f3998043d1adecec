// Package recordlog reads partitions of one topic with plain fetch requests, record by record, as a
// read_committed consumer should see them: without what transactional producers have rolled back, and
// without the markers by which they say so.
//
// kafka-go's own readers deliver both, and can't tell a null value from an empty one.
//
// It keeps no position and retries nothing: who asks says from where, and what to do about an error. Of the
// group it knows nothing but whose coordinator to ask about the topic.
//
//	log := &recordlog.Log{Transport: t, Addr: addr, Topic: "events"}
//	fetched, err := log.Fetch(ctx, recordlog.Request{Partition: 3, Offset: 42, MaxBytes: 1 << 20})
//	...
//	err = fetched.Each(func(r *protocol.Record, use bool) error { ... })
package recordlog
