// Package evidence finds out what has become of events, and waits for their end. It is for operators' tools and for workflows that
// must prove that conversations are gone.
//
// Four things say something about an event, from the strongest to the weakest:
//
//   - an outcome says how the event has ended, if the service records outcomes
//   - a dead letter says why the event was not executed, its tombstone how it was settled
//   - the group's offsets and their lists of finished offsets say that the event has ended, but not how
//   - the event's own record says what was asked for, as long as the topic of events keeps it
//
// A dead letter that names an outcome topic is no end as long as its outcome is not recorded and its offset is open. The service may
// execute the event again then, and delete it.
//
// Where an offset has ended and neither outcome nor dead letter is there, the event was deleted, since every other end leaves a dead
// letter. That is an inference, and [Ruling.Proven] is false. It is wrong if somebody who may commit for the group has skipped
// the record, if the group was made anew behind it, or if the dead letter was settled and its tombstone is gone. Where one of these can
// be seen, the end is [Unknown].
//
// A replay publishes an event again, as another record. The event has then ended when that record has. The new record names the
// first one in headers that anybody who may publish can forge, so it counts only if both ask for the same.
//
// An outcome or a dead letter counts for an event only if its record asks for that conversation, where the record is still there.
// [Event.Notes] say where it is not.
//
// The package calls no API and changes nothing.
package evidence
