package erasure_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"convdel/internal/erasure"
	"convdel/schema"
)

// errKilled ends a command between two of its steps.
var errKilled = errors.New("killed")

// world is everything outside of the command: the API with its lists, the topic of events, the service with its outcomes.
type world struct {
	q *erasure.Request
	// shown is how many conversations a list shows.
	shown int
	// talks are the conversations of all accounts, by the entry, with the time of the last message.
	talks map[schema.Conversation]time.Time
	// refused are conversations whose delete the API refuses.
	refused map[schema.Conversation]string
	// keeps are conversations that the API keeps although it says that it has deleted them.
	keeps   map[schema.Conversation]bool
	gone    map[string]bool // accounts that the API does not know
	doubts  int             // how many lists more are not complete
	failing map[string]bool // accounts whose lists can't be read
	late    int             // how many lists still show what was deleted
	records []erasure.Record
	// steps counts effects; the command is killed before effect kill, or, with half, in the middle of it.
	steps, kill int
	half        bool
	// message, if set, is called after each publication, awaited after each wait, with how many there were.
	message func()
	awaited func(n int)
	waits   int
	// published counts the records of each part, again those that were published although the part had an outcome.
	published map[string]int
	again     []string
	stopped   bool // the service does not run
}

func newWorld(q *erasure.Request) *world {
	return &world{
		q: q, shown: 100, talks: map[schema.Conversation]time.Time{}, refused: map[schema.Conversation]string{},
		keeps: map[schema.Conversation]bool{}, gone: map[string]bool{}, failing: map[string]bool{}, published: map[string]int{}, kill: -1,
	}
}

func c2c(from, to string) schema.Conversation {
	return schema.Conversation{From: from, Type: schema.C2C, To: to}
}

func (w *world) step() error {
	w.steps++
	if w.steps-1 == w.kill && !w.half {
		return errKilled
	}
	return nil
}

func (w *world) dead() bool { return w.steps-1 == w.kill }

func (w *world) Find(context.Context) ([]erasure.Record, error) {
	var found []erasure.Record
	now := time.Now()
	for _, r := range w.records {
		if r.Event.ErasureID == w.q.ID {
			r.Known = now
			found = append(found, r)
		}
	}
	return found, w.step()
}

func (w *world) List(_ context.Context, account string) (*erasure.Listing, error) {
	if err := w.step(); err != nil || w.dead() {
		return nil, errors.Join(err, errKilled)
	}
	list := &erasure.Listing{Began: time.Now(), Calls: 1}
	if w.gone[account] {
		list.NoAccount = "code 50001"
		return list, nil
	}
	if w.failing[account] {
		list.Doubt, list.Failed = "a call has failed", true
		return list, nil
	}
	for c, at := range w.talks {
		if c.From == account {
			list.Entries = append(list.Entries, erasure.Entry{Conversation: c, LastMessage: at.Truncate(time.Second)})
		}
	}
	for _, r := range w.records {
		if w.late > 0 && r.End != nil && r.Event.From == account {
			w.late--
			list.Entries = append(list.Entries, erasure.Entry{Conversation: r.Event.Conversation, LastMessage: time.Now().Add(-time.Hour)})
		}
	}
	slices.SortFunc(list.Entries, func(a, b erasure.Entry) int {
		if d := b.LastMessage.Compare(a.LastMessage); d != 0 {
			return d
		}
		return slices.Compare([]byte(a.Conversation.Key()), []byte(b.Conversation.Key()))
	})
	list.Entries = list.Entries[:min(w.shown, len(list.Entries))]
	if w.doubts > 0 {
		w.doubts--
		list.Doubt = "the API has repeated a conversation"
	}
	return list, nil
}

func (w *world) Publish(_ context.Context, events []schema.Event) ([]erasure.Record, error) {
	if err := w.step(); err != nil {
		return nil, err
	}
	if w.dead() {
		events = events[:(len(events)+1)/2]
	}
	var records []erasure.Record
	for _, e := range events {
		if w.ended(e.ID) {
			w.again = append(w.again, e.ID)
		}
		w.published[e.ID]++
		r := erasure.Record{ID: fmt.Sprintf("t/0/%d", len(w.records)), Published: time.Now(), Event: e}
		w.records = append(w.records, r)
		records = append(records, r)
	}
	if w.dead() {
		return nil, errKilled // acknowledged, and nobody has heard of it
	}
	if w.message != nil {
		w.message()
	}
	return records, nil
}

func (w *world) ended(part string) bool {
	return slices.ContainsFunc(w.records, func(r erasure.Record) bool { return r.Event.ID == part && r.End != nil })
}

// serve executes what is in the topic.
func (w *world) serve(most int) {
	for i := range w.records {
		r := &w.records[i]
		if r.End != nil || most == 0 {
			continue
		}
		most--
		c := r.Event.Conversation
		r.End = &erasure.End{Outcome: "deleted", Attempts: 1, Ended: time.Now(), Proven: true}
		if outcome := w.refused[c]; outcome != "" {
			r.End.Outcome, r.End.Code = outcome, 50002
		} else if !w.keeps[c] {
			delete(w.talks, c)
		}
	}
}

func (w *world) Await(ctx context.Context, pending []erasure.Record) ([]erasure.Record, error) {
	if err := w.step(); err != nil {
		return nil, err
	}
	switch {
	case w.stopped:
		<-ctx.Done()
	case w.dead():
		w.serve(len(pending) / 2)
		return nil, errKilled
	default:
		time.Sleep(time.Second)
		w.serve(-1)
	}
	var ended []erasure.Record
	for _, p := range pending {
		for _, r := range w.records {
			if r.ID == p.ID {
				r.Known = time.Now()
				ended = append(ended, r)
			}
		}
	}
	if w.waits++; w.awaited != nil {
		w.awaited(w.waits)
	}
	return ended, nil
}

// run runs the command until it is killed or ends.
func (w *world) run(ctx context.Context, wait time.Duration) (erasure.Result, error) {
	w.steps = 0
	return erasure.Run(ctx, w, w.q, erasure.Options{Deadline: time.Now().Add(wait), Pause: time.Second, Looks: 2})
}

// runFor runs the command with a time that ends what waits for the service.
func (w *world) runFor(t *testing.T, wait time.Duration) (erasure.Result, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), wait)
	defer cancel()
	return w.run(ctx, wait)
}
