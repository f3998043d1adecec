package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/schollz/progressbar/v3"

	"convdel/consumer/evidence"
)

// waitCommand waits until events have ended.
type waitCommand struct {
	ID      words   `group:"events" help:"Records, as receipts of publish name them. Without this flag and --erasure, receipts are read from standard input." name:"id" placeholder:"TOPIC/PARTITION/OFFSET"`
	Erasure *string `group:"events" help:"All events of this request (erasureid) that the topic has at the start." placeholder:"ID"`
	Since   *string `group:"events" help:"With --erasure: leave out events that were published before: RFC 3339, a date, or an age such as 90m, 2d or 1w." placeholder:"TIME"`
	Timeout string  `default:"30m" group:"output" help:"How long to wait." placeholder:"TIME"`
	Format  string  `default:"table" group:"output" help:"table; json, one object; ndjson, one object a line." placeholder:"FORMAT" words:"table,json,ndjson"`

	evidenceSettings `embed:""`
}

// Help explains more than the flags' texts can.
func (*waitCommand) Help() string {
	return `Returns when all events named have ended, and shows for each how. Standard input is the receipts of
"publish --format ndjson"; of other lines of JSON the "id" counts. Lines that publish refuses have no receipt
and are not waited for, so let the shell keep its exit status:

    set -o pipefail
    convdel publish --format ndjson < events.ndjson | convdel wait --timeout 10m
    convdel wait --id conversation.delete.requested/3/1234
    convdel wait --erasure R-1 --outcome-topic conversation.delete.ended

An event has ended when it is deleted, or a dead letter. One whose dead letter was replayed ends as the
replay does. The evidence is outcomes, where the service records them (--outcome-topic); otherwise the
group's offsets, where "deleted" is inferred, and dead letters. The last lines say which was used, and
what it can't prove.

Exit status: 0 all were deleted; 3 not all have ended in the time; 4 all have ended, not all were deleted;
1 it failed; 2 wrong usage. A receipt of a record that the topic does not have, or that asks for something
else, is a failure. Offsets that hold no event (a transaction's marker, a record that was compacted away)
end as "none".`
}

// Run waits.
func (w *waitCommand) Run(ctx context.Context, con *console) error {
	c := checker{flagsOnly: []string{"id", "erasure", "since", "timeout", "format"}}
	cfg := c.evidence(w.evidenceSettings, con.env)
	timeout := c.duration("timeout", w.Timeout, 0, 365*24*time.Hour)
	since := c.moment("since", w.Since, time.Now())
	c.oneOf("format", w.Format, formatTable, formatJSON, formatNDJSON)
	w.checkNames(&c)
	var named []evidence.Receipt
	for _, id := range w.ID {
		named = append(named, evidence.Receipt{ID: c.recordID("--id", id, cfg.Topic)})
	}
	if err := c.err(); err != nil {
		return err
	}
	if len(named) == 0 && w.Erasure == nil {
		var err error
		if named, err = readReceipts(ctx, con, cfg.Topic); err != nil {
			return err
		}
	}
	began := time.Now()
	reader, err := openEvidence(ctx, con, cfg)
	if err != nil {
		return err
	}
	defer reader.Close()
	missing := error(nil)
	if w.Erasure != nil {
		if named, missing, err = partsOf(ctx, con, reader, *w.Erasure, since, began.Add(timeout)); err != nil {
			return stoppedBy(ctx, err)
		}
	}
	events, totals, err := waitFor(ctx, con, reader, named, timeout-time.Since(began))
	if err != nil {
		return stoppedBy(ctx, err)
	}
	if err := w.show(con, &cfg, events, totals); err != nil {
		return err
	}
	return missing
}

func (w *waitCommand) checkNames(c *checker) {
	switch {
	case w.Erasure != nil && *w.Erasure == "":
		c.wrong("erasure", "", "the request's ID")
	case w.Erasure != nil && len(w.ID) > 0:
		c.conflict("erasure", *w.Erasure, "not with --id")
	case w.Erasure == nil && w.Since != nil:
		c.conflict("since", *w.Since, "it needs --erasure")
	}
}

// partsOf finds the events of an erasure. Records that are no events are not among them, whatever they hold. missing is how the command ends
// at best if a part of the topic can't be read: nobody knows which events are there.
func partsOf(ctx context.Context, con *console, reader *evidence.Reader, erasure string, since, deadline time.Time) (parts []evidence.Receipt, missing, err error) {
	events, totals, err := reader.FindAll(ctx, evidence.Query{ErasureID: erasure, Since: since}, deadline, func() (end func()) { return showReading(con, reader) })
	if err != nil {
		return nil, nil, err
	}
	for _, e := range events {
		switch {
		case e.Event != nil:
			conversation := e.Event.Conversation
			parts = append(parts, evidence.Receipt{ID: e.ID, Conversation: &conversation, EventID: e.Event.ID})
		case e.Nameless():
			parts = append(parts, evidence.Receipt{ID: e.ID})
		}
	}
	if n := totals.Mentioned + totals.Unjudged; n > 0 {
		say(con.stderr, "%s no event and may name the erasure; wait leaves them out (convdel events find --erasure shows them)\n", countOf(n, "record is", "records are"))
	}
	if len(parts) == 0 {
		return nil, nil, fmt.Errorf("no event of erasure %s (%s read)", quote(erasure), countOf(totals.Records, "record", "records"))
	}
	switch hidden, damaged := totals.Unread.Kinds(); {
	case hidden:
		missing = errUnfinished
	case damaged:
		missing = errExceptions
	}
	return parts, missing, nil
}

// waitFor waits, with a line of progress on a terminal.
func waitFor(ctx context.Context, con *console, reader *evidence.Reader, named []evidence.Receipt, timeout time.Duration) ([]*evidence.Event, evidence.Totals, error) {
	looked, end := func(int) {}, func() {}
	if isTerminal(con.stderr) {
		bar := newBar(con.stderr, int64(len(named)), progressbar.OptionSetDescription("ended"), progressbar.OptionSetPredictTime(false))
		looked = func(ended int) { _ = bar.Set(ended) }
		end = func() { _ = bar.Clear() }
	}
	defer end()
	told := time.Time{}
	return reader.Wait(ctx, named, evidence.Waiting{
		Timeout: timeout, Every: waitPause, Looked: looked,
		Trouble: func(err error) {
			if now := time.Now(); told.IsZero() || now.Sub(told) >= time.Minute {
				told = now
				say(con.stderr, "can't look, and will again: %s\n", visible(err.Error()))
			}
		},
	})
}

// show writes the events, and returns the error that stands for the exit status.
func (w *waitCommand) show(con *console, cfg *evidence.Config, events []*evidence.Event, totals evidence.Totals) error {
	if err := writeEvents(con, w.Format, cfg, events, totals); err != nil {
		return err
	}
	out := con.stderr
	if w.Format == formatTable {
		out = con.stdout
		say(out, "\n")
	}
	say(out, "waited for %s: %s\n", countOf(len(events), "event", "events"), tally(events))
	if w.Format != formatJSON {
		sayEvidence(out, cfg, events, totals)
	}
	return resultOf(events)
}

// resultOf returns nil if all events were deleted.
func resultOf(events []*evidence.Event) error {
	var exceptions error
	for _, e := range events {
		switch {
		case !e.Ruling.Final():
			return errUnfinished
		case !e.Ruling.Deleted():
			exceptions = errExceptions
		}
	}
	return exceptions
}

// errNoReceipts says that there was nothing to wait for.
var errNoReceipts error = &usageError{lines: []string{"standard input has no receipt: there is nothing to wait for", `see "convdel wait -h"`}}

// readReceipts reads all of standard input. Wrong lines are reported by number, as many as there are room for.
func readReceipts(ctx context.Context, con *console, topic string) ([]evidence.Receipt, error) {
	if isTerminal(con.stdin) {
		say(con.stderr, "reading receipts from standard input, one JSON object a line; end with ctrl-D\n")
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var all []evidence.Receipt
	var wrong []string
	input, failed := chunks(ctx, con.stdin)
	for {
		select {
		case <-ctx.Done():
			return nil, errInterrupted
		case lines, more := <-input:
			if !more {
				return receiptsRead(ctx, all, wrong, failed)
			}
			for _, line := range lines {
				r, err := readReceipt(line, topic)
				if err == nil {
					all = append(all, r)
				} else if len(wrong) < maxNotices {
					wrong = append(wrong, fmt.Sprintf("line %d: %v", line.number, err))
				}
			}
		}
	}
}

func receiptsRead(ctx context.Context, all []evidence.Receipt, wrong []string, failed <-chan error) ([]evidence.Receipt, error) {
	select {
	case err := <-failed:
		return nil, fmt.Errorf("read standard input: %w", err)
	default:
	}
	switch {
	case ctx.Err() != nil:
		return nil, errInterrupted
	case len(wrong) > 0:
		return nil, &usageError{lines: wrong}
	case len(all) == 0:
		return nil, errNoReceipts
	}
	return all, nil
}

var errNoReceipt = errors.New(`is no receipt: must be a JSON object with an "id", as publish --format ndjson writes it`)
