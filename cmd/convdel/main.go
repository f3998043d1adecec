// Command convdel empties the Kafka topic conversation.delete.requested. It deletes each conversation through Tencent IM's
// REST API, within its quota, and loses no event.
//
// This file starts it; run.go shows the whole service on one screen.
package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		stop()
		again := <-signals
		say(os.Stderr, "convdel: %s again: stopping at once, events under way may be executed twice\n", again)
		os.Exit(exitFailed)
	}()
	os.Exit(execute(ctx, os.Args[1:], &console{
		stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, env: os.LookupEnv,
		libraries: takeOverLibraries(newLogger(os.Stderr, slog.LevelInfo, formatAuto)),
	}))
}
