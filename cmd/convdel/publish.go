package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"convdel/internal/publish"
	"convdel/schema"
)

// publishCommand publishes events after checking each.
type publishCommand struct {
	From        *string `group:"event" help:"Account whose conversation is deleted. Without this flag, events are read from standard input." placeholder:"USERID"`
	To          *string `group:"event" help:"The other side: an account, or a group's ID with --type g2c." placeholder:"ID"`
	Type        string  `default:"c2c" group:"event" help:"c2c (or 1), a conversation of two; g2c (or 2), a group's." placeholder:"TYPE" words:"c2c,g2c"`
	ClearRamble bool    `group:"event" help:"Clear the messages stored for roaming, too."`

	CloudEvent string `group:"input" help:"bare, structured or binary. Without this flag, events from flags are bare and events from standard input unchanged." name:"cloud-event" placeholder:"WRAPPING" words:"bare,structured,binary"`
	Strict     bool   `group:"input" help:"Stop at the first bad line; no line behind it is published."`
	DryRun     bool   `group:"input" help:"Check events and print the records, without publishing them."`
	Format     string `default:"" group:"input" help:"A receipt for each record that is acknowledged: table; json, one object; ndjson, one object a line, which wait takes. Without this flag, their number alone." placeholder:"FORMAT" words:"table,json,ndjson"`

	brokerSettings   `embed:"" group:"kafka"`
	securitySettings `embed:"" group:"kafka"`
}

// Help explains more than the flags' texts can.
func (*publishCommand) Help() string {
	return `Standard input is one event a line, bare or as a structured CloudEvent:

    {"From_Account":"alice","Type":1,"To_Account":"bob","ClearRamble":1}

Lines of "convdel deadletters export" are taken too. Such a record is published with its own key and
headers, as a replay publishes it, once its value is found to be an event: the way to mend a letter
that is none is to correct "value" in its line (in place of "value_base64", if it has that). Publishing
does not settle the letter; discard it afterwards. Of a letter without its record's value the event is
published, if it has kept that. What can't be published is reported by line and ID: values that are no
events, letters of which nothing is left, batches.

    convdel publish < events.ndjson
    convdel deadletters export --class undecodable > letters.ndjson   # then edit, then:
    convdel publish < letters.ndjson

With --format, each record that is acknowledged gets a receipt with its place, so that "convdel wait" and
"convdel events find" can say what has become of it:

    convdel publish --format ndjson < events.ndjson | convdel wait

Bad lines are reported with their number and skipped. Records are keyed by conversation and count as
published once every in-sync replica has them. A record that the topic does not take, for its size above
all, is reported and skipped like a bad line. The exit status is 1 if a line was refused or a write failed, and 2 if
there was no line.

Refused, too, although the service would take them: a group's ID (@TGS#…, a topic's with @TOPIC#) as an
account or with type C2C, GROUP@TGS#… as client SDKs write it, and @TIM#SYSTEM.`
}

// Run publishes one event from flags, or all events on standard input.
func (p *publishCommand) Run(ctx context.Context, con *console) error {
	c := checker{flagsOnly: []string{"cloud-event", "format"}}
	wrap := wrappings()[c.oneOf("cloud-event", p.CloudEvent, "", wrapBare, wrapStructured, wrapBinary)]
	fromFlags := p.From != nil || p.To != nil || p.ClearRamble || p.Type != "c2c"
	var event schema.Event
	if fromFlags {
		event = p.event(&c)
	}
	sink := recordSink(&dryRun{w: con.stdout})
	if !p.DryRun {
		cluster := c.cluster(p.brokerSettings, p.securitySettings, con.env)
		topic := c.eventTopic(p.Topic)
		if c.err() == nil {
			sink = publish.NewWriter(cluster, topic)
		}
	}
	c.oneOf("format", p.Format, "", formatTable, formatJSON, formatNDJSON)
	if p.Format != "" && p.DryRun {
		c.conflict("format", p.Format, "not with --dry-run, which publishes nothing")
	}
	if err := c.err(); err != nil {
		return err
	}
	job := &publishing{con: con, sink: sink, topic: p.Topic, wrap: wrap, strict: p.Strict, receipts: newReceipts(con, p.Topic, p.Format)}
	var err error
	if fromFlags {
		err = job.one(ctx, event)
	} else {
		err = job.all(ctx)
	}
	err = errors.Join(err, sink.Close())
	if err == nil && job.published+job.refused == 0 {
		return errNoInput
	}
	err = errors.Join(err, job.receipts.end(&job.counts))
	p.summary(con, &job.counts)
	if err == nil && job.refused > 0 {
		return errReported
	}
	return err
}

// errNoInput says that there was nothing to publish, since an empty file or variable is a slip more often than not.
var errNoInput error = &usageError{lines: []string{"standard input has no event: nothing is published", "see \"convdel publish -h\""}}

// event reads the flags of one event.
func (p *publishCommand) event(c *checker) schema.Event {
	event := schema.Event{ClearRamble: p.ClearRamble}
	event.From, event.To = given(p.From), given(p.To)
	switch strings.ToLower(p.Type) {
	case "c2c", "1":
		event.Type = schema.C2C
	case "g2c", "2":
		event.Type = schema.G2C
	default:
		c.problems = append(c.problems, fmt.Sprintf("--type is %s: must be c2c, g2c, 1 or 2", quote(p.Type)))
		return event
	}
	err := event.Validate()
	if err == nil {
		err = checkSides(event)
	}
	if field, ok := errors.AsType[*schema.FieldError](err); ok {
		flag := map[string]string{"From_Account": "--from", "To_Account": "--to"}[field.Field]
		c.problems = append(c.problems, fmt.Sprintf("%s (%s): %s", flag, field.Field, field.Reason))
	}
	return event
}

// given returns a flag's text, which is empty if the flag is not there.
func given(flag *string) string {
	if flag == nil {
		return ""
	}
	return *flag
}

// summary writes the last line. It goes to standard error if standard output holds only records or receipts for programs.
func (p *publishCommand) summary(con *console, n *counts) {
	w, verb := con.stdout, "published"
	if p.DryRun {
		w, verb = con.stderr, "would publish"
	}
	if p.Format == formatJSON || p.Format == formatNDJSON {
		w = con.stderr
	}
	say(w, "%s %d, refused %d\n", verb, n.published, n.refused)
}

// counts are the numbers of published and refused events.
type counts struct{ published, refused int }

// publishing is one run of the command.
type publishing struct {
	con      *console
	sink     recordSink
	topic    string
	wrap     schema.Wrapping
	strict   bool
	receipts receipts
	counts
}

// one publishes one event.
func (p *publishing) one(ctx context.Context, event schema.Event) error {
	wrap := p.wrap
	if wrap == "" {
		wrap = schema.Bare
	}
	r, err := publish.Encode(event, wrap)
	if err != nil {
		return err
	}
	n, err := p.sink.Write(ctx, []publish.Record{r})
	p.published = n.Written
	for _, f := range n.Refused {
		p.refused++
		say(p.con.stderr, "%s\n", refusedText(f))
	}
	return errors.Join(err, p.receipts.write(n.Placed))
}

// errStopped says that publishing was stopped.
var errStopped = errors.New("stopped before the end of the input")

// all publishes all of standard input, chunk by chunk.
func (p *publishing) all(ctx context.Context) error {
	if isTerminal(p.con.stdin) {
		say(p.con.stderr, "reading events from standard input, one JSON object a line; end with ctrl-D\n")
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	progress := newInputProgress(p.con)
	defer progress.end()
	input, failed := chunks(ctx, p.con.stdin)
	for {
		select {
		case <-ctx.Done():
			return errStopped
		case lines, more := <-input:
			if !more {
				return p.endOfInput(ctx, failed)
			}
			if err := p.chunk(ctx, lines, progress); err != nil {
				return err
			}
		}
	}
}

func (p *publishing) endOfInput(ctx context.Context, failed <-chan error) error {
	select {
	case err := <-failed:
		return fmt.Errorf("read standard input: %w", err)
	default:
	}
	if ctx.Err() != nil {
		return errStopped
	}
	return nil
}

// chunk publishes lines and reports those that it refuses. With --strict it stops at the first of these.
func (p *publishing) chunk(ctx context.Context, lines []inputLine, progress *inputProgress) error {
	records := make([]publish.Record, 0, len(lines))
	var refused error
	for _, line := range lines {
		r, err := p.record(line)
		if r.Line = line.number; err == nil {
			records = append(records, r)
			continue
		}
		p.refused++
		progress.interrupt(func(w io.Writer) { say(w, "line %d: %v\n", line.number, err) })
		if p.strict {
			refused = fmt.Errorf("stopped at line %d: it is not an event, and --strict is given", line.number)
			break
		}
	}
	n, err := p.sink.Write(ctx, records)
	p.published += n.Written
	for _, f := range n.Refused {
		p.refused++
		progress.interrupt(func(w io.Writer) { say(w, "line %d: %s\n", f.Record.Line, refusedText(f)) })
		if p.strict && refused == nil {
			refused = fmt.Errorf("stopped at line %d: the topic refuses it, and --strict is given", f.Record.Line)
		}
	}
	progress.add(lines)
	if unwritten := p.receipts.write(n.Placed); unwritten != nil {
		return errors.Join(unwritten, err)
	}
	if err != nil {
		left := len(records) - n.Written - len(n.Refused)
		return fmt.Errorf("lines %d to %d: %d of %d not published: %w", lines[0].number, lines[len(lines)-1].number, left, len(records), err)
	}
	return refused
}

var errLineTooLong = fmt.Errorf("is longer than %d bytes", maxLine)

// record checks a line and makes the record to publish.
func (p *publishing) record(line inputLine) (publish.Record, error) {
	if line.tooLong {
		return publish.Record{}, ofLetter(beginningID(line.text), errLineTooLong)
	}
	event, err := schema.Decode(line.text, nil)
	if err != nil {
		if members, ok := letterMembers(line.text); ok {
			return p.letter(members)
		}
		return publish.Record{}, err
	}
	if err := checkSides(event); err != nil {
		return publish.Record{}, err
	}
	if p.wrap != "" {
		return publish.Encode(event, p.wrap)
	}
	return publish.Record{Key: []byte(event.Key()), Value: line.text, Event: event}, nil
}
