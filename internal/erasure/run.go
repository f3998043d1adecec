package erasure

import (
	"context"
	"errors"
	"time"

	"convdel/schema"
)

// Desk does what an erasure needs done.
type Desk interface {
	// Find returns all records that bear the request's ID, with their ends.
	Find(ctx context.Context) ([]Record, error)
	// List reads an account's list. It tries again by itself what may succeed later, until the time is up.
	List(ctx context.Context, account string) (*Listing, error)
	// Publish publishes events in their order, and returns the records that are acknowledged, beside an error too. It stops early at the deadline.
	Publish(ctx context.Context, events []schema.Event) ([]Record, error)
	// Await returns the records with their ends once all have ended, or at the deadline: then some have none. What has ended before may have another end.
	Await(ctx context.Context, records []Record) ([]Record, error)
}

// Options say how an erasure is run.
type Options struct {
	// Deadline ends the waiting.
	Deadline time.Time
	// Pause is the time between two looks at a list that is not complete, or that still shows what was deleted. Looks is how often a list is
	// read again for the latter.
	Pause time.Duration
	Looks int
	// Round, unless nil, is called with each ruling before it is followed.
	Round func(Ruling)
}

// Source is the CloudEvents source of parts.
const Source = "/convdel/erase"

// Result is what has become of a request.
type Result struct {
	Ruling

	Evidence Evidence
	// Rounds is how many times parts were published. Read is when the account's last list was read.
	Rounds int
	Read   time.Time
}

// errStuck says that a record has no end, although the desk says that all have ended.
var errStuck = errors.New("a part is neither pending nor ended")

// Plan looks, and does nothing else.
func Plan(ctx context.Context, desk Desk, q *Request) (Result, error) {
	run := &running{desk: desk, q: q}
	if err := run.find(ctx); err != nil {
		return Result{}, err
	}
	if err := run.look(ctx); err != nil {
		return Result{}, err
	}
	res := run.result()
	res.State = Planned
	return res, nil
}

// Run goes on with a request until only exceptions are left, or until the deadline. The state is InProgress then.
func Run(ctx context.Context, desk Desk, q *Request, o Options) (Result, error) {
	run := &running{desk: desk, q: q, o: o}
	err := run.find(ctx)
	for err == nil {
		if err = run.look(ctx); err != nil {
			break
		}
		if o.Round != nil {
			o.Round(run.ruling)
		}
		var over bool
		if over, err = run.step(ctx); over {
			break
		}
	}
	return run.result(), err
}

// running is one run.
type running struct {
	desk   Desk
	q      *Request
	o      Options
	ev     Evidence
	ruling Ruling
	rounds int
	again  int
}

func (r *running) result() Result {
	res := Result{Ruling: r.ruling, Evidence: r.ev, Rounds: r.rounds}
	if list := r.ev.Lists[r.q.Account]; list != nil {
		res.Read = list.Began
	}
	return res
}

func (r *running) find(ctx context.Context) (err error) {
	r.ev.Records, err = r.desk.Find(ctx)
	return err
}

// look reads the lists, that of the account first, and rules.
func (r *running) look(ctx context.Context) error {
	r.ev.Lists = make(map[string]*Listing)
	accounts := []string{r.q.Account}
	if r.q.OtherSides {
		for i := range r.ev.Records {
			if e := &r.ev.Records[i].Event; r.q.counts(e) {
				accounts = append(accounts, e.From)
			}
		}
	}
	for len(accounts) > 0 {
		for _, account := range accounts {
			if r.ev.Lists[account] != nil {
				continue
			}
			list, err := r.desk.List(ctx, account)
			if err != nil {
				return err
			}
			r.ev.Lists[account] = list
		}
		r.ruling = Rule(r.q, &r.ev)
		accounts = r.ruling.Need
	}
	return nil
}

// step follows the ruling. It returns true if nothing is left to be done, or no time.
func (r *running) step(ctx context.Context) (over bool, err error) {
	late := !time.Now().Before(r.o.Deadline)
	if len(r.ruling.Publish) > 0 && !late {
		if err := r.publish(ctx); err != nil {
			return true, err
		}
	}
	if len(r.ruling.Pending) > 0 {
		r.again = 0
		if err := r.awaitPending(ctx); err != nil {
			return true, err
		}
		return r.late(), nil
	}
	switch {
	case late:
		_, err := r.confirm(ctx)
		return true, err
	case len(r.ruling.Publish) > 0:
		return false, nil
	case r.ruling.State != InProgress && (!r.ruling.lingering || r.again >= r.o.Looks):
		changed, err := r.confirm(ctx)
		return !changed || r.late(), err
	case r.ruling.State != InProgress:
		r.again++
	}
	// A list that is read once the time is up is not complete, and would only hide what the last one has shown.
	err = pause(ctx, min(r.o.Pause, time.Until(r.o.Deadline)))
	return !time.Now().Before(r.o.Deadline), err
}

// late rules once more on what is known, and says whether the time is up.
func (r *running) late() bool {
	if time.Now().Before(r.o.Deadline) {
		return false
	}
	r.ruling = Rule(r.q, &r.ev)
	return true
}

// publish publishes what the ruling says. All parts have the request's time, so that the service can tell a later message.
func (r *running) publish(ctx context.Context) error {
	at := r.ruling.Requested
	if at.IsZero() {
		at = time.Now()
	}
	events := make([]schema.Event, len(r.ruling.Publish))
	for i, c := range r.ruling.Publish {
		events[i] = schema.Event{
			Conversation: c, ClearRamble: r.q.ClearRamble, Time: at, ID: schema.PartID(r.q.ID, c), Source: Source, ErasureID: r.q.ID,
		}
	}
	r.rounds++
	records, err := r.desk.Publish(ctx, events)
	r.ev.Records = append(r.ev.Records, records...)
	r.ruling = Rule(r.q, &r.ev)
	return err
}

// confirm looks once more at the parts that were not deleted, before the request ends with exceptions: since a part was seen to end, its event may have come
// again, or its dead letter may have been replayed. It returns true if something has changed, and has ruled on it.
func (r *running) confirm(ctx context.Context) (changed bool, err error) {
	if r.ruling.State != Exceptions {
		return false, nil
	}
	// A record that is gone does not come again.
	changed, err = r.await(ctx, func(rec *Record) bool { return rec.End != nil && !rec.End.deleted() && !rec.Gone })
	if changed {
		r.ruling = Rule(r.q, &r.ev)
	}
	return changed, err
}

// await waits for the ends of the parts that fulfil a condition. It returns true if an end has come or changed.
func (r *running) await(ctx context.Context, fulfil func(*Record) bool) (changed bool, err error) {
	var records []Record
	at := make(map[string]int)
	for i := range r.ev.Records {
		if rec := &r.ev.Records[i]; r.q.counts(&rec.Event) && fulfil(rec) {
			records = append(records, *rec)
			at[rec.ID] = i
		}
	}
	if len(records) == 0 {
		return false, nil
	}
	ended, err := r.desk.Await(ctx, records)
	if err != nil {
		return false, err
	}
	for _, rec := range ended {
		if i, ok := at[rec.ID]; ok && !rec.End.same(r.ev.Records[i].End) {
			r.ev.Records[i] = rec
			changed = true
		}
	}
	return changed, nil
}

// awaitPending waits for what is pending.
func (r *running) awaitPending(ctx context.Context) error {
	progress, err := r.await(ctx, func(rec *Record) bool { return rec.End == nil })
	if err == nil && !progress && time.Now().Before(r.o.Deadline) {
		return errStuck
	}
	return err
}

// pause waits, or returns the error of ctx.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(max(0, d))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
