package main

import (
	"bufio"
	"encoding/json"
	"strconv"
	"time"

	"convdel/consumer/evidence"
	"convdel/consumer/mention"
	"convdel/schema"
)

// eventRow is an event for programs.
type eventRow struct {
	ID           string          `json:"id"`
	Published    time.Time       `json:"published,omitzero"`
	Conversation json.RawMessage `json:"conversation,omitempty"`
	EventID      string          `json:"event_id,omitempty"`
	ErasureID    string          `json:"erasure_id,omitempty"`
	// Match says where what was looked for is found in a record that is no event.
	Match mention.Where `json:"match,omitempty"`
	// State is ended or pending. Outcome is empty for a pending event.
	State    string         `json:"state"`
	Outcome  evidence.How   `json:"outcome,omitempty"`
	Code     int            `json:"code"`
	Attempts int            `json:"attempts"`
	Ended    time.Time      `json:"ended,omitzero"`
	By       string         `json:"by,omitempty"`
	Reason   string         `json:"reason,omitempty"`
	Evidence evidence.Basis `json:"evidence,omitempty"`
	Proven   bool           `json:"proven"`
	// Record is the ID of the replay whose end this is; empty if it is the record's own.
	Record string          `json:"record,omitempty"`
	Source evidence.Source `json:"source"`
	Commit evidence.Commit `json:"commit"`
	Notes  []string        `json:"notes,omitempty"`
	// Outcomes, Letter, Settled and Replays are the evidence in full.
	Outcomes []outcomeRow  `json:"outcomes,omitempty"`
	Letter   *letterRow    `json:"dead_letter,omitempty"`
	Settled  *settlementOf `json:"settled,omitempty"`
	Replays  []eventRow    `json:"replays,omitempty"`
}

type outcomeRow struct {
	Outcome  schema.OutcomeKind `json:"outcome"`
	Code     int                `json:"code"`
	Attempts int                `json:"attempts"`
	Shared   bool               `json:"shared"`
	Ended    time.Time          `json:"ended"`
	By       string             `json:"by,omitempty"`
	Reason   string             `json:"reason,omitempty"`
}

type letterRow struct {
	Class    schema.Class `json:"class"`
	Code     int          `json:"code"`
	Attempts int          `json:"attempts"`
	Error    string       `json:"error"`
}

type settlementOf struct {
	By     string    `json:"by,omitempty"`
	Reason string    `json:"reason,omitempty"`
	At     time.Time `json:"at,omitzero"`
}

// These are the values of a row's state.
const (
	stateEnded   = "ended"
	statePending = "pending"
)

func rowOf(e *evidence.Event) eventRow {
	r := e.Ruling
	row := eventRow{
		ID: e.ID, Published: expressible(e.Published), Match: e.Mention, State: statePending, Outcome: r.How, Code: r.Code, Attempts: r.Attempts,
		Ended: expressible(r.Time), By: r.By, Reason: r.Reason, Evidence: r.Basis, Proven: r.Proven, Source: e.Source, Commit: e.Commit, Notes: e.Notes,
	}
	if r.Final() {
		row.State = stateEnded
	}
	if r.Record != e.ID {
		row.Record = r.Record
	}
	if e.Event != nil {
		row.EventID, row.ErasureID = e.Event.ID, e.Event.ErasureID
		row.Conversation, _ = e.Event.Encode() // what was decoded can be encoded
	}
	for _, o := range e.Outcomes {
		row.Outcomes = append(row.Outcomes, outcomeRow{o.Kind, o.Code, o.Attempts, o.Shared, expressible(o.Ended), o.By, o.Reason})
	}
	if l := e.Letter; l != nil {
		row.Letter = &letterRow{l.Class, l.Code, l.Attempts, l.Error}
	}
	if s := e.Settled; s != nil {
		row.Settled = &settlementOf{s.By, s.Reason, expressible(s.At)}
	}
	for _, again := range e.Replays {
		row.Replays = append(row.Replays, rowOf(again))
	}
	return row
}

// eventList is all events in one object.
type eventList struct {
	Events []eventRow `json:"events"`
	// Limits say what the evidence can't prove, LeftOut what was found and does not count or could not be read.
	Limits  []string `json:"limits"`
	LeftOut []string `json:"left_out"`
}

// writeEvents writes events in one of the formats.
func writeEvents(con *console, format string, cfg *evidence.Config, events []*evidence.Event, totals evidence.Totals) error {
	out := bufio.NewWriter(con.stdout)
	switch format {
	case formatJSON:
		list := eventList{Events: []eventRow{}, Limits: append([]string{}, limitsOf(cfg, events)...), LeftOut: append([]string{}, leftOut(cfg, totals)...)}
		for _, e := range events {
			list.Events = append(list.Events, rowOf(e))
		}
		if err := writeLine(out, list); err != nil {
			return err
		}
	case formatNDJSON:
		for _, e := range events {
			if err := writeLine(out, rowOf(e)); err != nil {
				return err
			}
		}
	default:
		table := &grid{out: out, columns: con.columns()}
		for _, e := range events {
			table.event(e)
		}
		if err := table.flush(); err != nil {
			return err
		}
	}
	return out.Flush()
}

// event adds a row.
func (g *grid) event(e *evidence.Event) {
	r := e.Ruling
	how := string(r.How)
	switch {
	case !r.Final():
		how = statePending
	case r.Deleted() && !r.Proven:
		how = "deleted, inferred"
	}
	if r.Record != e.ID && r.Record != "" {
		how += " as " + r.Record
	}
	conversation := "no event"
	switch {
	case e.Event != nil:
		conversation = conversationText(e.Event)
	case e.Source != evidence.Present:
		conversation = "record " + string(e.Source)
	}
	if e.Mention != mention.Nowhere {
		conversation += " ? in " + placeOf(e.Mention)
	}
	g.row([]string{"ID", "PUBLISHED", "ENDED", "HOW", "CODE", "ATTEMPTS", "BY", "EVIDENCE", "CONVERSATION"}, []string{
		e.ID, stampOrDash(e.Published), stampOrDash(r.Time), how, codeText(r.Code), strconv.Itoa(r.Attempts), orDash(visible(r.By)), orDash(string(r.Basis)), conversation,
	})
}

func stampOrDash(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return stamp(t)
}
