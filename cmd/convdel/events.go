package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/schollz/progressbar/v3"

	"convdel/consumer/evidence"
	"convdel/schema"
)

// eventsName is the command with subcommands.
const eventsName = "events"

// eventsCommand looks at events.
type eventsCommand struct {
	Find eventsFindCommand `cmd:"" help:"Show what has become of events: by record, event ID, account, conversation or erasure."`
}

// eventsFindCommand says what has become of events.
type eventsFindCommand struct {
	ID            words   `group:"events" help:"Records, as receipts of publish and dead letters name them. Not with other selectors." name:"id" placeholder:"TOPIC/PARTITION/OFFSET"`
	EventID       *string `group:"events" help:"The event's CloudEvents id." name:"event-id" placeholder:"ID"`
	Account       *string `group:"events" help:"Either side of the conversation." placeholder:"ID"`
	From          *string `group:"events" help:"With --to: the account whose conversation it is." placeholder:"USERID"`
	To            *string `group:"events" help:"With --from: the other side, an account, or a group's ID with --type g2c." placeholder:"ID"`
	Type          *string `group:"events" help:"Of --from and --to: c2c (or 1), which is meant without it, or g2c (or 2)." placeholder:"TYPE" words:"c2c,g2c"`
	Erasure       *string `group:"events" help:"The request of which the event is a part (erasureid)." placeholder:"ID"`
	Since         *string `group:"events" help:"Published at that time or later: RFC 3339, a date, or an age such as 90m, 2d or 1w. It saves reading what is older." placeholder:"TIME"`
	AllPartitions bool    `group:"events" help:"With --from and --to: read all partitions, even if the conversation's own has some of its events."`
	Format        string  `default:"table" group:"output" help:"table; json, one object; ndjson, one object a line." placeholder:"FORMAT" words:"table,json,ndjson"`

	evidenceSettings `embed:""`
}

// Help explains more than the flags' texts can.
func (*eventsFindCommand) Help() string {
	return `One row for each event: when it was published and has ended, how, by whose replay or discard, and on what
evidence: outcomes where the service records them (--outcome-topic), otherwise dead letters, their
tombstones and the group's offsets. The lines below the table say what that can't prove. Different
selectors must all match.

    convdel events find --id conversation.delete.requested/3/1234
    convdel events find --account alice --since 7d
    convdel events find --from alice --to bob
    convdel events find --erasure R-1 --format ndjson | jq -r 'select(.outcome != "deleted").id'

A record that is no event names no account. Such a record is found by what it holds anywhere, and marked:
? in a field, the key, a header, or the bytes. It may be one too many. Records of which nobody can tell
are counted. The record of a replay is part of the event that it replays.

A conversation is looked for in the partition of its key, where publishers put it, and in all partitions
if that has none of its events.`
}

// Run finds the events and shows them.
func (f *eventsFindCommand) Run(ctx context.Context, con *console) error {
	c := checker{flagsOnly: []string{"id", "event-id", "account", "from", "to", "type", "erasure", "since", "all-partitions", "format"}}
	cfg := c.evidence(f.evidenceSettings, con.env)
	query := f.query(&c, cfg.Topic, time.Now())
	c.oneOf("format", f.Format, formatTable, formatJSON, formatNDJSON)
	if err := c.err(); err != nil {
		return err
	}
	reader, err := openEvidence(ctx, con, cfg)
	if err != nil {
		return err
	}
	defer reader.Close()
	bar := showReading(con, reader)
	events, totals, err := reader.Find(ctx, query)
	bar()
	if err != nil {
		return stoppedBy(ctx, err)
	}
	if err := writeEvents(con, f.Format, &cfg, events, totals); err != nil {
		return err
	}
	f.summary(con, &cfg, events, totals)
	return nil
}

func (f *eventsFindCommand) summary(con *console, cfg *evidence.Config, events []*evidence.Event, totals evidence.Totals) {
	w := con.stdout
	switch {
	case f.Format == formatJSON:
		return // the object has all of it
	case f.Format == formatNDJSON:
		w = con.stderr
	case len(events) > 0:
		say(w, "\n")
	}
	if len(events) == 0 {
		say(w, "no such event (%s of %s read)\n", countOf(totals.Records, "record", "records"), cfg.Topic)
	} else {
		say(w, "found %s: %s\n", countOf(len(events), "event", "events"), tally(events))
	}
	sayEvidence(w, cfg, events, totals)
}

// query reads the selectors.
func (f *eventsFindCommand) query(c *checker, topic string, now time.Time) evidence.Query {
	q := evidence.Query{EveryPartition: f.AllPartitions, Since: c.moment("since", f.Since, now)}
	for _, text := range f.ID {
		q.Records = append(q.Records, c.recordID("--id", text, topic))
	}
	others := 0
	for _, s := range []struct {
		flag string
		text *string
		into *string
	}{{"event-id", f.EventID, &q.EventID}, {"account", f.Account, &q.Account}, {"erasure", f.Erasure, &q.ErasureID}} {
		if s.text == nil {
			continue
		}
		others++
		if *s.into = *s.text; *s.text == "" {
			c.wrong(s.flag, "", "the text to look for")
		}
	}
	if f.From != nil || f.To != nil {
		others++
		q.Conversation = f.conversation(c)
	} else if f.Type != nil || f.AllPartitions {
		c.problems = append(c.problems, "--type and --all-partitions need --from and --to")
	}
	switch {
	case len(q.Records) > 0 && (others > 0 || f.Since != nil):
		c.problems = append(c.problems, "--id names the events: not with other selectors, nor with --since")
	case len(q.Records) == 0 && others == 0:
		c.problems = append(c.problems, "no event is named: give --id, --event-id, --account, --from and --to, or --erasure")
	}
	return q
}

func (f *eventsFindCommand) conversation(c *checker) *schema.Conversation {
	kind := "c2c"
	if f.Type != nil {
		kind = *f.Type
	}
	event := (&publishCommand{From: f.From, To: f.To, Type: kind}).event(c)
	return &event.Conversation
}

// recordID reads the ID of a record of the topic of events.
func (c *checker) recordID(name, text, topic string) string {
	of, _, _, err := schema.ParseID(text)
	switch {
	case err != nil:
		c.problems = append(c.problems, fmt.Sprintf("%s is %s: must be TOPIC/PARTITION/OFFSET", name, quote(text)))
	case of != topic:
		c.problems = append(c.problems, fmt.Sprintf("%s is %s: is no record of --topic, which is %q", name, quote(text), topic))
	}
	return text
}

// showReading shows on a terminal how much is read. The function that it returns removes the bar.
func showReading(con *console, reader *evidence.Reader) (end func()) {
	if !isTerminal(con.stderr) {
		return func() {}
	}
	bar := newBar(con.stderr, 1, progressbar.OptionShowIts(), progressbar.OptionSetItsString("offsets"))
	reader.Progress = func(passed, ahead int64) {
		if ahead != bar.GetMax64() {
			bar.ChangeMax64(ahead)
		}
		_ = bar.Set64(passed) // a bar that cannot be drawn is no reason to stop
	}
	return func() {
		reader.Progress = nil
		_ = bar.Clear()
		_, _ = io.WriteString(con.stderr, "\r")
	}
}
