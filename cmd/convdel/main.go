// Command convdel empties the Kafka topic conversation.delete.requested. It deletes each conversation through Tencent IM's
// REST API, within its quota, and loses no event.
//
// This file starts it; run.go shows the whole service on one screen.
package main

import (
	"context"
	"log/slog"
	"os"
	"time"
)

func main() {
	time.Local = time.UTC // libraries write times as well
	ctx, stop := context.WithCancelCause(context.Background())
	stderr := newErrorOutput(os.Stderr, ctx.Done())
	log, _ := newLogger(stderr, slog.LevelInfo, formatAuto, nil) // until a command has a log of its own
	con := &console{
		stdin: os.Stdin, stdout: &output{file: os.Stdout, gone: func() { stop(nil) }}, stderr: stderr, env: os.LookupEnv,
		libraries: takeOverLibraries(log),
		environ:   os.Environ(),
	}
	onSignals(stop, func(name string) {
		if tell := con.atOnce.Load(); tell != nil {
			(*tell)(name)
		} else {
			say(stderr, "convdel: %s again: stopping at once\n", name)
		}
		os.Exit(exitFailed)
	})
	os.Exit(execute(ctx, os.Args[1:], con))
}
