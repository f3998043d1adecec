package evidence

import (
	"context"
	"errors"
	"fmt"
	"time"

	"convdel/consumer"
	"convdel/consumer/cluster"
	"convdel/schema"
)

// Receipt names an event that was published.
type Receipt struct {
	// ID is TOPIC/PARTITION/OFFSET of its record.
	ID string
	// Conversation and EventID are what the record asks for; nil and empty if the receipt does not say.
	Conversation *schema.Conversation
	EventID      string
}

// Waiting says how long [Reader.Wait] waits, and how.
type Waiting struct {
	// Timeout is for how long. Every is the time between two looks.
	Timeout, Every time.Duration
	// Since is a time before which no outcome of these events was written. It saves reading older ones. Zero: all are read.
	Since time.Time
	// Looked, unless nil, is called after each look, with the number of events that have ended.
	Looked func(ended int)
	// Trouble, unless nil, is called with the error of a look that failed and is repeated.
	Trouble func(error)
}

// ReceiptError says that a receipt is not one of the topic that is read.
type ReceiptError struct {
	ID, Reason string
}

func (e *ReceiptError) Error() string { return e.ID + ": " + e.Reason }

const (
	// reachAttempts is for how many seconds a record that was just acknowledged may lie beyond the end that a new leader names.
	reachAttempts = 5
	reachPause    = time.Second
)

// Wait returns the events of receipts, in their order, once all have ended or the time is up: then some are not final. The dead letters are
// read as seldom as possible: once nothing else can tell of the events that are left, and at the end.
//
// A look that fails is repeated until the time is up, unless brokers refuse this client. If the last one fails, what was seen before counts. It is an error
// if the records themselves were never seen. The error is a [*ReceiptError] if a receipt names a record beyond the end of its partition, or one that asks
// for something else.
func (r *Reader) Wait(ctx context.Context, receipts []Receipt, w Waiting) ([]*Event, Totals, error) {
	in := r.inquire(Query{Records: idsOf(receipts)})
	in.outcomesSince = w.Since
	deadline := time.Now().Add(w.Timeout)
	if err := in.name(receipts); err != nil {
		return nil, in.totals, err
	}
	for letters := false; ; {
		last := !time.Now().Before(deadline)
		err := in.look(ctx, letters || last)
		if ctx.Err() != nil {
			return nil, in.totals, ctx.Err()
		}
		if err != nil && (hopeless(err) || last && !in.begun) {
			return nil, in.totals, err
		}
		if err != nil && w.Trouble != nil {
			w.Trouble(err)
		}
		pending := in.pending()
		if w.Looked != nil {
			w.Looked(len(receipts) - len(pending))
		}
		if last || err == nil && len(pending) == 0 {
			return in.top(), in.totals, nil
		}
		if again := err == nil && onlyLetters(pending); again && !letters {
			letters = true
			continue
		}
		letters = false
		if err := wait(ctx, min(w.Every, time.Until(deadline))); err != nil {
			return nil, in.totals, err
		}
	}
}

func idsOf(receipts []Receipt) []string {
	ids := make([]string, len(receipts))
	for i, r := range receipts {
		ids[i] = r.ID
	}
	return ids
}

// hopeless says whether another look would fail in the same way.
func hopeless(err error) bool {
	_, elsewhere := errors.AsType[*LettersElsewhereError](err)
	_, missing := errors.AsType[*consumer.TopicError](err)
	_, wrong := errors.AsType[*ReceiptError](err)
	return elsewhere || missing || wrong || cluster.Refusal(err) != nil
}

// name takes up the events of the receipts.
func (in *inquiry) name(receipts []Receipt) error {
	for i := range receipts {
		topic, partition, offset, err := schema.ParseID(receipts[i].ID)
		if err != nil {
			return err
		}
		if topic != in.cfg.Topic {
			return &ReceiptError{ID: receipts[i].ID, Reason: "is no record of topic " + in.cfg.Topic}
		}
		in.add(partition, offset).asked = &receipts[i]
	}
	return nil
}

// look looks once. As long as none has succeeded, it begins with the records of the receipts.
func (in *inquiry) look(ctx context.Context, letters bool) error {
	begin := in.unhide
	if !in.begun {
		begin = in.begin
	}
	if err := begin(ctx); err != nil {
		return err
	}
	in.begun = true
	return in.round(ctx, letters)
}

// begin picks the records of the receipts, and compares the two.
func (in *inquiry) begin(ctx context.Context) error {
	if err := in.reach(ctx); err != nil {
		return err
	}
	if err := (&source{in: in}).look(ctx); err != nil {
		return err
	}
	return in.checkReceipts()
}

// reach learns the extents of the partitions. A record beyond one of them was not published.
func (in *inquiry) reach(ctx context.Context) error {
	for attempt := 1; ; attempt++ {
		if err := (&source{in: in}).spans(ctx); err != nil {
			return err
		}
		beyond := in.beyond()
		if beyond == nil {
			return nil
		}
		if attempt == reachAttempts || beyond.Partition >= in.events.Partitions {
			return beyond.noRecord(in)
		}
		if err := wait(ctx, reachPause); err != nil {
			return err
		}
	}
}

// unhide picks the records that lay behind an open transaction.
func (in *inquiry) unhide(ctx context.Context) error {
	var hidden []*Event
	for _, e := range in.byID {
		if e.Source == Hidden {
			hidden = append(hidden, e)
		}
	}
	if len(hidden) == 0 {
		return nil
	}
	s := &source{in: in}
	if err := s.spans(ctx); err != nil {
		return err
	}
	if err := s.pick(ctx, hidden); err != nil {
		return err
	}
	return in.checkReceipts()
}

// beyond returns an event whose record lies behind the end of its partition; nil if none does.
func (in *inquiry) beyond() *Event {
	for _, e := range in.list() {
		if e.Partition >= in.events.Partitions || e.Offset >= in.spans[e.Partition].End {
			return e
		}
	}
	return nil
}

func (e *Event) noRecord(in *inquiry) error {
	if e.Partition >= in.events.Partitions {
		return &ReceiptError{ID: e.ID, Reason: fmt.Sprintf("no such record: the topic has %d partitions", in.events.Partitions)}
	}
	return &ReceiptError{ID: e.ID, Reason: fmt.Sprintf("no such record: the partition ends at offset %d (was the topic made anew?)", in.spans[e.Partition].End)}
}

func (in *inquiry) checkReceipts() error {
	for _, e := range in.list() {
		if err := e.checkReceipt(); err != nil {
			return err
		}
	}
	return nil
}

// checkReceipt returns an error if the record asks for something else than the receipt says.
func (e *Event) checkReceipt() error {
	if e.Source != Present || e.asked == nil {
		return nil
	}
	says := e.asked
	switch {
	case e.Event == nil && says.Conversation != nil:
	case e.Event != nil && says.Conversation != nil && *says.Conversation != e.Event.Conversation:
	case e.Event != nil && says.EventID != "" && says.EventID != e.Event.ID:
	default:
		return nil
	}
	return &ReceiptError{ID: e.ID, Reason: "the record is not the one of the receipt: it asks for something else (was the topic made anew?)"}
}

// pending returns the events that have not ended, replays aside.
func (in *inquiry) pending() []*Event {
	var all []*Event
	for _, e := range in.byID {
		if e.parent == nil && !e.Ruling.Final() {
			all = append(all, e)
		}
	}
	return all
}

// onlyLetters says that the dead letters are all that can tell more of these events now.
func onlyLetters(pending []*Event) bool {
	for _, e := range pending {
		if !e.needsLetters() {
			return false
		}
	}
	return true
}

// wait waits, or returns the error of ctx.
func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(max(0, d))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
