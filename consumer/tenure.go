package consumer

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"
)

// tenures are the partitions that a session serves, each from its opening to the moment at which it is given up. One goroutine, follow's,
// uses them.
type tenures struct {
	*session

	// term is that of the holdings which the session began with.
	term int
	// open are the partitions that are opened, opening those that are being opened, leaving those that are being given up.
	open    map[int]*tenure
	opening *opening
	leaving map[int]struct{}
	// opened gets what an opening has come to, gone the partitions that have been given up.
	opened chan *opening
	gone   chan int
	tasks  sync.WaitGroup
}

// tenure is a partition that is read. stop ends the reading, and read is closed when it has ended.
type tenure struct {
	p    *partition
	stop context.CancelFunc
	read chan struct{}
}

// opening is an attempt to open partitions. stop gives it up.
type opening struct {
	ids  []int
	stop context.CancelFunc
	got  []*partition
	err  error
}

// follow works on what this replica holds, until ctx ends. It calls end, which ends ctx, if the session can't go on.
func (s *session) follow(ctx context.Context, end context.CancelFunc) {
	t := &tenures{
		session: s, term: s.term, open: make(map[int]*tenure), leaving: make(map[int]struct{}),
		opened: make(chan *opening), gone: make(chan int),
	}
	defer t.tasks.Wait()
	for ctx.Err() == nil {
		now := s.holdings.now()
		if !now.joined || now.term != t.term {
			return // watchTerm ends the session
		}
		t.heed(ctx, now, end)
		select {
		case <-ctx.Done():
		case <-now.changed:
		case o := <-t.opened:
			t.read(ctx, o, end)
		case id := <-t.gone:
			delete(t.leaving, id)
			t.holdings.left(t.term, id)
		}
	}
}

// heed begins what the holdings ask for: at most one opening at a time is under way.
func (t *tenures) heed(ctx context.Context, now heldNow, end context.CancelFunc) {
	for _, id := range now.leave {
		if t.opening != nil && slices.Contains(t.opening.ids, id) {
			t.opening.stop() // the others are opened without it
			continue
		}
		if _, begun := t.leaving[id]; begun {
			continue
		}
		of, ok := t.open[id]
		if !ok {
			t.holdings.left(t.term, id)
			continue
		}
		delete(t.open, id)
		t.leaving[id] = struct{}{}
		t.tasks.Go(func() { t.giveUp(ctx, of, end) })
	}
	if t.opening != nil {
		return
	}
	ids := slices.DeleteFunc(now.keep, func(id int) bool {
		_, leaving := t.leaving[id]
		return leaving || t.open[id] != nil
	})
	if len(ids) == 0 {
		t.idles(now)
		return
	}
	o := &opening{ids: ids}
	var each context.Context
	each, o.stop = context.WithCancel(ctx)
	t.opening = o
	t.tasks.Go(func() {
		if o.err = pause(each, time.Until(now.begin)); o.err == nil {
			o.got, o.err = t.opener.open(each, ids)
		}
		if o.err != nil && t.forget(ctx, ids) != nil {
			o.stop() // nobody reads it, and the session drains what was added
			return
		}
		select {
		case t.opened <- o:
		case <-ctx.Done():
			o.stop()
		}
	})
}

// forget forgets partitions that are not opened after all. Some may have been added, and have a commit on its way: that ends first, since another
// member may get them. An error is that of ctx.
func (t *tenures) forget(ctx context.Context, ids []int) error {
	for _, id := range ids {
		if p := t.owned.of(id); p != nil && t.committer.forget(ctx, p) != nil {
			return ctx.Err()
		}
	}
	t.owned.remove(ids...)
	return nil
}

// idles notes that a replica without partitions has no other work.
func (t *tenures) idles(now heldNow) {
	if len(now.keep) == 0 {
		t.worked()
	}
}

// read begins to read the partitions of an opening, or ends the session if they can't be opened.
func (t *tenures) read(ctx context.Context, o *opening, end context.CancelFunc) {
	o.stop()
	t.opening = nil
	if o.err != nil {
		if isFinal(o.err) {
			t.log.LogAttrs(ctx, slog.LevelError, "the partitions are not opened: leaving the group", slog.Any("error", o.err))
		}
		if !errors.Is(o.err, context.Canceled) {
			t.leave(o.err, end)
		}
		return
	}
	for _, p := range o.got {
		reading, stop := context.WithCancel(ctx)
		of := &tenure{p: p, stop: stop, read: make(chan struct{})}
		t.open[p.id] = of
		f := t.newFetcher(p)
		t.tasks.Go(func() {
			defer close(of.read)
			defer stop()
			t.leave(f.run(reading), end)
		})
	}
}

// giveUp drains a partition, commits it and forgets it, before another member gets it. It stops halfway if ctx ends: then the whole session
// drains.
func (t *tenures) giveUp(ctx context.Context, of *tenure, end context.CancelFunc) {
	ctx, over := t.owned.loops.begin(ctx, "give up a partition")
	defer over()
	l := loopOf(ctx)
	of.stop()
	l.rests()
	<-of.read
	l.works()
	t.dispatcher.queue.give(of.p)
	t.owned.share.drop(of.p.id)
	if !t.emptied(ctx, of.p) {
		return
	}
	if err := t.commitLast(ctx, []*partition{of.p}, ctx.Done()); isFenced(err) {
		t.fence(err, end)
		return
	}
	if ctx.Err() != nil || t.committer.forget(ctx, of.p) != nil {
		return
	}
	t.owned.remove(of.p.id)
	l.rests()
	select {
	case t.gone <- of.p.id:
	case <-ctx.Done():
	}
}

// emptied waits until no event of a partition is in memory, for the drain timeout at most. What waits for a write is left to the next owner
// then, and so is a call under way, which ends by its own timeout. A write under way ends first, since the last commit has to say what has come of
// it. It returns false if ctx ends.
func (t *tenures) emptied(ctx context.Context, p *partition) bool {
	l := loopOf(ctx)
	l.rests()
	defer l.works()
	if empty, emptied := p.empty(); !empty {
		waiting, stop := context.WithTimeout(ctx, t.drainTimeout)
		err := wait(waiting, time.Time{}, emptied)
		stop()
		if err != nil && ctx.Err() == nil {
			t.log.LogAttrs(ctx, slog.LevelWarn, "drain timeout of a partition: its events that have not ended will be delivered again to its next owner",
				slog.Int("partition", p.id), slog.Duration("drain_timeout", t.drainTimeout))
			written := p.cut()
			t.deadLetters.drop()
			t.outcomes.drop()
			_ = wait(ctx, time.Time{}, written)
			t.outcomes.drop() // of letters that were acknowledged meanwhile
		}
	}
	return ctx.Err() == nil
}
