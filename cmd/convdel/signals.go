package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// stoppedError is the signal by which the process was told to stop. It is the cause of the commands' context.
type stoppedError struct{ os.Signal }

// Error names the signal as kill -l does.
func (s stoppedError) Error() string { return signalName(s.Signal) }

func signalName(s os.Signal) string {
	switch s {
	case syscall.SIGTERM:
		return "SIGTERM"
	case syscall.SIGINT:
		return "SIGINT"
	case syscall.SIGHUP:
		return "SIGHUP"
	}
	return s.String()
}

// verdict is what a signal means.
type verdict int

const (
	ignore verdict = iota
	drain
	stopAtOnce
)

// sameRequest is how long after the first signal another one counts as the same request to stop: a shell and a terminal may both send
// theirs.
const sameRequest = time.Second

// signalRules say what the signals that ask the process to stop mean.
type signalRules struct{ first time.Time }

// ruling returns what a signal means at a time. The first one drains. A second SIGTERM or SIGINT stops at once. SIGHUP never does: it
// says that a terminal has closed, not that somebody is impatient, and often comes twice.
func (r *signalRules) ruling(s os.Signal, now time.Time) verdict {
	switch {
	case r.first.IsZero():
		r.first = now
		return drain
	case s == syscall.SIGHUP || now.Sub(r.first) < sameRequest:
		return ignore
	}
	return stopAtOnce
}

// onSignals tells stop which signal asks the process to drain, and then atOnce which one asks it to end without.
//
// SIGPIPE ends nothing: the reader of a log or of an output may go away at any time. SIGQUIT and SIGABRT end the process with a dump of
// its goroutines, which is what they are for. Go ignores the others.
func onSignals(stop context.CancelCauseFunc, atOnce func(name string)) {
	signal.Ignore(syscall.SIGPIPE)
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	if !signal.Ignored(syscall.SIGHUP) { // as under nohup
		signal.Notify(signals, syscall.SIGHUP)
	}
	go func() {
		var rules signalRules
		for s := range signals {
			switch rules.ruling(s, time.Now()) {
			case drain:
				stop(stoppedError{s})
			case stopAtOnce:
				atOnce(signalName(s))
			case ignore:
			}
		}
	}()
}
