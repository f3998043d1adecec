// Package revival decides whether a delete may still be executed that was asked for long ago, and whose list of conversations is read
// next for that.
//
// An account's list shows when each conversation has had its last message. A [List] serves the events of its account for 10 seconds,
// counted from its beginning, and only those that happened before that. It rules on an event so:
//
//   - The conversation has had a message at the event's second or later: revived. A delete can't be undone, so the same second counts.
//   - The list shows the conversation without a time: revived, since it may have had one.
//   - The list shows an earlier message: execute.
//   - The list does not show the conversation and is complete: execute. The API shows the most recent conversations alone, so that proves
//     nothing; but a conversation that has just had a message would be among them.
//   - The list does not show the conversation and may lack some: wait for another list.
//
// A [Desk] keeps the events that wait for a list, and says which account's list is read next: that of the oldest event. Accounts whose
// lists have failed take turns with the others.
//
// The package is pure: evidence and the time go in, a ruling comes out. Its user provides the lock and the clock, reads the lists, and
// decides with a breaker whether lists are read at all.
package revival
