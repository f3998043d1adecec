package schema_test

import (
	"errors"
	"fmt"
	"time"

	"convdel/schema"
)

// A bare event: send the value to schema.Topic with acks=all, under the conversation's key.
func ExampleEvent_Encode() {
	e := schema.Event{
		Conversation: schema.Conversation{From: "alice", Type: schema.C2C, To: "bob"},
		ClearRamble:  true, // the roaming messages too
	}
	value, err := e.Encode()
	if err != nil {
		fmt.Println(err) // names the field that is wrong
		return
	}
	fmt.Println(e.Key())
	fmt.Println(string(value))
	// Output:
	// 1:5:alice:bob
	// {"From_Account":"alice","Type":1,"To_Account":"bob","ClearRamble":1}
}

// A CloudEvents structured event names its time, its publisher and its ID.
func ExampleEvent_EncodeCloudEvent() {
	e := schema.Event{
		Conversation: schema.Conversation{From: "alice", Type: schema.G2C, To: "@TGS#2J4SZEAEL"},
		Time:         time.Date(2026, 3, 1, 8, 30, 0, 0, time.UTC),
		Source:       "/accounts",
		ID:           "5f0c6a2e-1",
	}
	value, err := e.EncodeCloudEvent()
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(string(value))
	// Output:
	// {"specversion":"1.0","type":"conversation.delete.requested","source":"/accounts","id":"5f0c6a2e-1","time":"2026-03-01T08:30:00Z","datacontenttype":"application/json","data":{"From_Account":"alice","Type":2,"To_Account":"@TGS#2J4SZEAEL","ClearRamble":0}}
}

// A CloudEvents binary event: the value and the headers are one record together.
func ExampleEvent_EncodeCloudEventBinary() {
	e := schema.Event{
		Conversation: schema.Conversation{From: "alice", Type: schema.C2C, To: "bob"},
		Time:         time.Date(2026, 3, 1, 8, 30, 0, 0, time.UTC),
		Source:       "/accounts",
		ID:           "5f0c6a2e-1",
	}
	value, headers, err := e.EncodeCloudEventBinary()
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, h := range headers {
		fmt.Printf("%s: %s\n", h.Key, h.Value)
	}
	fmt.Println(string(value))
	// Output:
	// ce_specversion: 1.0
	// ce_type: conversation.delete.requested
	// ce_source: /accounts
	// ce_id: 5f0c6a2e-1
	// ce_time: 2026-03-01T08:30:00Z
	// content-type: application/json
	// {"From_Account":"alice","Type":1,"To_Account":"bob","ClearRamble":0}
}

// The error for an invalid event names the field and the reason.
func ExampleDecode() {
	_, err := schema.Decode([]byte(`{"From_Account":"alice","Type":3,"To_Account":"bob"}`), nil)
	fmt.Println(err)
	if fieldErr, ok := errors.AsType[*schema.FieldError](err); ok {
		fmt.Println(fieldErr.Field)
	}
	// Output:
	// not a valid bare event: Type: must be 1 (C2C) or 2 (G2C), is 3
	// Type
}

// The headers of a dead letter: those of the source record, then its own.
func ExampleDeadLetter_Headers() {
	d := schema.DeadLetter{
		Class: schema.ClassPermanent, Code: 50001, Error: "the UserID is not imported", Attempts: 1,
		FirstAttempt: time.Date(2026, 3, 1, 8, 30, 1, 0, time.UTC),
		LastAttempt:  time.Date(2026, 3, 1, 8, 30, 1, 0, time.UTC),
		Topic:        schema.Topic, Partition: 3, Offset: 10457,
		Timestamp: time.Date(2026, 3, 1, 8, 30, 0, 0, time.UTC),
		Key:       []byte("1:5:alice:bob"), Group: "convdel",
	}
	fmt.Println(d.ID())
	for _, h := range d.Headers([]schema.Header{{Key: "traceparent", Value: []byte("00-1")}}) {
		fmt.Printf("%s: %s\n", h.Key, h.Value)
	}
	// Output:
	// conversation.delete.requested/3/10457
	// traceparent: 00-1
	// dlt-class: permanent
	// dlt-code: 50001
	// dlt-error: the UserID is not imported
	// dlt-attempts: 1
	// dlt-first-attempt: 2026-03-01T08:30:01Z
	// dlt-last-attempt: 2026-03-01T08:30:01Z
	// dlt-topic: conversation.delete.requested
	// dlt-partition: 3
	// dlt-offset: 10457
	// dlt-timestamp: 2026-03-01T08:30:00Z
	// dlt-key: 1:5:alice:bob
	// dlt-group: convdel
}
