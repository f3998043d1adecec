// Package schema is the event that asks convdel to delete a conversation, and the headers of the
// dead letters that convdel keeps of the events it could not carry out. Apps import it to publish
// events; the service uses it to read them.
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
// There are three wrappings, and [Decode] tells them apart by itself:
//
//   - bare, the API's own request body: [Event.Encode];
//   - a CloudEvents 1.0 structured event, whose data is that object: [Event.EncodeCloudEvent];
//   - a CloudEvents 1.0 binary event, whose attributes are record headers:
//     [Event.EncodeCloudEventBinary].
//
// Apps in other languages find the same rules in the two documents that the package carries,
// [JSONSchema] and [AsyncAPI].
//
// # What is accepted
//
// Decode is strict where a lenient reader would have to guess. Field names are compared byte for
// byte, a known field may not come twice, wrong types and values are refused by name, and whatever
// follows the object, invalid UTF-8 and values over [MaxValueSize] are refused too. Unknown fields
// are ignored. See [Decode] for the fine print.
//
// # Dead letters
//
// A [DeadLetter] becomes headers ([DeadLetter.Headers]) and comes back from them
// ([ParseDeadLetter]). A replayed record carries which dead letter it is a replay of and when it
// was first published ([DeadLetter.Replay], [Origin]).
//
// The value of a dead letter is that of its source record, unless that does not fit or was never read.
// Then the value is empty and dlt-omitted says why and what it was ([Omitted]), and dlt-event keeps the
// event if there was one. A batch that can't be read becomes one dead letter, with the offsets that it
// stands for in dlt-batch ([Batch]).
//
// The package reads and writes no topic, knows no Kafka client and makes no call: it is data only,
// made of the standard library alone. What the codes in a dead letter mean is not its business
// either.
package schema
