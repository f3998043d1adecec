// Package erasure erases all conversations of an account: it decides what is to be published next, and when the account's list proves that
// everything is gone.
//
// An erasure remembers nothing of its own. A part is an event whose ID follows from the request and the conversation, so the topic of
// events says which parts there are, and their outcomes say how they have ended. [Rule] weighs that evidence together with the API's own lists. It
// has no clock, and makes no call. [Run] does what it says, through a [Desk], until only exceptions are left.
package erasure
