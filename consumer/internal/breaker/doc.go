// Package breaker decides two things: whether calls are made at all, and whether a failed call counts against its event.
//
// Should calls be made? While the breaker is closed, calls go. While it is open, one call at a time goes: the probe. The breaker
// opens for one of these reasons:
//
//   - Most fail: within 10 seconds, 90 % of at least 100 votes are failures, or all of at least 20. A pending conversation votes once,
//     with the first answer that says something of the API. Replays do not vote.
//   - All fail: three conversations have failed, and no delete that began since the first of them has succeeded. That call
//     began at least the call timeout ago. Replays count too.
//   - The API refuses the service's own credential, plan or configuration.
//   - The API denies the administrator's permission five times, with no success between.
//
// A probe that shows the reason to be over closes the breaker. Opening and closing clear the votes and the failed conversations. An
// answer to a call that began before the breaker last changed changes nothing, unless it ends its events.
//
// Whose fault was it? A failed call counts against its event once it has a witness: a call that began later and has been
// answered "deleted". The witness is looked for when the event is next taken for a call, and when the breaker opens; a failure
// without a witness is forgotten then. A failure with an error code of the API's own counts at once, and is forgotten only if the
// breaker opens before there is a witness. An event's last attempt does not count while three conversations have failed with no
// success since. Of the calls that fail while the breaker is open, only the last probe counts, if the next probe is answered "deleted".
//
// Where memory is full of fewer than three conversations, replays aside, there can be no witness and no vote. If that lasts for three
// minutes, the breaker closes, and their failures count at once.
//
// The package is pure: evidence and the time go in, a ruling comes out. Its user provides the lock, the clock, the log and the
// metrics.
package breaker
