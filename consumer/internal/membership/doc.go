// Package membership rules what a member of a consumer group does: when it joins, what it works on, what it gives up.
//
// The package is pure. Answers of the group's coordinator and the time go in, orders come out. A [Member] holds no lock, reads no
// clock and waits for nothing. The code that uses it holds a lock around every method, passes times that never go back, calls
// [Member.Tick] at [Member.Wake], and does what [Member.Orders] returns after each call, in that order:
//
//   - [Send]: make this request of the coordinator, and hand its answer to [Member.Answered].
//   - [Gain]: work on these partitions as well.
//   - [GiveUp]: finish and commit what is under way on these partitions, then call [Member.GivenUp].
//   - [Lose]: all partitions belong to others. Nothing more is called or committed.
//   - [Pause] and [Resume]: make no new calls in between.
//   - [Refused]: a request did not succeed. The member tries again by itself.
//   - [End]: the membership is over.
//
// A generation is the time between two rebalances, with one assignment of all partitions. A claim is a partition that a
// member tells the others it holds: nobody else gets it before the member has given it up.
package membership
