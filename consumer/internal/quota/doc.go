// Package quota rules which calls may leave, and when, so that no second holds more calls than the quota allows.
//
// The package is pure. Evidence and the time go in, a ruling comes out. A [Limiter] holds no lock, reads no clock and waits
// for nothing. The code that uses it holds a lock around every method, passes times that never go back, and does the
// waiting:
//
//	r := l.Ask(now)
//	switch {
//	case r.Granted: // make the call; then l.Sent(r.Permit, when it left), or l.Unused(r.Permit)
//	case r.Again.IsZero(): // ask anew after the next Sent, Unused, SetShare, BudgetAnswered or BudgetFailed
//	default: // ask anew at r.Again
//	}
//
// The quota is the number of calls that all replicas together may make in a second. [Share] is a replica's part of it. A
// departure is the moment at which a call leaves. A permit is the right to make one call. Where replicas keep to the quota
// by a shared budget, a replica leases departures from it: [Limiter.Demand] says when to ask the budget, and for how many.
package quota
