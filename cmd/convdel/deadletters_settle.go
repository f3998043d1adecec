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
	settleFlags `embed:""`

	MaxAge         string `default:"24h" group:"settle" help:"Leave older events alone, by the event's time; 0 = any age." placeholder:"TIME"`
	Rate           string `default:"0" group:"settle" help:"Letters a second at most; 0 = as fast as the brokers acknowledge." placeholder:"NUMBER"`
	CallsPerSecond string `default:"200" group:"settle" help:"The service's quota, for the estimate of how long it takes." placeholder:"NUMBER" setting:""`

	tableSettings         `embed:""`
	settleOutcomeSettings `embed:"" group:"kafka"`
}

// Help explains more than the flags' texts can.
func (*lettersReplayCommand) Help() string {
	return `Each letter's source record is published again to --topic, with its own key, value and headers; once
every in-sync replica has it, the letter is settled. If the letter names a topic for outcomes, that is
recorded there before. The oldest go first, one by one. Interrupted or
killed, no letter is lost; the same command goes on. A record that the topic refuses for itself, for its
size above all, is skipped: its letter stays open, the others go on, and the exit status is 1.

Left alone: letters of other topics; what is older than --max-age, since a late delete can wipe a
conversation that has come back to life; and permanent and undecodable ones, which would only fail
again, unless --class or --id names them. So are letters of which nothing is there to be published: without
their record's value and without its event, and batches that can't be read. Of a letter without the value but
with the event, the event is published.

Letters that a chosen one replaces, since it is that of their replay, are settled along; the plan names them.
--yes settles what its own plan lists and nothing that has come or changed since. Without a filter it takes
--all. An --id that no open letter has is reported, and the exit status is 1.

    convdel deadletters replay --class exhausted --since 6h
    convdel deadletters replay --class exhausted --since 6h --rate 50 --yes
    convdel deadletters replay --class permanent --code 50003 --yes
    convdel deadletters replay --id conversation.delete.requested/3/1234 --max-age 0 --yes`
}

// Run shows the plan. With --yes it carries it out.
func (r *lettersReplayCommand) Run(ctx context.Context, con *console) error {
	c, now := checker{flagsOnly: settleNames("max-age", "rate")}, time.Now()
	cfg := c.table(r.tableSettings, con.env)
	job := &settling{con: con, cfg: cfg, verb: "replay", past: "replayed", maxAge: r.MaxAge}
	job.choice = deadletter.Choice{
		Filter: c.filter(r.filterFlags, now), Topic: cfg.topic, MaxAge: c.age("max-age", r.MaxAge), Rate: c.rate("rate", r.Rate),
	}
	job.choice.OutcomeTopic = c.outcomeTopic(r.OutcomeTopic, cfg.topic, cfg.letters)
	r.read(&c, &r.filterFlags, job, now)
	job.quota = c.number("calls-per-second", r.CallsPerSecond, 0, 100_000, ", 0 = no limit")
	if err := c.err(); err != nil {
		return err
	}
	table, err := cfg.open(ctx, con)
	if err != nil {
		return err
	}
	defer table.Close()
	job.table, job.plan, job.settle = table, table.PlanReplay, table.Replay
	return job.run(ctx)
}

// lettersDiscardCommand settles dead letters without publishing their events.
type lettersDiscardCommand struct {
	filterFlags `embed:""`
	settleFlags `embed:""`

	Reason string `group:"settle" help:"Reason, which stays with the settled letter. Required." placeholder:"TEXT"`
	Rate   string `default:"0" group:"settle" help:"Letters a second at most; 0 = as fast as the brokers acknowledge." placeholder:"NUMBER"`

	tableSettings         `embed:""`
	settleOutcomeSettings `embed:"" group:"kafka"`
}

// Help explains more than the flags' texts can.
func (*lettersDiscardCommand) Help() string {
	return `The events are given up: nothing is published, the letters are settled with the reason. There is no way
back but an export made before, or "show" until compaction. If a letter names a topic for outcomes, that is
recorded there before. Letters of other topics than --topic are left
alone. --yes settles what its own plan lists and nothing that has come or changed since. Without a filter it
takes --all. An --id that no open letter has is reported, and the exit status is 1.

    convdel deadletters discard --reason 'test accounts, OPS-123' --code 50001
    convdel deadletters discard --reason 'test accounts, OPS-123' --code 50001 --expect 8 --yes
    convdel deadletters discard --reason mended --id conversation.delete.requested/3/1234 --yes`
}

// Run shows the plan. With --yes it carries it out.
func (d *lettersDiscardCommand) Run(ctx context.Context, con *console) error {
	c, now := checker{flagsOnly: settleNames("reason", "rate")}, time.Now()
	cfg := c.table(d.tableSettings, con.env)
	reason := c.line("reason", d.Reason)
	job := &settling{con: con, cfg: cfg, verb: "discard", past: "discarded"}
	job.choice = deadletter.Choice{Filter: c.filter(d.filterFlags, now), Topic: cfg.topic, Rate: c.rate("rate", d.Rate)}
	job.choice.OutcomeTopic = c.outcomeTopic(d.OutcomeTopic, cfg.topic, cfg.letters)
	d.read(&c, &d.filterFlags, job, now)
	if err := c.err(); err != nil {
		return err
	}
	table, err := cfg.open(ctx, con)
	if err != nil {
		return err
	}
	defer table.Close()
	job.table, job.plan = table, table.PlanDiscard
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

// line reads a line of text that must not be blank.
func (c *checker) line(flag, text string) string {
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
	everything bool   // no filter is given
	expect     *int64 // how many letters the plan must have; nil if any number will do
	table      *deadletter.Table
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
	missing, err := s.missing(ctx, plan)
	if err != nil {
		return stoppedBy(ctx, fmt.Errorf("%w; nothing has been changed", err))
	}
	if err := s.show(plan, missing); err != nil {
		return err
	}
	if s.expect != nil && int64(plan.Settled) != *s.expect {
		return fmt.Errorf("%w: %d in the plan, %d by --expect; nothing has been changed", errUnexpected, plan.Settled, *s.expect)
	}
	if plan.Settled > 0 && s.yes {
		err = s.carryOut(ctx, plan)
	} else if plan.Settled > 0 {
		say(s.con.stdout, "\nNothing has been changed. Add %s to %s.\n", s.permission(), s.verb)
	}
	if len(missing) > 0 {
		err = errors.Join(err, fmt.Errorf("%w: %d of --id, as reported above", errNotChosen, len(missing)))
	}
	return err
}

var (
	errUnexpected = errors.New("another number of letters than expected")
	errNotChosen  = errors.New("letters that are not to be settled")
)

// permission names the flags that carry the plan out.
func (s *settling) permission() string {
	if s.everything {
		return "--all --yes"
	}
	return "--yes"
}

// missing says of each ID of the filter why the plan has no letter of it.
func (s *settling) missing(ctx context.Context, plan deadletter.Plan) ([]string, error) {
	var lines []string
	for _, id := range plan.Unmatched {
		lines = append(lines, id+": open, but another filter leaves it out")
	}
	if len(plan.NotOpen) == 0 {
		return lines, nil
	}
	fates, err := fatesOf(ctx, s.table, plan.NotOpen)
	for _, f := range fates {
		lines = append(lines, f.id+": not open: "+f.String())
	}
	return lines, err
}

// carryOut settles the letters of a plan.
func (s *settling) carryOut(ctx context.Context, plan deadletter.Plan) error {
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
		return fmt.Errorf("%w: %d %s, %d left; %s", errInterrupted, done, s.past, left, s.again())
	case err != nil:
		return fmt.Errorf("%d %s, %d left; %s: %w", done, s.past, left, s.again(), err)
	case left > 0:
		say(s.con.stdout, "the others are not what they were in the plan: another operator has settled them, they were written anew, or they are too old by now\n")
	}
	if p.skipped > 0 {
		return fmt.Errorf("%w: %d, as reported above; they stay open", errSkipped, p.skipped)
	}
	return nil
}

// again says how to go on after an interruption.
func (s *settling) again() string {
	if s.expect != nil {
		return "the same command without --expect goes on"
	}
	return "the same command goes on"
}
