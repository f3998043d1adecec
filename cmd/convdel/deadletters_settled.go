package main

import (
	"bufio"
	"context"
	"io"
	"slices"
	"strings"
	"time"

	"convdel/consumer/deadletter"
	"convdel/schema"
)

// This file shows settled dead letters.

// These say how a letter was settled. A tombstone of an older version, or of another program, does not say.
const (
	settledReplayed  = "replayed"
	settledDiscarded = "discarded"
	settledUnknown   = "unknown"
)

func howSettled(s *deadletter.Settled) string {
	switch {
	case s.Reason != "":
		return settledDiscarded
	case s.By != "":
		return settledReplayed
	}
	return settledUnknown
}

// settledLetter is a settled letter in the JSON of list.
type settledLetter struct {
	ID      string    `json:"id"`
	How     string    `json:"how"`
	By      string    `json:"by,omitempty"`
	Reason  string    `json:"reason,omitempty"`
	Settled time.Time `json:"settled,omitzero"`
	// Letter is null if compaction has removed it.
	Letter *listedLetter `json:"letter"`
}

func settledRow(s *deadletter.Settled, now time.Time) settledLetter {
	row := settledLetter{ID: s.ID, How: howSettled(s), By: s.By, Reason: s.Reason, Settled: expressible(s.At)}
	if s.Letter != nil {
		letter := listed(s.Letter, now)
		row.Letter = &letter
	}
	return row
}

// fate is what became of an ID that no open letter has.
type fate struct {
	id string
	// settled is nil if there is no tombstone. newer is the ID of the open letter of its replay, empty if there is none.
	settled *deadletter.Settled
	newer   string
}

// String continues a sentence about the ID.
func (f fate) String() string {
	text := "never there, or settled so long ago that the topic has forgotten it"
	if s := f.settled; s != nil {
		text = howText(s) + " " + stamp(s.At)
	}
	if f.newer == "" {
		return text
	}
	if f.settled == nil {
		return "its replay failed again, as " + f.newer
	}
	return text + "; its replay failed again, as " + f.newer
}

// howText says how a letter was settled, by whom and why.
func howText(s *deadletter.Settled) string {
	text := howSettled(s)
	if text == settledUnknown {
		text = "settled by an older version or another program"
	}
	if s.By != "" {
		text += " by " + visible(s.By)
	}
	if s.Reason != "" {
		text += " (" + visible(s.Reason) + ")"
	}
	return text
}

// fatesOf looks up IDs that no open letter has.
func fatesOf(ctx context.Context, table *deadletter.Table, ids []string) ([]fate, error) {
	settled, newer, wanted := map[string]*deadletter.Settled{}, map[string]string{}, map[string]bool{}
	for _, id := range ids {
		wanted[id] = true
	}
	_, err := table.EachSettled(ctx, deadletter.Filter{IDs: ids}, func(s deadletter.Settled) error {
		settled[s.ID] = &s
		return nil
	})
	if err != nil {
		return nil, err
	}
	// A letter that another one has replaced is named by that one; so is a letter that was replayed.
	_, err = table.Each(ctx, deadletter.Filter{}, func(l *deadletter.Letter) error {
		for _, old := range append(l.Replaces(), l.ReplayOf) {
			if wanted[old] && newer[old] == "" {
				newer[old] = l.ID()
			}
		}
		return nil
	})
	fates := make([]fate, len(ids))
	for i, id := range ids {
		fates[i] = fate{id: id, settled: settled[id], newer: newer[id]}
	}
	return fates, err
}

// showSettled shows a settled letter.
func (s *lettersShowCommand) showSettled(w io.Writer, f fate, now time.Time) {
	say(w, "Dead letter %s, settled\n", f.id)
	field(w, "settled", "%s  %s", stamp(f.settled.At), ago(f.settled.At, now))
	field(w, "how", "%s", howText(f.settled))
	if f.newer != "" {
		field(w, "since then", "its replay failed again, as %s", f.newer)
	}
	l := f.settled.Letter
	if l == nil {
		topic, partition, offset, _ := schema.ParseID(f.id) // an ID that was looked up
		say(w, "\nThe letter itself is gone: compaction has removed it. Its record, as long as the topic of events keeps it\n")
		say(w, "  kcat -C -b %s -t %s -p %d -o %d -c 1\n", shellWord(s.Brokers), topic, partition, offset)
		return
	}
	say(w, "\nThe letter, as long as compaction leaves it\n")
	showLetter(w, l, now, false)
	if _, err := l.Source(); err == nil && howSettled(f.settled) == settledDiscarded {
		say(w, "\nIf the discard was a mistake, and the event is one that may still be executed (its age counts)\n")
		say(w, "  convdel deadletters export%s --settled --id %s | convdel publish%s\n",
			s.arguments(l.Topic), f.id, s.publishArguments(l.Topic))
	}
}

// listSettled lists settled letters by the time of their settlement.
func (l *lettersListCommand) listSettled(
	ctx context.Context, con *console, table *deadletter.Table, f deadletter.Filter, newest int, out *bufio.Writer,
) error {
	var rows []settledLetter
	now := time.Now()
	totals, err := table.EachSettled(ctx, f, func(s deadletter.Settled) error {
		rows = append(rows, settledRow(&s, now))
		return nil
	})
	if err != nil {
		return err
	}
	slices.SortFunc(rows, func(a, b settledLetter) int {
		if order := a.Settled.Compare(b.Settled); order != 0 {
			return order
		}
		return strings.Compare(a.ID, b.ID)
	})
	if f.Limit > 0 {
		rows = rows[:min(len(rows), f.Limit)]
	}
	if newest > 0 {
		rows = rows[max(0, len(rows)-newest):]
	}
	if err := l.writeSettled(con, out, rows, totals); err != nil {
		return err
	}
	saySettled(l.notes(con, out, len(rows)), l.letters(), len(rows), totals)
	return nil
}

func (l *lettersListCommand) writeSettled(con *console, out io.Writer, rows []settledLetter, totals deadletter.Totals) error {
	if l.Format != formatTable {
		lines := l.lines(out)
		for _, row := range rows {
			if err := lines.row(row); err != nil {
				return err
			}
		}
		return lines.end(totals)
	}
	table := &letterTable{out: out, columns: con.columns(), batch: tableBatch}
	for _, row := range rows {
		class, conversation := "-", "gone"
		if row.Letter != nil {
			class, conversation = string(row.Letter.Class), row.Letter.conversation()
		}
		by, reason := row.By, row.Reason
		if by == "" {
			by = "-"
		}
		if err := table.row([]string{"ID", "SETTLED", "HOW", "BY", "CLASS", "CONVERSATION", "REASON"}, []string{
			row.ID, stamp(row.Settled), row.How, visible(by), class, conversation, visible(reason),
		}); err != nil {
			return err
		}
	}
	return table.flush()
}

// saySettled reports the numbers of a pass over the topic for settled letters.
func saySettled(w io.Writer, topic string, shown int, totals deadletter.Totals) {
	say(w, "listed %d of %s in %s; a tombstone stays for delete.retention.ms (24 h by default)\n", shown,
		countOf(totals.Settled, "settled dead letter", "settled dead letters"), topic)
	if totals.Unjudged > 0 {
		say(w, "%s settled, and of what is left of the letter nobody can tell whether --class, --code and --account match\n",
			countOf(totals.Unjudged, "letter more is", "letters more are"))
	}
	sayForeign(w, totals.Foreign)
}
