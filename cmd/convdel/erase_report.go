package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"convdel/consumer/evidence"
	"convdel/internal/erasure"
	"convdel/internal/erasure/desk"
	"convdel/schema"
)

// eraseLimits says in each report, whatever its state, what a verified one proves.
const eraseLimits = "The state \"verified\" proves, and no other state does: the service recorded the delete of each part, and after that the API's own lists" +
	" showed nothing of what was asked. It does not prove: that nothing is left beyond the most recent 100 to 500 conversations that the API shows for as long as it keeps their messages;" +
	" copies on devices; messages stored for roaming, unless they were cleared (ClearRamble); what other accounts keep, unless asked for (--other-sides);" +
	" conversations that begin later. An outcome is worth as much as the right to write to its topic."

// eraseReport is the report for programs.
type eraseReport struct {
	RequestID string        `json:"request_id"`
	Account   string        `json:"account"`
	State     erasure.State `json:"state"`
	Requested time.Time     `json:"requested,omitzero"`
	// Completed is when the list was read that proves the end. It is there only if the request is verified or has exceptions.
	Completed     time.Time      `json:"completed,omitzero"`
	Rounds        int            `json:"rounds"`
	Conversations int            `json:"conversations"`
	Deleted       int            `json:"deleted"`
	OtherSides    bool           `json:"other_sides"`
	ClearRamble   bool           `json:"clear_ramble"`
	Exceptions    []erasePart    `json:"exceptions"`
	Residue       []eraseResidue `json:"residue"`
	Parts         []erasePart    `json:"parts"`
	Plan          *erasePlan     `json:"plan,omitempty"`
	Reasons       []string       `json:"reasons"`
	Notes         []string       `json:"notes"`
	Limits        string         `json:"limits"`
}

type erasePart struct {
	Conversation json.RawMessage `json:"conversation"`
	EventID      string          `json:"event_id"`
	Record       string          `json:"record"`
	// Outcome is empty for a part that has not ended. Proven is false if no outcome says that the conversation was deleted.
	Outcome  string    `json:"outcome,omitempty"`
	Code     int       `json:"code"`
	Attempts int       `json:"attempts"`
	Ended    time.Time `json:"ended,omitzero"`
	Proven   bool      `json:"proven"`
	Listed   bool      `json:"listed"`
	Reason   string    `json:"reason,omitempty"`
}

type eraseResidue struct {
	Conversation json.RawMessage `json:"conversation"`
	LastMessage  time.Time       `json:"last_message,omitzero"`
	Reason       string          `json:"reason"`
}

// erasePlan says what --yes would do.
type erasePlan struct {
	C2C        int `json:"c2c"`
	G2C        int `json:"g2c"`
	OtherSides int `json:"other_sides"`
	// Deletes and Lists are the calls that it takes at least, Seconds the time at the rate.
	Deletes int `json:"deletes"`
	Lists   int `json:"lists"`
	Seconds int `json:"seconds"`
}

// show writes the report, and returns the error that stands for the exit status.
func (e *eraseCommand) show(con *console, cfg *eraseConfig, clerk *desk.Desk, res *erasure.Result) error {
	report := reportOf(cfg, clerk, res)
	write := func(w io.Writer) error {
		out := bufio.NewWriter(w)
		return errors.Join(writeLine(out, report), out.Flush())
	}
	var err error
	if e.Format == formatJSON {
		keepPrivate(con, "--report")
		err = write(con.stdout)
	} else {
		report.text(con.stdout, cfg)
	}
	if e.Report != nil {
		err = errors.Join(err, writePrivate(*e.Report, write))
	}
	if err != nil {
		return err
	}
	switch res.State {
	case erasure.Exceptions:
		return errExceptions
	case erasure.InProgress:
		return errUnfinished
	case erasure.Planned, erasure.Verified:
	}
	return nil
}

func reportOf(cfg *eraseConfig, clerk *desk.Desk, res *erasure.Result) *eraseReport {
	r := &eraseReport{
		RequestID: cfg.request.ID, Account: cfg.request.Account, State: res.State, Requested: expressible(res.Requested), Rounds: res.Rounds,
		Conversations: len(res.Parts), OtherSides: cfg.request.OtherSides, ClearRamble: cfg.request.ClearRamble,
		Exceptions: []erasePart{}, Residue: []eraseResidue{}, Parts: []erasePart{}, Limits: eraseLimits,
	}
	if res.State == erasure.Verified || res.State == erasure.Exceptions {
		r.Completed = res.Read.UTC()
	}
	for i := range res.Parts {
		part := partOf(&res.Parts[i], cfg.request.ClearRamble)
		if r.Parts = append(r.Parts, part); part.Outcome == string(schema.OutcomeDeleted) && part.Proven {
			r.Deleted++
		}
	}
	for i := range res.Exceptions {
		r.Exceptions = append(r.Exceptions, partOf(&res.Exceptions[i], cfg.request.ClearRamble))
	}
	for _, left := range res.Residue {
		r.Residue = append(r.Residue, eraseResidue{conversationJSON(left.Conversation, cfg.request.ClearRamble), expressible(left.LastMessage), left.Reason})
	}
	r.Reasons = slices.Concat([]string{}, res.Failures, res.Doubts, unfinished(res))
	totals := clerk.Totals()
	r.Notes = append(eraseNotes(clerk, res), leftOut(&cfg.evidence, evidence.Totals{
		OtherGroups: totals.OtherGroups, Foreign: totals.Foreign, Named: totals.Named, Disputed: totals.Disputed,
		Unread: totals.Unread, UnreadOutcomes: totals.UnreadOutcomes, UnreadLetters: totals.UnreadLetters,
	})...)
	if res.State == erasure.Planned {
		r.Plan = planOf(cfg, clerk, res)
	}
	return r
}

// unfinished says what is still to be done.
func unfinished(res *erasure.Result) (reasons []string) {
	pending, asked := 0, len(res.Publish)+len(res.Need)
	for i := range res.Parts {
		if res.Parts[i].End == nil {
			pending++
		}
	}
	if pending > 0 {
		reasons = append(reasons, countOf(pending, "part has", "parts have")+" not ended: does the service work? (convdel status)")
	}
	if asked > 0 && res.State == erasure.InProgress {
		reasons = append(reasons, countOf(asked, "part is", "parts are")+" not published yet")
	}
	return reasons
}

// eraseNotes says what was found and does not count.
func eraseNotes(clerk *desk.Desk, res *erasure.Result) []string {
	notes := []string{}
	if n := clerk.Nameless(); n > 0 {
		notes = append(notes, countOf(n, "outcome", "outcomes")+" with the request's ID left out: without accounts (outcome-accounts), and the topic no longer has the record")
	}
	if n := clerk.Totals().Mentioned + clerk.Totals().Unjudged; n > 0 {
		notes = append(notes, countOf(n, "record is", "records are")+" no event and may name the request")
	}
	if n := res.Strangers; n > 0 {
		notes = append(notes, countOf(n, "record", "records")+" with the request's ID left out: of another account, or not published by this command")
	}
	gone, unknown := 0, 0
	for _, p := range res.Parts {
		if p.Gone {
			gone++
		}
	}
	for _, list := range res.Evidence.Lists {
		unknown += list.Unknown
	}
	if gone > 0 {
		notes = append(notes, countOf(gone, "part", "parts")+" whose record is no longer in the topic: only the outcome says to which conversation it belongs")
	}
	if unknown > 0 {
		notes = append(notes, countOf(unknown, "item", "items")+" in lists of a type that no call can delete")
	}
	return notes
}

func planOf(cfg *eraseConfig, clerk *desk.Desk, res *erasure.Result) *erasePlan {
	p := &erasePlan{Deletes: len(res.Publish)}
	for _, c := range res.Publish {
		switch {
		case c.From != cfg.request.Account:
			p.OtherSides++
		case c.Type == schema.C2C:
			p.C2C++
		default:
			p.G2C++
		}
	}
	p.Lists = 2 * clerk.Calls() // before and after
	p.Seconds = (p.Deletes + p.Lists + cfg.rate - 1) / cfg.rate
	return p
}

func partOf(p *erasure.Part, clearRamble bool) erasePart {
	part := erasePart{Conversation: conversationJSON(p.Conversation, clearRamble), EventID: p.EventID, Record: p.Record, Listed: p.Listed}
	if end := p.End; end != nil {
		part.Outcome, part.Code, part.Attempts, part.Ended = end.Outcome, end.Code, end.Attempts, expressible(end.Ended)
		if part.Proven, part.Reason = end.Proven, end.Reason; !end.Proven && end.Outcome == string(schema.OutcomeDeleted) {
			part.Reason = "no outcome says so: does the service record outcomes, and does the topic still keep this one?"
		}
	}
	return part
}

// conversationJSON is the object that asks for a conversation. An ID that no event can have is written all the same.
func conversationJSON(c schema.Conversation, clearRamble bool) json.RawMessage {
	if text, err := (schema.Event{Conversation: c, ClearRamble: clearRamble}).Encode(); err == nil {
		return text
	}
	text, err := json.Marshal(struct {
		From string `json:"From_Account"`
		Type int    `json:"Type"`
		To   string `json:"To_Account"`
	}{c.From, int(c.Type), c.To})
	if err != nil {
		return json.RawMessage("null") // strings and numbers always marshal
	}
	return text
}

// text writes the report for people.
func (r *eraseReport) text(w io.Writer, cfg *eraseConfig) {
	say(w, "erasure %s of %q: %s\n", visible(quote(r.RequestID)), r.Account, strings.ReplaceAll(string(r.State), "_", " "))
	if p := r.Plan; p != nil {
		say(w, "to delete: %d C2C, %d G2C, %d other sides\n", p.C2C, p.G2C, p.OtherSides)
		say(w, "calls, at least: %d deletes, %d for lists; %s at --rate %d\n", p.Deletes, p.Lists, time.Duration(p.Seconds)*time.Second, cfg.rate)
	}
	if !r.Requested.IsZero() {
		say(w, "requested %s\n", stamp(r.Requested))
	}
	if !r.Completed.IsZero() {
		say(w, "completed %s\n", stamp(r.Completed))
	}
	say(w, "%s, %d deleted, %s, %s left, %s\n", countOf(r.Conversations, "part", "parts"), r.Deleted,
		countOf(len(r.Exceptions), "exception", "exceptions"), countOf(len(r.Residue), "conversation", "conversations"), countOf(r.Rounds, "round", "rounds"))
	for i, p := range r.Exceptions {
		if i == maxNotesShown {
			say(w, "%d exceptions more: --format json has them\n", len(r.Exceptions)-i)
			break
		}
		say(w, "exception: %s: %s, code %d, record %s %s\n", visible(string(p.Conversation)), p.Outcome, p.Code, p.Record, visible(p.Reason))
	}
	for i, left := range r.Residue {
		if i == maxNotesShown {
			say(w, "%d conversations more: --format json has them\n", len(r.Residue)-i)
			break
		}
		say(w, "left: %s: %s\n", visible(string(left.Conversation)), visible(left.Reason))
	}
	for _, line := range append(r.Reasons, r.Notes...) {
		say(w, "%s\n", visible(line))
	}
	switch r.State {
	case erasure.Planned:
		say(w, "nothing is published without --yes\n")
	case erasure.InProgress:
		say(w, "not finished: the same command goes on\n")
	case erasure.Verified, erasure.Exceptions:
		say(w, "%s\n", r.Limits)
	}
}

// sayTrouble tells on standard error of what failed and is done again.
func sayTrouble(con *console, of desk.Task, err error) {
	what := "look"
	if of == desk.Listing {
		what = "read a list"
	}
	say(con.stderr, "can't %s, and will again: %s\n", what, visible(err.Error()))
}

// sayRound tells of a round on standard error.
func sayRound(con *console, r *erasure.Ruling) {
	say(con.stderr, "%s\n", fmt.Sprintf("%d parts, %d to publish, %d pending, %d exceptions, %d left", len(r.Parts), len(r.Publish), len(r.Pending), len(r.Exceptions), len(r.Residue)))
}
