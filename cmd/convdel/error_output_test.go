package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// TestUnreadErrorOutput: lines wait for their reader until the process is told to stop, then for a second. No later line waits. Lines are
// written again when the reader reads again.
func TestUnreadErrorOutput(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		reads, writes := io.Pipe()
		ctx, tell := context.WithCancel(t.Context())
		o := newErrorOutput(writes, ctx.Done())
		defer close(o.lines)
		var waiting sync.WaitGroup
		var failed error
		waiting.Go(func() { _, failed = fmt.Fprintln(o, "first") })
		time.Sleep(time.Hour)
		tell()
		told := time.Now()
		if waiting.Wait(); !errors.Is(failed, errHeld) || time.Since(told) != lastWait {
			t.Errorf("%v after %v", failed, time.Since(told))
		}
		for range 1000 {
			if _, err := fmt.Fprintln(o, "lost"); !errors.Is(err, errHeld) {
				t.Fatal(err)
			}
		}
		if time.Since(told) != lastWait {
			t.Errorf("later lines waited for %v", time.Since(told)-lastWait)
		}
		lines := bufio.NewScanner(reads)
		waiting.Go(func() {
			synctest.Wait()
			time.Sleep(time.Millisecond)
			_, failed = fmt.Fprintln(o, "last")
			_ = writes.Close()
		})
		var got []string
		for lines.Scan() {
			got = append(got, lines.Text())
		}
		if waiting.Wait(); failed != nil || strings.Join(got, " ") != "first last" {
			t.Errorf("read %q, error %v", got, failed)
		}
	})
}

// TestPromise6_AHungLogHoldsUpNoDrain: the reader of the log stops reading without going away. The first signal still lets the call under
// way end, and commits.
func TestPromise6_AHungLogHoldsUpNoDrain(t *testing.T) {
	t.Parallel()
	s := newServing(t, time.Second)
	s.send(t, syscall.SIGTERM)
	<-s.done // another process follows, whose log is read here
	reads, writes, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "run")
	cmd.Env, cmd.Stderr = []string{asProcess + "=1"}, writes
	for name, value := range s.env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(reads); lines.Scan() && !strings.Contains(lines.Text(), "generation begins"); {
	}
	s.publish(t, "a")
	await(t, "a call", func() bool { return s.sim.Stats().Calls == 1 })
	var filling sync.WaitGroup
	filling.Go(func() { _, _ = writes.Write(make([]byte, 1<<20)) })
	if err := errors.Join(cmd.Process.Signal(syscall.SIGTERM), cmd.Wait()); err != nil {
		t.Errorf("ended with %v", err)
	}
	_ = reads.Close()
	filling.Wait()
	_ = writes.Close()
	if done, err := s.broker.drained(t.Context()); !done || err != nil {
		t.Errorf("all committed: %t, %v", done, err)
	}
}
