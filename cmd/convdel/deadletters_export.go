package main

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"time"
	"unicode/utf8"

	"convdel/consumer/deadletter"
	"convdel/schema"
)

// lettersExportCommand exports dead letters.
type lettersExportCommand struct {
	filterFlags   `embed:""`
	tableSettings `embed:""`
}

// Help explains more than the flags' texts can.
func (*lettersExportCommand) Help() string {
	return `One letter a line, with all of its source record: what is UTF-8 text as text, else in base64
(value_base64, key_base64, and the same in headers), null as null. Nothing is settled.

    convdel deadletters export > letters.ndjson
    convdel deadletters export --class undecodable --since 1d | jq -r .value

A letter that lacks its record's value says so in "omitted" (why, size, sha256) and has the event, if
there was one, as text in "event". A batch that can't be read has its offsets in "batch"; its value is the
batch as the log has it.

publish takes these lines and publishes each record with its own key and headers, as replay does. That
is the way to mend a letter that is no event: export, correct the value, publish, then discard. (A
published letter stays open until it is discarded.)

    convdel deadletters export --id ID > letter.ndjson
    jq -c '.value |= (fromjson | .Type = 1 | tojson)' letter.ndjson | convdel publish
    convdel deadletters discard --reason 'mended and published' --id ID --yes`
}

// Run writes the lines to standard output, and their number to standard error.
func (e *lettersExportCommand) Run(ctx context.Context, con *console) error {
	c := checker{flagsOnly: filterNames()}
	cfg := c.table(e.tableSettings, con.env)
	filter := c.filter(e.filterFlags, time.Now())
	if err := c.err(); err != nil {
		return err
	}
	table, err := cfg.open(ctx, con)
	if err != nil {
		return err
	}
	defer table.Close()
	out := bufio.NewWriter(con.stdout)
	exported := 0
	totals, err := table.Each(ctx, filter, func(l *deadletter.Letter) error {
		exported++
		return writeLine(out, exportOf(l))
	})
	if err := errors.Join(err, out.Flush()); err != nil {
		return stoppedBy(ctx, err)
	}
	sayTotals(con.stderr, cfg.letters, exported, "exported", totals)
	return nil
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
