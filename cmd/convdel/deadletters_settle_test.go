package main

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"convdel/internal/testkit"
	"convdel/schema"
)

func TestLettersPlanChangesNothing(t *testing.T) {
	t.Parallel()
	s := mixedShelf(t)
	s.put(letterOf(8, func(l *testLetter) { l.Timestamp = time.Now().Add(-30 * time.Hour) }))
	run := s.do("replay", "--rate", "0.5")
	shows(t, run, "To replay: 2 of 6 open dead letters in "+schema.DeadLetterTopic+", to "+schema.Topic, "no filter is given",
		"1 exhausted", "1 expired", "(1h0m ago)", "takes 4s at --rate 0.5; then the service needs less than 1s of its 200 calls a second",
		"2 permanent or undecodable, and not named by class or id",
		"1 older than the age allowed (--max-age is 24h; 0 = any)", "1 of another topic (--topic is "+schema.Topic+")",
		"2 records are", "Nothing has been changed. Add --all --yes to replay.")
	shows(t, s.do("replay", "--class", "permanent"), "To replay: 1 of 6", "1 permanent")
	shows(t, s.do("replay", "--max-age", "2d", "--limit", "1", "--code", "50004"), "To replay: 1 of 6")
	shows(t, s.do("discard", "--reason", "x"), "To discard: 5 of 6", "1 of another topic", "Add --all --yes to discard.")
	s.wantOpen(2, 3, 4, 5, 6, 8)
	if n := len(published(t, s.demoBroker)); n != 0 {
		t.Errorf("%d records published", n)
	}
}

func TestLettersReplay(t *testing.T) {
	t.Parallel()
	s := mixedShelf(t)
	run := s.do("replay", "--all", "--yes")
	shows(t, run, "replayed 2 of 2")
	if !strings.Contains(run.stderr, "replayed 1 of 2\n") || strings.Contains(run.stderr, "2 of 2") {
		t.Errorf("stderr %q", run.stderr)
	}
	s.wantOpen(2, 4, 6) // 1, which 5 had replaced, was settled with it
	records := published(t, s.demoBroker)
	for _, r := range records {
		origin, ok := schema.Origin(testkit.Headers(r))
		if !ok || (origin.ID() != id(3) && origin.ID() != id(5)) || string(r.Value) != string(goodValue(origin.Offset)) ||
			string(r.Key) != fmt.Sprint("key", origin.Offset) {
			t.Errorf("published %s %s %v", r.Key, r.Value, r.Headers)
		}
	}
	if len(records) != 2 {
		t.Errorf("%d records published", len(records))
	}
	shows(t, s.do("replay", "--all", "--yes"), "Nothing to replay")
}

func TestLettersDiscard(t *testing.T) {
	t.Parallel()
	s := mixedShelf(t)
	shows(t, s.do("discard", "--reason", "asked for by nobody", "--class", "permanent,undecodable", "--yes"), "discarded 2 of 2")
	s.wantOpen(3, 5, 6)
	ends, err := s.ends(t.Context(), schema.DeadLetterTopic)
	if err != nil {
		t.Fatal(err)
	}
	records, err := s.read(t.Context(), schema.DeadLetterTopic, offsets{}, ends)
	if err != nil {
		t.Fatal(err)
	}
	reasons := 0
	for _, r := range records {
		if r.Value == nil {
			for _, h := range r.Headers {
				if h.Key == schema.HeaderReason && string(h.Value) == "asked for by nobody" {
					reasons++
				}
			}
		}
	}
	if reasons != 2 || len(published(t, s.demoBroker)) != 0 {
		t.Errorf("%d reasons", reasons)
	}
}

func TestLettersReplayStopsBetweenTwo(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	s.put(letterOf(1), letterOf(2), letterOf(3))
	r := start(t, environment{"CONVDEL_BROKERS": s.address}, strings.NewReader(""), "deadletters", "replay", "--all", "--yes", "--rate", "0.01")
	await(t, "the first letter is replayed", func() bool { return strings.Contains(r.stderr.String(), "replayed 1 of 3") })
	if status := r.end(); status != exitFailed || !strings.HasSuffix(r.stdout.String(), "replayed 1 of 3\n") ||
		!strings.Contains(r.stderr.String(), "convdel: stopped before the end: 1 replayed, 2 left; the same command goes on\n") {
		t.Errorf("status %d", status)
	}
	if n := len(s.open()); n != 2 {
		t.Errorf("%d letters open", n)
	}
	shows(t, s.do("replay", "--all", "--yes"), "replayed 2 of 2")
	s.wantOpen()
	if n := len(published(t, s.demoBroker)); n != 3 {
		t.Errorf("%d records published", n)
	}
}

func TestLettersReplaySaysHowFarItCame(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	s.put(letterOf(1, func(l *testLetter) { l.Topic = "gone.topic" }))
	run := s.do("replay", "--all", "--yes", "--topic", "gone.topic", "--dead-letter-topic", schema.DeadLetterTopic)
	if run.status != exitFailed || !strings.Contains(run.stdout, "replayed 0 of 1") ||
		!strings.Contains(run.stderr, "0 replayed, 1 left; the same command goes on: dead letter gone.topic/3/1: not settled: ") {
		t.Errorf("%+v", run)
	}
}

func TestSettlingSaysWhatChangedMeanwhile(t *testing.T) {
	t.Parallel()
	for done, want := range map[int]string{1: "another operator has settled them", 2: "replayed 2 of 2\n"} {
		var out testkit.Buffer
		s := &settling{con: &console{stdout: &out, stderr: io.Discard}, past: "replayed"}
		if err := s.outcome(t.Context(), progressOf{planned: 2, done: done}, nil); err != nil || !strings.Contains(out.String(), want) {
			t.Errorf("%d of 2: %v, %q", done, err, out.String())
		}
	}
}
