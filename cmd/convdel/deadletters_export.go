package main

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"time"
	"unicode/utf8"

	"convdel/consumer/deadletter"
	"convdel/schema"
)

// lettersExportCommand exports dead letters.
type lettersExportCommand struct {
	filterFlags `embed:""`

	Settled bool    `group:"output" help:"The settled letters instead, those that compaction has left. Then --since and --until go by when a letter was settled."`
	Output  *string `group:"output" help:"Write to this file, which nobody else may read (mode 0600), and only when the export is complete. Default: standard output." placeholder:"FILE"`

	tableSettings `embed:""`
}

// Help explains more than the flags' texts can.
func (*lettersExportCommand) Help() string {
	return `One letter a line, with all of its source record: what is UTF-8 text as text, else in base64
(value_base64, key_base64, and the same in headers), null as null. Nothing is settled.

Letters hold accounts. --output FILE makes a file for your eyes only, in place of one that is there. If
standard output is a new file, its mode becomes 0600 before anything is in it. --account selects as in list.

    convdel deadletters export --output letters.ndjson
    convdel deadletters export --class undecodable --since 1d | jq -r .value

A letter that lacks its record's value says so in "omitted" (why, size, sha256) and has the event, if
there was one, as text in "event". A batch that can't be read has its offsets in "batch"; its value is the
batch as the log has it.

publish takes these lines and publishes each record with its own key and headers, as replay does. That
is the way to mend a letter that is no event: export, correct the value, publish, then discard. (A
published letter stays open until it is discarded.)

    convdel deadletters export --id ID --output letter.ndjson
    jq -c '.value |= (fromjson | .Type = 1 | tojson)' letter.ndjson | convdel publish
    convdel deadletters discard --reason 'mended and published' --id ID --yes`
}

// Run writes the lines to a file or to standard output, and their number to standard error.
func (e *lettersExportCommand) Run(ctx context.Context, con *console) error {
	c := checker{flagsOnly: filterNames("output")}
	cfg := c.table(e.tableSettings, con.env)
	filter := c.filter(e.filterFlags, time.Now())
	filter.Lenient = true
	if e.Output != nil && (*e.Output == "" || *e.Output == "-") {
		c.wrong("output", *e.Output, "a file's name; without this flag, the lines go to standard output")
	}
	if e.Settled && filter.Limit > 0 {
		c.conflict("settled", "true", "not with --limit")
	}
	if err := c.err(); err != nil {
		return err
	}
	table, err := cfg.open(ctx, con)
	if err != nil {
		return err
	}
	defer table.Close()
	job := &exporting{table: table, filter: filter, settled: e.Settled}
	if e.Output != nil {
		err = writePrivate(*e.Output, func(w io.Writer) error { return job.write(ctx, w) })
	} else {
		keepPrivate(con, "--output")
		err = job.write(ctx, con.stdout)
	}
	if err != nil {
		return stoppedBy(ctx, err)
	}
	job.say(con.stderr, cfg.letters)
	return nil
}

// exporting is one run of the command.
type exporting struct {
	table               *deadletter.Table
	filter              deadletter.Filter
	settled             bool
	exported, mentioned int
	gone                int // settled letters of which only the tombstone is left
	totals              deadletter.Totals
}

func (e *exporting) write(ctx context.Context, w io.Writer) error {
	out := bufio.NewWriter(w)
	letter := func(l *deadletter.Letter) error {
		e.exported++
		if l.Mention != "" {
			e.mentioned++
		}
		return writeLine(out, exportOf(l))
	}
	var err error
	if e.settled {
		e.totals, err = e.table.EachSettled(ctx, e.filter, func(s deadletter.Settled) error {
			if s.Letter == nil {
				e.gone++
				return nil
			}
			return letter(s.Letter)
		})
	} else {
		e.totals, err = e.table.Each(ctx, e.filter, letter)
	}
	return errors.Join(err, out.Flush())
}

// say reports how many letters were exported.
func (e *exporting) say(w io.Writer, topic string) {
	if !e.settled {
		sayTotals(w, topic, e.exported, "exported", e.totals)
		sayUnjudged(w, e.mentioned, e.totals)
		return
	}
	say(w, "exported %d of %s in %s\n", e.exported, countOf(e.totals.Settled, "settled dead letter", "settled dead letters"), topic)
	if gone := e.gone + e.totals.Unjudged; gone > 0 {
		say(w, "%s gone or can't be told to be one of these: compaction has removed the letter itself\n", countOf(gone, "more is", "more are"))
	}
}

// exportedLetter is a dead letter as a line of JSON.
type exportedLetter struct {
	ID           string       `json:"id"`
	Class        schema.Class `json:"class"`
	Code         int          `json:"code"`
	Error        string       `json:"error"`
	Attempts     int          `json:"attempts"`
	FirstAttempt time.Time    `json:"first_attempt,omitzero"`
	LastAttempt  time.Time    `json:"last_attempt,omitzero"`
	Written      time.Time    `json:"written,omitzero"`
	Topic        string       `json:"topic"`
	Partition    int          `json:"partition"`
	Offset       int64        `json:"offset"`
	Timestamp    time.Time    `json:"timestamp,omitzero"`
	Group        string       `json:"group"`
	Replays      int          `json:"replays"`
	ReplayOf     string       `json:"replay_of,omitempty"`
	// Key and Value are a string or null, unless they are in base64.
	Key         any              `json:"key,omitempty"`
	KeyBase64   string           `json:"key_base64,omitempty"`
	Value       any              `json:"value,omitempty"`
	ValueBase64 string           `json:"value_base64,omitempty"`
	Headers     []exportedHeader `json:"headers"`
	lackedParts
	// Event is dlt-event, byte for byte.
	Event string `json:"event,omitempty"`
}

// lackedParts describe the parts of its source record that a dead letter lacks.
type lackedParts struct {
	Omitted *exportedOmitted `json:"omitted,omitempty"`
	Batch   *exportedBatch   `json:"batch,omitempty"`
}

type exportedOmitted struct {
	Why    string `json:"why"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

type exportedBatch struct {
	First int64 `json:"first"`
	Last  int64 `json:"last"`
}

func lackedBy(l *deadletter.Letter) lackedParts {
	var p lackedParts
	if l.Omitted != nil {
		o := exportedOmitted(*l.Omitted)
		p.Omitted = &o
	}
	if l.Batch != nil {
		b := exportedBatch(*l.Batch)
		p.Batch = &b
	}
	return p
}

// exportedHeader is one header of a record.
type exportedHeader struct {
	Key         any    `json:"key,omitempty"`
	KeyBase64   string `json:"key_base64,omitempty"`
	Value       any    `json:"value,omitempty"`
	ValueBase64 string `json:"value_base64,omitempty"`
}

func exportOf(l *deadletter.Letter) exportedLetter {
	e := exportedLetter{
		ID: l.ID(), Class: l.Class, Code: l.Code, Error: l.Error, Attempts: l.Attempts,
		FirstAttempt: l.FirstAttempt, LastAttempt: l.LastAttempt, Written: expressible(l.Written),
		Topic: l.Topic, Partition: l.Partition, Offset: l.Offset, Timestamp: l.Timestamp, Group: l.Group,
		Replays: l.Replays, ReplayOf: l.ReplayOf, Headers: exportHeaders(schema.SourceHeaders(l.Headers)),
		lackedParts: lackedBy(l), Event: string(l.DeadLetter.Event),
	}
	e.Key, e.KeyBase64 = exportBytes(l.Key)
	e.Value, e.ValueBase64 = exportBytes(l.Value)
	return e
}

func exportHeaders(headers []schema.Header) []exportedHeader {
	list := make([]exportedHeader, len(headers))
	for i, h := range headers {
		list[i].Key, list[i].KeyBase64 = exportBytes([]byte(h.Key))
		list[i].Value, list[i].ValueBase64 = exportBytes(h.Value)
	}
	return list
}

// exportBytes returns data as text or null, or else as base64.
func exportBytes(data []byte) (text any, inBase64 string) {
	switch {
	case data == nil:
		return json.RawMessage("null"), ""
	case utf8.Valid(data):
		return string(data), ""
	}
	return nil, base64.StdEncoding.EncodeToString(data)
}

// expressible returns a time in UTC. Kafka keeps any time; if RFC 3339 cannot express it, the result is the zero time.
func expressible(t time.Time) time.Time {
	const lastYear = 9999
	if t = t.UTC(); t.Year() < 0 || t.Year() > lastYear {
		return time.Time{}
	}
	return t
}
