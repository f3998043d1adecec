package desk

import (
	"cmp"
	"context"
	"time"

	"convdel/consumer/evidence"
	"convdel/imclient"
	"convdel/internal/erasure"
	"convdel/internal/publish"
	"convdel/schema"
)

// Config configures a [Desk].
type Config struct {
	// Topic is the topic of events. RequestID names the request, Account is the one that it erases.
	Topic, RequestID, Account string
	// Since leaves out records with an earlier time.
	Since time.Time
	// Rate is how many parts are published, and how many calls for lists are made, a second. Flags are the AssistFlags of lists.
	Rate, Flags int
	// Deadline ends the waiting. ReadUntil is until when calls for lists are begun.
	Deadline, ReadUntil time.Time
	// Finding, unless nil, is called before each search of the topics, and the function that it returns after that.
	Finding func() (end func())
	// Trouble is called with the error of something that is done again, and with what that is: [Waiting] or [Listing].
	Trouble func(Task, error)
}

// Task is what a desk does again if it fails.
type Task int

// These are all tasks.
const (
	Waiting Task = iota
	Listing
)

// Desk is an [erasure.Desk].
type Desk struct {
	cfg    Config
	reader *evidence.Reader
	lists  *imclient.Client
	writer *publish.Writer
	pace   pacer
	// later are the other accounts whose last list has failed.
	later    map[string]*laterList
	calls    int
	totals   evidence.Totals
	nameless int
}

var _ erasure.Desk = (*Desk)(nil)

// New makes a desk. The caller closes what it is given.
func New(cfg Config, reader *evidence.Reader, lists *imclient.Client, writer *publish.Writer) *Desk {
	return &Desk{cfg: cfg, reader: reader, lists: lists, writer: writer, pace: pacer{rate: cfg.Rate}, later: make(map[string]*laterList)}
}

// Calls is how many calls for lists were made.
func (d *Desk) Calls() int { return d.calls }

// Totals are the numbers of the search, with what was unreadable since.
func (d *Desk) Totals() evidence.Totals { return d.totals }

// Nameless is how many outcomes bear the request's ID and name no conversation, while the topic no longer has their records.
func (d *Desk) Nameless() int { return d.nameless }

// Find returns the records that bear the request's ID. Those behind an open transaction it waits for until the time is up: the request's time
// may be among them, and they would be published again.
func (d *Desk) Find(ctx context.Context) ([]erasure.Record, error) {
	events, totals, err := d.reader.FindAll(ctx, evidence.Query{ErasureID: d.cfg.RequestID, Since: d.cfg.Since}, d.cfg.Deadline, d.cfg.Finding)
	d.totals = totals
	if err != nil {
		return nil, err
	}
	d.nameless = 0
	for _, e := range events {
		if e.Nameless() {
			d.nameless++
		}
	}
	return recordsOf(events, time.Now()), nil
}

// recordsOf translates the evidence of records that bear the request's ID.
func recordsOf(events []*evidence.Event, known time.Time) []erasure.Record {
	var records []erasure.Record
	for _, e := range events {
		if rec, ok := partRecord(e, known); ok {
			records = append(records, rec)
		}
	}
	return records
}

// partRecord translates the evidence of a record. A record that is there counts as what it decodes to, whatever its headers and outcomes
// claim. Of one that is gone, its outcome has to tell the conversation.
func partRecord(e *evidence.Event, known time.Time) (erasure.Record, bool) {
	if e.Event == nil {
		return erasure.Record{}, false
	}
	rec := erasure.Record{ID: e.ID, Published: e.Published, Event: *e.Event, Gone: e.Source != evidence.Present, Known: known}
	if r := e.Ruling; r.Final() {
		rec.End = &erasure.End{
			Outcome: string(r.How), Code: r.Code, Attempts: r.Attempts, Ended: r.Time, Reason: r.Reason,
			Proven: r.Proven && r.Basis == evidence.ByOutcome,
		}
		if rec.Published.IsZero() {
			rec.Published = r.Time
		}
	}
	return rec, true
}

// Publish publishes parts, so many a second.
func (d *Desk) Publish(ctx context.Context, events []schema.Event) ([]erasure.Record, error) {
	size := max(1, d.cfg.Rate/5)
	var records []erasure.Record
	for len(events) > 0 && time.Now().Before(d.cfg.Deadline) {
		n := min(size, len(events))
		if err := d.pace.wait(ctx, n); err != nil {
			return records, err
		}
		placed, err := d.publish(ctx, events[:n])
		if records = append(records, placed...); err != nil {
			return records, err
		}
		events = events[n:]
	}
	return records, nil
}

func (d *Desk) publish(ctx context.Context, events []schema.Event) ([]erasure.Record, error) {
	chunk := make([]publish.Record, len(events))
	for i, e := range events {
		var err error
		if chunk[i], err = publish.Encode(e, schema.Structured); err != nil {
			return nil, err
		}
	}
	now := time.Now()
	done, err := d.writer.Write(ctx, chunk)
	var records []erasure.Record
	for _, p := range done.Placed {
		id := schema.DeadLetter{Topic: d.cfg.Topic, Partition: p.Partition, Offset: p.Offset}.ID()
		records = append(records, erasure.Record{ID: id, Published: now, Event: p.Record.Event})
	}
	if err == nil && len(done.Refused) > 0 {
		err = &RefusedError{Conversation: done.Refused[0].Record.Event.Conversation, Err: done.Refused[0].Err}
	}
	return records, err
}

// RefusedError says that the topic of events refuses a part because of the part itself.
type RefusedError struct {
	Conversation schema.Conversation
	Err          error
}

func (e *RefusedError) Error() string { return "the topic refuses the record: " + e.Err.Error() }

func (e *RefusedError) Unwrap() error { return e.Err }

// awaitPause is the time between two looks at outcomes.
const awaitPause = 500 * time.Millisecond

// Await waits for the ends of records.
func (d *Desk) Await(ctx context.Context, pending []erasure.Record) ([]erasure.Record, error) {
	var receipts []evidence.Receipt
	var since time.Time
	for i := range pending {
		rec := &pending[i]
		receipts = append(receipts, evidence.Receipt{ID: rec.ID, Conversation: &rec.Event.Conversation, EventID: rec.Event.ID})
		if since.IsZero() || rec.Published.Before(since) {
			since = rec.Published
		}
	}
	events, totals, err := d.reader.Wait(ctx, receipts, evidence.Waiting{
		Timeout: time.Until(d.cfg.Deadline), Every: awaitPause, Since: since, Trouble: func(err error) { d.cfg.Trouble(Waiting, err) },
	})
	d.totals.UnreadOutcomes, d.totals.UnreadLetters = cmp.Or(totals.UnreadOutcomes, d.totals.UnreadOutcomes), cmp.Or(totals.UnreadLetters, d.totals.UnreadLetters)
	if err != nil {
		return nil, err
	}
	return recordsOf(events, time.Now()), nil
}
