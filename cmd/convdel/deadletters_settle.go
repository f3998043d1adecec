package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"convdel/consumer/deadletter"
)

// defaultMaxAge is the largest age of events that a replay publishes by default.
const defaultMaxAge = 24 * time.Hour

// lettersReplayCommand publishes the events of dead letters again.
type lettersReplayCommand struct {
	filterFlags `embed:""`

	Yes            bool   `group:"settle" help:"Carry the plan out. Without this flag, the plan is shown and nothing is changed."`
	MaxAge         string `default:"24h" group:"settle" help:"Leave older events alone, by the event's time; 0 = any age." placeholder:"TIME"`
	Rate           string `default:"0" group:"settle" help:"Letters a second at most; 0 = as fast as the brokers acknowledge." placeholder:"NUMBER"`
	CallsPerSecond string `default:"200" group:"settle" help:"The service's quota, for the estimate of how long it takes." placeholder:"NUMBER" setting:""`

	tableSettings `embed:""`
}

// Help explains more than the flags' texts can.
func (*lettersReplayCommand) Help() string {
	return `Each letter's source record is published again to --topic, with its own key, value and headers; once
every in-sync replica has it, the letter is settled. The oldest go first, one by one. Interrupted or
killed, no letter is lost; the same command goes on. A record that the topic refuses for itself, for its
size above all, is skipped: its letter stays open, the others go on, and the exit status is 1.

Left alone: letters of other topics; what is older than --max-age, since a late delete can wipe a
conversation that has come back to life; and permanent and undecodable ones, which would only fail
again, unless --class or --id names them. So are letters of which nothing is there to be published: without
their record's value and without its event, and batches that can't be read. Of a letter without the value but
with the event, the event is published.

Letters that a chosen one replaces, since it is that of their replay, are settled along; the plan names them.

    convdel deadletters replay --class exhausted --since 6h
    convdel deadletters replay --class exhausted --since 6h --rate 50 --yes
    convdel deadletters replay --class permanent --code 50003 --yes
    convdel deadletters replay --id conversation.delete.requested/3/1234 --max-age 0 --yes`
}

// Run shows the plan. With --yes it carries it out.
func (r *lettersReplayCommand) Run(ctx context.Context, con *console) error {
	c := checker{flagsOnly: filterNames("max-age", "rate")}
	cfg := c.table(r.tableSettings, con.env)
	job := &settling{con: con, cfg: cfg, verb: "replay", past: "replayed", yes: r.Yes, everything: !r.given(), maxAge: r.MaxAge}
	job.choice = deadletter.Choice{
		Filter: c.filter(r.filterFlags, time.Now()), Topic: cfg.topic, MaxAge: c.age("max-age", r.MaxAge), Rate: c.rate("rate", r.Rate),
	}
	job.quota = c.number("calls-per-second", r.CallsPerSecond, 0, 100_000, ", 0 = no limit")
	if err := c.err(); err != nil {
		return err
	}
	table, err := cfg.open(ctx, con)
	if err != nil {
		return err
	}
	defer table.Close()
	job.plan, job.settle = table.PlanReplay, table.Replay
	return job.run(ctx)
}

// lettersDiscardCommand settles dead letters without publishing their events.
type lettersDiscardCommand struct {
	filterFlags `embed:""`

	Yes    bool   `group:"settle" help:"Carry the plan out. Without this flag, the plan is shown and nothing is changed."`
	Reason string `group:"settle" help:"Reason, which stays with the settled letter. Required." placeholder:"TEXT"`
	Rate   string `default:"0" group:"settle" help:"Letters a second at most; 0 = as fast as the brokers acknowledge." placeholder:"NUMBER"`

	tableSettings `embed:""`
}

// Help explains more than the flags' texts can.
func (*lettersDiscardCommand) Help() string {
	return `The events are given up: nothing is published, the letters are settled with the reason. There is no way
back but an export made before. Letters of other topics than --topic are left alone.

    convdel deadletters discard --reason 'test accounts, OPS-123' --code 50001
    convdel deadletters discard --reason 'test accounts, OPS-123' --code 50001 --yes
    convdel deadletters discard --reason mended --id conversation.delete.requested/3/1234 --yes`
}

// Run shows the plan. With --yes it carries it out.
func (d *lettersDiscardCommand) Run(ctx context.Context, con *console) error {
	c := checker{flagsOnly: filterNames("reason", "rate")}
	cfg := c.table(d.tableSettings, con.env)
	reason := c.reason("reason", d.Reason)
	job := &settling{con: con, cfg: cfg, verb: "discard", past: "discarded", yes: d.Yes, everything: !d.given()}
	job.choice = deadletter.Choice{Filter: c.filter(d.filterFlags, time.Now()), Topic: cfg.topic, Rate: c.rate("rate", d.Rate)}
	if err := c.err(); err != nil {
		return err
	}
	table, err := cfg.open(ctx, con)
	if err != nil {
		return err
	}
	defer table.Close()
	job.plan = table.PlanDiscard
	job.settle = func(ctx context.Context, choice deadletter.Choice, done func(*deadletter.Letter)) (deadletter.Plan, error) {
		return table.Discard(ctx, choice, reason, done)
	}
	return job.run(ctx)
}

// rate reads a number of letters a second; 0 is no limit.
func (c *checker) rate(flag, text string) float64 {
	const least, most = 0.001, 100_000
	n, err := strconv.ParseFloat(text, 64)
	if err != nil || n != 0 && !(n >= least && n <= most) {
		c.wrong(flag, text, "a number from 0.001 to 100000, or 0 = no limit")
		return 0
	}
	return n
}

// reason reads a line of text that must not be blank.
func (c *checker) reason(flag, text string) string {
	const longest = 1000
	if strings.TrimSpace(text) == "" || len(text) > longest || !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl) {
		c.wrong(flag, text, fmt.Sprintf("a line of text, at most %d bytes", longest))
	}
	return text
}

// settling is one replay or discard.
type settling struct {
	con        *console
	cfg        tableConfig
	verb, past string
	yes        bool
	everything bool // no filter is given
	choice     deadletter.Choice
	maxAge     string
	quota      int64 // the service's calls a second, for the estimate; 0 if none or unlimited
	plan       func(context.Context, deadletter.Choice) (deadletter.Plan, error)
	settle     func(context.Context, deadletter.Choice, func(*deadletter.Letter)) (deadletter.Plan, error)
}

func (s *settling) run(ctx context.Context) error {
	plan, err := s.plan(ctx, s.choice)
	if err != nil {
		return stoppedBy(ctx, fmt.Errorf("%w; nothing has been changed", err))
	}
	s.show(plan)
	switch {
	case plan.Settled == 0:
		return nil
	case !s.yes:
		say(s.con.stdout, "\nNothing has been changed. Add --yes to %s.\n", s.verb)
		return nil
	}
	say(s.con.stdout, "\n")
	progress := newCountProgress(s.con.stderr, s.past, plan.Settled)
	done := 0
	s.choice.Skipped = func(l *deadletter.Letter, err error) {
		progress.interrupt(func(w io.Writer) { say(w, "skipped %s: %v\n", l.ID(), err) })
	}
	s.choice.Planned = &plan
	settled, err := s.settle(ctx, s.choice, func(*deadletter.Letter) {
		done++
		progress.add()
	})
	progress.end()
	return s.outcome(ctx, progressOf{planned: plan.Settled, done: done, skipped: settled.Skipped}, err)
}

// progressOf counts the letters of a settling.
type progressOf struct{ planned, done, skipped int }

// errSkipped says that brokers refused the records of some letters because of the records themselves.
var errSkipped = errors.New("brokers refuse the records of some letters")

// outcome reports how many letters were settled.
func (s *settling) outcome(ctx context.Context, p progressOf, err error) error {
	done := p.done
	say(s.con.stdout, "%s %d of %d", s.past, done, p.planned)
	if p.skipped > 0 {
		say(s.con.stdout, ", skipped %d", p.skipped)
	}
	say(s.con.stdout, "\n")
	left := max(0, p.planned-done-p.skipped)
	switch {
	case err != nil && stoppedBy(ctx, err) == errInterrupted: //nolint:errorlint // it is returned as it is
		return fmt.Errorf("%w: %d %s, %d left; the same command goes on", errInterrupted, done, s.past, left)
	case err != nil:
		return fmt.Errorf("%d %s, %d left; the same command goes on: %w", done, s.past, left, err)
	case left > 0:
		say(s.con.stdout, "the others are not open as they were planned: another operator has settled them, or they are too old by now\n")
	}
	if p.skipped > 0 {
		return fmt.Errorf("%w: %d, as reported above; they stay open", errSkipped, p.skipped)
	}
	return nil
}
