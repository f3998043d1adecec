package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"sync/atomic"
	"time"
)

// lastWait is how long a line waits for its reader once the process has been told to stop.
const lastWait = time.Second

// errHeld says that a line was not written, since nobody reads.
var errHeld = errors.New("standard error is not read")

// errorOutput is the process's standard error. A reader that has stopped reading holds the process up, as for any program, so that no line
// is lost. It must not hold up the end of the process: a drain commits what is done, and a second signal ends the process at once. So
// once the process has been told to stop, a line waits for [lastWait] at most, and those behind it do not wait until the reader reads
// again.
type errorOutput struct {
	to io.Writer
	// told ends when the process has been told to stop.
	told  <-chan struct{}
	lines chan *errorLine
	// held says that a line has waited in vain, and that none has been written since.
	held atomic.Bool
}

// errorLine is a line to write. done tells how that ended.
type errorLine struct {
	text []byte
	done chan error
}

// newErrorOutput returns an output whose lines another goroutine writes, until lines is closed.
func newErrorOutput(to io.Writer, told <-chan struct{}) *errorOutput {
	o := &errorOutput{to: to, told: told, lines: make(chan *errorLine)}
	go func() {
		for line := range o.lines {
			_, err := o.to.Write(line.text)
			line.done <- err
		}
	}()
	return o
}

// Write returns when a line has been written, or has waited in vain.
func (o *errorOutput) Write(p []byte) (int, error) {
	line := &errorLine{text: bytes.Clone(p), done: make(chan error, 1)}
	lines, told := o.lines, o.told
	if o.held.Load() {
		select {
		case lines <- line:
			lines = nil
		default:
			return 0, errHeld
		}
	}
	late := time.NewTimer(lastWait)
	late.Stop() // until the process has been told to stop
	defer late.Stop()
	for {
		select {
		case lines <- line:
			lines = nil
		case err := <-line.done:
			o.held.Store(false)
			return len(p), err
		case <-told:
			told = nil
			late.Reset(lastWait)
		case <-late.C:
			o.held.Store(true)
			return 0, errHeld
		}
	}
}

// Fd lets the terminal behind the output be looked at.
func (o *errorOutput) Fd() uintptr {
	if file, ok := o.to.(*os.File); ok {
		return file.Fd()
	}
	return ^uintptr(0) // no file
}
