package main

import (
	"context"
	"errors"
	"os"
	"sync/atomic"
	"syscall"
)

// output is the process's standard output. If its reader goes away, as head does when it has enough lines, the command is told to
// stop as by a signal. So a command that settles dead letters ends between two of them. A command that serves goes on.
type output struct {
	file *os.File
	// gone tells the command to stop.
	gone func()
	// unread says that the reader has gone away, serves that the command does not end because of it.
	unread, serves atomic.Bool
}

// Write writes to the output.
func (o *output) Write(p []byte) (int, error) {
	n, err := o.file.Write(p)
	if errors.Is(err, syscall.EPIPE) && !o.serves.Load() && !o.unread.Swap(true) {
		o.gone()
	}
	return n, err
}

// Fd lets the terminal behind the output be looked at.
func (o *output) Fd() uintptr { return o.file.Fd() }

// serves says that this command goes on, whether or not its output is read.
func (con *console) serves() {
	if o, ok := con.stdout.(*output); ok {
		o.serves.Store(true)
	}
}

// onlyUnread returns true if an error says nothing but that the output can't be written, or that the command was stopped for that. An
// error that says what was done and what was not is another one.
func onlyUnread(err error) bool {
	return err.Error() == errInterrupted.Error() || errors.Is(err, context.Canceled) || errors.Is(err, syscall.EPIPE)
}

// unread returns true if the reader of the output has gone away, and the command ends for that reason.
func (con *console) unread() bool {
	o, ok := con.stdout.(*output)
	return ok && o.unread.Load()
}
