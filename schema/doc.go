// Package schema defines the event that asks convdel to delete a conversation, and the headers of convdel's dead letters. A
// dead letter holds an event that convdel could not execute. Apps import the package to publish events; the service imports
// it to read them.
//
// # Publishing
//
// Fill in an [Event], encode it and send it to [Topic] with acks=all, keyed by [Conversation.Key]:
//
//	e := schema.Event{
//		Conversation: schema.Conversation{From: "alice", Type: schema.C2C, To: "bob"},
//		ClearRamble:  true,
//	}
//	value, err := e.Encode() // {"From_Account":"alice","Type":1,"To_Account":"bob","ClearRamble":1}
//
// There are three wrappings. [Decode] tells them apart:
//
//   - bare, the API's own request body: [Event.Encode];
//   - a CloudEvents 1.0 structured event, whose data is that object: [Event.EncodeCloudEvent];
//   - a CloudEvents 1.0 binary event, whose attributes are record headers:
//     [Event.EncodeCloudEventBinary].
//
// The package ships the same rules as two documents, [JSONSchema] and [AsyncAPI], for apps in other languages.
//
// # What is accepted
//
// Decode is strict where a lenient reader would have to guess. Field names are compared byte for byte. A known field may
// not occur twice. Wrong types and values are refused by name. Data behind the object, invalid UTF-8 and values over
// [MaxValueSize] are refused, too. Unknown fields are ignored. See [Decode] for the details.
//
// # Dead letters
//
// [DeadLetter.Headers] writes a [DeadLetter] as headers, and [ParseDeadLetter] reads it from them. The headers of a
// replayed record say which dead letter was replayed and when the record was first published ([DeadLetter.Replay],
// [Origin]).
//
// The value of a dead letter is that of its source record, unless that value does not fit or was never read. Then the value
// is empty, dlt-omitted describes the missing value and says why it is missing ([Omitted]), and dlt-event keeps the event
// if there was one. A batch that can't be read becomes one dead letter, with its offsets in dlt-batch ([Batch]).
//
// The package is data only, made of the standard library alone. It reads and writes no topic, knows no Kafka client and
// makes no call. It does not know the meaning of the codes in a dead letter.
package schema
