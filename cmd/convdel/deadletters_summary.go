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

// letterGroup sums up the dead letters of one class and code.
type letterGroup struct {
	Class   schema.Class `json:"class"`
	Code    int          `json:"code"`
	Letters int          `json:"letters"`
	// Matches counts those of them that are no events and in which --account was found.
	Matches int       `json:"matches,omitempty"`
	First   time.Time `json:"first"`
	Last    time.Time `json:"last"`
	// Newest is the ID of the newest letter, Error its error.
	Newest  string `json:"newest"`
	Error   string `json:"error"`
	Meaning string `json:"meaning"`
	Advice  string `json:"advice"`
}

// letterSummary holds all groups, the largest first.
type letterSummary struct {
	Groups   []*letterGroup `json:"groups"`
	Selected int            `json:"selected"`
	passTotals

	totals    deadletter.Totals
	mentioned int
}

func summaryOf(ctx context.Context, table *deadletter.Table, f deadletter.Filter) (*letterSummary, error) {
	type cause struct {
		class schema.Class
		code  int
	}
	groups := map[cause]*letterGroup{}
	s := &letterSummary{Groups: []*letterGroup{}}
	totals, err := table.Each(ctx, f, func(l *deadletter.Letter) error {
		g := groups[cause{l.Class, l.Code}]
		if g == nil {
			g = &letterGroup{Class: l.Class, Code: l.Code, First: expressible(l.Written), Last: expressible(l.Written)}
			g.Meaning, g.Advice = explainLetter(&l.DeadLetter)
			groups[cause{l.Class, l.Code}] = g
			s.Groups = append(s.Groups, g)
		}
		g.Letters++
		s.Selected++
		if l.Mention != "" {
			g.Matches++
			s.mentioned++
		}
		if written := expressible(l.Written); !written.Before(g.Last) { // the oldest letters come first
			g.Last, g.Newest, g.Error = written, l.ID(), l.Error
		}
		return nil
	})
	s.totals, s.passTotals = totals, totalsOf(totals)
	slices.SortStableFunc(s.Groups, func(a, b *letterGroup) int { return b.Letters - a.Letters })
	return s, err
}

// summarize writes the summary, which an operator reads first.
func (l *lettersListCommand) summarize(ctx context.Context, table *deadletter.Table, f deadletter.Filter, out *bufio.Writer) error {
	s, err := summaryOf(ctx, table, f)
	if err != nil {
		return err
	}
	switch l.Format {
	case formatJSON:
		return writeLine(out, s)
	case formatNDJSON:
		for _, g := range s.Groups {
			if err := writeLine(out, g); err != nil {
				return err
			}
		}
		return nil
	}
	now := time.Now()
	sayTotals(out, l.letters(), s.Selected, "counted", s.totals)
	sayUnjudged(out, s.mentioned, s.totals)
	for _, g := range s.Groups {
		say(out, "\n%s %s, code %s\n", countOf(g.Letters, "letter", "letters"), strings.ToUpper(string(g.Class)), codeText(g.Code))
		say(out, "    when     %s (%s) to %s (%s)\n", stamp(g.First), ago(g.First, now), stamp(g.Last), ago(g.Last, now))
		say(out, "    meaning  %s\n", visible(g.Meaning))
		say(out, "    do       %s\n", visible(g.Advice))
		say(out, "    newest   %s\n", g.Newest)
		say(out, "             %s\n", fit(visible(g.Error), longestSummaryError))
		say(out, "    next     %s\n", l.next(g))
	}
	if len(s.Groups) > 0 {
		say(out, "\nLook at one: convdel deadletters show%s %s\n", l.arguments(l.Topic), s.Groups[0].Newest)
		say(out, "replay and discard show a plan; --yes carries it out.\n")
	}
	return nil
}

// next returns the command that most likely settles a group's letters.
func (l *lettersListCommand) next(g *letterGroup) string {
	command, more := "discard", " --reason 'WHY'"
	switch {
	case g.Class == schema.ClassUndecodable:
		command, more = "export", " > letters.ndjson"
	case strings.Contains(g.Advice, "replay") && g.Class != schema.ClassExpired && g.Class != schema.ClassRevived:
		command, more = "replay", ""
	}
	var line strings.Builder
	say(&line, "convdel deadletters %s%s --class=%s --code=%d", command, l.arguments(l.Topic), g.Class, g.Code)
	for _, flag := range []struct {
		name  string
		value *string
	}{{"account", l.Account}, {"since", l.Since}, {"until", l.Until}} {
		if flag.value != nil {
			say(&line, " --%s=%s", flag.name, shellWord(*flag.value))
		}
	}
	return line.String() + more
}

// longestSummaryError bounds how much of an error is shown. The command show has the whole error.
const longestSummaryError = 160

func writeLine(out io.Writer, v any) error {
	line, err := appendLine(nil, v)
	if err != nil {
		return err
	}
	_, err = out.Write(line)
	return err
}
