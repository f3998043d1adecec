package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/schollz/progressbar/v3"

	"convdel/imclient/imtest"
	"convdel/internal/service"
)

// codeTooFast is the API's code for calls over the quota (product/269/1671).
const codeTooFast = 60007

const (
	// watchEvery is how often the demo checks whether all events have ended.
	watchEvery = 100 * time.Millisecond
	// moreAfter is how long no event has to end before one more is published.
	moreAfter = 300 * time.Millisecond
	// plainEvery is how often a line of progress is written where no bar can be drawn.
	plainEvery = time.Second
	// stuckAfter is how long no event may end, and no call may come, before the demo gives up.
	stuckAfter = 30 * time.Second
	// outage is how long the API fails for everybody. throttling is how long it answers that it is called too fast. Both
	// are so short that no event runs out of attempts.
	outage, throttling = 250 * time.Millisecond, 100 * time.Millisecond
)

var (
	errStuck      = errors.New("nothing has moved for " + stuckAfter.String())
	errStopsEarly = errors.New("the service has stopped before the end")
)

// watch shows progress until everything is committed. Meanwhile it lets the API fail for everybody: with HTTP 502 when 3 of
// 10 events have ended, and with calls refused as too fast when 9 of 10 have, which slows the service down for a while.
//
// Whenever no event ends for a while, watch publishes one more. Real topics are seldom silent, and an event that can't be
// reached becomes a dead letter only if others are deleted meanwhile.
func (d *demo) watch(ctx context.Context, work *served, total int, more func() error) error {
	show := d.newShow(total)
	defer show.end()
	faults := []struct {
		due   int
		fault imtest.Fault
		lasts time.Duration
	}{
		{total * 3 / 10, imtest.Fault{HTTPStatus: http.StatusBadGateway, AccountPrefix: "user-"}, outage},
		{total * 9 / 10, imtest.Fault{Code: codeTooFast, AccountPrefix: "user-"}, throttling},
	}
	moved, progress, n := time.Now(), 0, 0
	ended := time.Now()
	ticker := time.NewTicker(watchEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return fmt.Errorf("interrupted: %d of %d events had ended", n, total)
		case <-work.done:
			return errStopsEarly
		case <-ticker.C:
		}
		if now := service.Sum(d.service.Counts("convdel_events_total")); now != n {
			n, ended = now, time.Now()
		}
		show.set(n)
		for len(faults) > 0 && n >= faults[0].due {
			faults[0].fault.NotAfter = time.Now().Add(faults[0].lasts)
			d.sim.Script(faults[0].fault)
			faults = faults[1:]
		}
		if now := n + d.sim.Stats().Calls; now != progress {
			moved, progress = time.Now(), now
		}
		if time.Since(moved) > stuckAfter {
			return errStuck
		}
		if done, err := d.broker.drained(ctx); done || err != nil && ctx.Err() == nil {
			return err
		}
		if n > 0 && time.Since(ended) > moreAfter {
			ended = time.Now()
			if err := more(); err != nil {
				return err
			}
			show.total++
		}
	}
}

// show is the progress that people see.
type show struct {
	d     *demo
	total int
	bar   *progressbar.ProgressBar // nil where none can be drawn
	said  time.Time
}

func (d *demo) newShow(total int) *show {
	s := &show{d: d, total: total, said: time.Now()}
	if isTerminal(d.con.stderr) {
		s.bar = newBar(d.con.stderr, int64(total))
	}
	return s
}

func (s *show) set(n int) {
	switch {
	case s.bar != nil:
		_ = s.bar.Set(min(n, s.total)) // a bar that cannot be drawn is no reason to stop
	case time.Since(s.said) >= plainEvery:
		s.said = time.Now()
		say(s.d.con.stderr, "%d of %d events ended, %d calls\n", n, s.total, s.d.sim.Stats().Calls)
	}
}

func (s *show) end() {
	if s.bar != nil {
		_ = s.bar.Exit()
		say(s.d.con.stderr, "\n")
	}
}
