package main

import "runtime/debug"

const (
	// gcPercent lets the heap grow to four times the live memory before a collection, since the service keeps little memory
	// and makes much garbage.
	gcPercent = 300
	// baseMemory is the memory that the service needs besides the events in flight. Above the sum of both the runtime
	// collects harder.
	baseMemory = 28 << 20
)

// boundMemory trades memory for time, up to a bound that follows from the settings. If the operator has set GOGC or
// GOMEMLIMIT, it changes nothing about that one.
func boundMemory(env func(string) (string, bool), maxInFlightBytes int64) {
	for _, name := range []string{"GOGC", "GOMEMLIMIT"} {
		if _, set := env(name); set {
			return
		}
	}
	debug.SetGCPercent(gcPercent)
	debug.SetMemoryLimit(baseMemory + maxInFlightBytes)
}
