package main

import "runtime/debug"

const (
	// gcPercent lets the heap grow to four times what is live before it is collected: the service keeps
	// little and makes much garbage.
	gcPercent = 300
	// baseMemory is what the service needs beside the events in flight, which is where the runtime
	// begins to collect harder.
	baseMemory = 28 << 20
)

// boundMemory trades memory for time up to a bound that follows from the settings. Where GOGC or
// GOMEMLIMIT are set, they are the operator's word on it.
func boundMemory(env func(string) (string, bool), maxInFlightBytes int64) {
	for _, name := range []string{"GOGC", "GOMEMLIMIT"} {
		if _, set := env(name); set {
			return
		}
	}
	debug.SetGCPercent(gcPercent)
	debug.SetMemoryLimit(baseMemory + maxInFlightBytes)
}
