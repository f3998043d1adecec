package evidence

import (
	"testing"
	"time"

	"convdel/schema"
)

// TestRule: what each combination of evidence amounts to.
func TestRule(t *testing.T) {
	t.Parallel()
	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	ended := func(kind schema.OutcomeKind, after time.Duration) schema.Outcome {
		return schema.Outcome{Kind: kind, Ended: noon.Add(after), By: map[bool]string{true: "op"}[kind.Settles()]}
	}
	final := func(how How, at time.Duration) *Event {
		return &Event{Ruling: Ruling{How: how, Time: noon.Add(at), Record: "again"}}
	}
	some := &schema.Event{}
	recorded := &schema.DeadLetter{Class: "permanent", OutcomeTopic: "ends"} // its event ends with its outcome
	for name, c := range map[string]struct {
		e     Event
		want  Ruling
		notes string
	}{
		"nothing":                  {Event{Source: Present}, Ruling{}, ""},
		"read, and not ended":      {Event{Source: Present, letters: true, Commit: CommitOpen}, Ruling{}, ""},
		"ended, letters not read":  {Event{Source: Present, Event: some, Commit: CommitEnded}, Ruling{}, ""},
		"ended, letters hidden":    {Event{Source: Present, Event: some, Commit: CommitEnded, unread: true}, Ruling{}, noteLettersHidden},
		"inferred":                 {Event{Source: Present, Event: some, Commit: CommitEnded, letters: true}, Ruling{How: deleted, Basis: ByOffset}, noteInferred},
		"letters can't be read":    {Event{Source: Present, Event: some, Commit: CommitEnded, letters: true, unread: true}, Ruling{How: Unknown, Basis: ByOffset}, noteLettersUnread},
		"no event, and no letter":  {Event{Source: Present, Commit: CommitEnded, letters: true}, Ruling{How: Unknown, Basis: ByOffset}, noteForgotten},
		"by another program":       {Event{Source: Present, Event: some, Commit: CommitByOther, letters: true}, Ruling{How: Unknown, Basis: ByOffset}, noteSkipped},
		"the record is gone":       {Event{Source: Removed, Event: some, Commit: CommitEnded, letters: true}, Ruling{How: Unknown, Basis: ByOffset}, noteLost},
		"gone, and not ended":      {Event{Source: Removed, letters: true}, Ruling{}, ""},
		"hidden, and ended":        {Event{Source: Hidden, Commit: CommitEnded, letters: true}, Ruling{}, ""},
		"no record":                {Event{Source: Absent, letters: true}, Ruling{How: None, Basis: ByRecord, Proven: true}, noteAbsent},
		"beyond":                   {Event{Source: Beyond, letters: true}, Ruling{How: None, Basis: ByRecord, Proven: true}, noteBeyond},
		"a letter":                 {Event{Source: Present, Letter: &schema.DeadLetter{Class: "expired"}}, Ruling{How: "expired", Basis: ByLetter, Proven: true}, ""},
		"a letter, and not ended":  {Event{Source: Present, Commit: CommitOpen, Letter: &schema.DeadLetter{Class: "expired"}}, Ruling{How: "expired", Basis: ByLetter, Proven: true}, ""},
		"a letter before its end":  {Event{Source: Present, Commit: CommitOpen, letters: true, Letter: recorded}, Ruling{}, noteNoOutcome},
		"before the first commit":  {Event{Source: Present, Commit: CommitNone, Letter: recorded}, Ruling{}, noteNoOutcome},
		"its batch is unreadable":  {Event{Source: Unreadable, Commit: CommitOpen, Letter: recorded}, Ruling{}, noteNoOutcome},
		"ended, outcome not found": {Event{Source: Present, Commit: CommitEnded, Letter: recorded}, Ruling{How: "permanent", Basis: ByLetter, Proven: true}, ""},
		"stepped over":             {Event{Source: Present, Commit: CommitByOther, Letter: recorded}, Ruling{How: "permanent", Basis: ByLetter, Proven: true}, ""},
		"ended, outcomes hidden":   {Event{Source: Present, Commit: CommitEnded, letters: true, outcomesHidden: true, Letter: recorded}, Ruling{}, noteOutcomesHidden},
		"a letter of what is gone": {Event{Source: Removed, Commit: CommitOpen, Letter: recorded}, Ruling{How: "permanent", Basis: ByLetter, Proven: true}, noteNoRecord},
		"a letter with an outcome": {
			Event{Source: Present, Commit: CommitOpen, Letter: recorded, Outcomes: []schema.Outcome{ended("permanent", 0)}}, Ruling{How: "permanent", Basis: ByOutcome, Proven: true}, "",
		},
		"a tombstone for a reason": {Event{Source: Present, Settled: &schema.Settlement{By: "op", Reason: "x"}}, Ruling{How: discarded, Basis: ByTombstone, By: "op", Proven: true}, ""},
		"a bare tombstone":         {Event{Source: Present, Settled: &schema.Settlement{}}, Ruling{How: Unknown, Basis: ByTombstone}, noteSettled},
		"a replay nobody finds":    {Event{Source: Present, Settled: &schema.Settlement{By: "op"}}, Ruling{How: Unknown, Basis: ByTombstone, By: "op"}, noteNoReplay},
		"deleted, and then exhausted": {
			Event{Source: Present, Outcomes: []schema.Outcome{ended("exhausted", 2), ended("deleted", 1)}}, Ruling{How: deleted, Basis: ByOutcome, Proven: true}, "",
		},
		"exhausted and discarded at once": {
			Event{Source: Present, Outcomes: []schema.Outcome{ended("exhausted", 0), ended("discarded", 0)}}, Ruling{How: discarded, Basis: ByOutcome, By: "op", Proven: true}, "",
		},
		"exhausted, then a letter": {
			Event{Source: Present, Outcomes: []schema.Outcome{ended("exhausted", 0)}, Letter: &schema.DeadLetter{Class: "exhausted"}},
			Ruling{How: "exhausted", Basis: ByOutcome, Proven: true},
			"",
		},
		"exhausted, discarded by an older tool": {
			Event{Source: Present, Outcomes: []schema.Outcome{ended("exhausted", 0)}, Settled: &schema.Settlement{By: "old", Reason: "x"}},
			Ruling{How: discarded, Basis: ByTombstone, By: "old", Proven: true},
			"",
		},
		"replayed twice, one goes on": {
			Event{Source: Present, Outcomes: []schema.Outcome{ended("replayed", 0)}, Replays: []*Event{final("exhausted", 2), final("", 1)}}, Ruling{Record: "again"}, "",
		},
		"replayed twice, one deleted": {
			Event{Source: Present, Outcomes: []schema.Outcome{ended("replayed", 0)}, Replays: []*Event{final("", 2), final(deleted, 1)}},
			Ruling{How: deleted, By: "op", Record: "again"},
			"",
		},
		"replayed twice, both failed": {
			Event{Source: Present, Outcomes: []schema.Outcome{ended("replayed", 0)}, Replays: []*Event{final("exhausted", 2), final("permanent", 1)}},
			Ruling{How: "exhausted", By: "op", Record: "again"},
			"",
		},
		"ended again after a replay": {
			Event{Source: Present, Outcomes: []schema.Outcome{ended("replayed", 0), ended("permanent", 1)}, Replays: []*Event{final("", 0)}},
			Ruling{How: "permanent", Basis: ByOutcome, Proven: true},
			"",
		},
	} {
		got := c.e.rule()
		if c.want.Record == "again" && got.Record != "again" || got.How != c.want.How || got.Basis != c.want.Basis || got.By != c.want.By || got.Proven != c.want.Proven {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
		if len(c.e.Notes) > 1 || len(c.e.Notes) == 1 && c.e.Notes[0] != c.notes || len(c.e.Notes) == 0 && c.notes != "" {
			t.Errorf("%s: notes %q, want %q", name, c.e.Notes, c.notes)
		}
	}
}
