package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/cenkalti/backoff/v4"

	"convdel/consumer"
	"convdel/consumer/cluster"
	"convdel/consumer/evidence"
	"convdel/imclient"
	"convdel/internal/erasure"
	"convdel/schema"
)

// eraseDesk does what an erasure needs done, in Kafka and at the API. It is an [erasure.Desk].
type eraseDesk struct {
	con      *console
	cfg      *eraseConfig
	reader   *evidence.Reader
	lists    *imclient.Client
	sink     recordSink
	deadline time.Time
	pace     pacer
	// readUntil is until when calls for lists are begun. later are the other accounts whose last list has failed.
	readUntil time.Time
	later     map[string]*laterList
	// calls counts those for lists. totals are the numbers of the search, with what was unreadable since.
	calls  int
	totals evidence.Totals
	// nameless counts outcomes that bear the request's ID and name no conversation, while the topic no longer has their records.
	nameless int
}

// newEraseDesk returns a desk that works for a time, from now on.
func newEraseDesk(con *console, cfg *eraseConfig, reader *evidence.Reader, lists *imclient.Client, sink recordSink, patience time.Duration) *eraseDesk {
	now := time.Now()
	return &eraseDesk{
		con: con, cfg: cfg, reader: reader, lists: lists, sink: sink, pace: pacer{rate: cfg.rate}, later: make(map[string]*laterList),
		deadline: now.Add(patience), readUntil: now.Add(max(patience, readPatience)),
	}
}

// pacer spreads steps: rate of them a second.
type pacer struct {
	rate int
	next time.Time
}

// wait waits until n steps may be made.
func (p *pacer) wait(ctx context.Context, n int) error {
	now := time.Now()
	if p.next.Before(now) {
		p.next = now
	}
	due := p.next
	p.next = due.Add(time.Duration(n) * time.Second / time.Duration(p.rate))
	return waitUntil(ctx, due)
}

func waitUntil(ctx context.Context, due time.Time) error {
	timer := time.NewTimer(time.Until(due))
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}

const (
	groupAttempts = 10
	groupPause    = 300 * time.Millisecond
)

// checkGroup refuses a group whose service deletes through another app, since that app's conversations would be deleted.
func checkGroup(ctx context.Context, con *console, cfg *eraseConfig) error {
	group := consumer.NewGroupReader(cfg.evidence.Cluster, cfg.evidence.Group, cfg.evidence.Topic)
	defer group.Close()
	partitions, err := backoff.RetryWithData(func() ([]consumer.PartitionProgress, error) {
		progress, err := group.Read(ctx)
		if err != nil && cluster.Refusal(err) != nil {
			err = backoff.Permanent(err)
		}
		return progress, err
	}, backoff.WithContext(backoff.WithMaxRetries(backoff.NewConstantBackOff(groupPause), groupAttempts), ctx))
	if err != nil {
		return err
	}
	ours, known := strconv.Itoa(cfg.im.SDKAppID), false
	for i, p := range partitions {
		if p.App != "" && p.App != ours {
			return &usageError{lines: []string{fmt.Sprintf("--im-sdkappid (CONVDEL_IM_SDKAPPID) is %q: group %s deletes through app %s (its offset of partition %d says so)",
				ours, cfg.evidence.Group, p.App, i)}}
		}
		known = known || p.App != ""
	}
	if !known {
		say(con.stderr, "group %s has committed nothing of %s: is the service running?\n", cfg.evidence.Group, cfg.evidence.Topic)
	}
	return nil
}

// Find returns the records that bear the request's ID. Those behind an open transaction it waits for until the time is up: the request's time
// may be among them, and they would be published again.
func (d *eraseDesk) Find(ctx context.Context) ([]erasure.Record, error) {
	events, totals, err := findAll(ctx, d.con, d.reader, evidence.Query{ErasureID: d.cfg.request.ID, Since: d.cfg.since}, d.deadline)
	d.totals = totals
	if err != nil {
		return nil, err
	}
	known := time.Now()
	d.nameless = 0
	var records []erasure.Record
	for _, e := range events {
		if nameless(e) {
			d.nameless++
		}
		if rec, ok := partRecord(e, known); ok {
			records = append(records, rec)
		}
	}
	return records, nil
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
func (d *eraseDesk) Publish(ctx context.Context, events []schema.Event) ([]erasure.Record, error) {
	size := max(1, d.pace.rate/5)
	var records []erasure.Record
	for len(events) > 0 && time.Now().Before(d.deadline) {
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

func (d *eraseDesk) publish(ctx context.Context, events []schema.Event) ([]erasure.Record, error) {
	chunk := make([]record, len(events))
	for i, e := range events {
		var err error
		if chunk[i], err = encodeRecord(e, wrapStructured); err != nil {
			return nil, err
		}
	}
	now := time.Now()
	done, err := d.sink.write(ctx, chunk)
	var records []erasure.Record
	for _, p := range done.placed {
		id := schema.DeadLetter{Topic: d.cfg.evidence.Topic, Partition: p.partition, Offset: p.offset}.ID()
		records = append(records, erasure.Record{ID: id, Published: now, Event: p.record.event})
	}
	if err == nil && len(done.refused) > 0 {
		err = errors.New(done.refused[0].String())
	}
	return records, err
}

// awaitPause is the time between two looks at outcomes.
const awaitPause = 500 * time.Millisecond

// Await waits for the ends of records.
func (d *eraseDesk) Await(ctx context.Context, pending []erasure.Record) ([]erasure.Record, error) {
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
		Timeout: time.Until(d.deadline), Every: awaitPause, Since: since,
		Trouble: func(err error) { say(d.con.stderr, "can't look, and will again: %s\n", visible(err.Error())) },
	})
	d.totals.UnreadOutcomes, d.totals.UnreadLetters = cmp.Or(totals.UnreadOutcomes, d.totals.UnreadOutcomes), cmp.Or(totals.UnreadLetters, d.totals.UnreadLetters)
	if err != nil {
		return nil, err
	}
	known := time.Now()
	var ended []erasure.Record
	for _, e := range events {
		if rec, ok := partRecord(e, known); ok {
			ended = append(ended, rec)
		}
	}
	return ended, nil
}
