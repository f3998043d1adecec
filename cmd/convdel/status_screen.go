package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/term"

	"convdel/internal/status"
)

const (
	// These bound the rows of a screen. The JSON has all.
	screenPartitions = 20
	screenOldest     = 5
	screenLetters    = 10
	screenLines      = 5
)

// statusScreen shows what was answered.
type statusScreen struct {
	con    *console
	format string
	watch  bool
	// shown says that something was shown, result is what the last answers come to.
	shown  bool
	result error
}

// show shows what was answered. On a terminal, --watch draws over what was there before.
func (s *statusScreen) show(f *status.Fleet) error {
	s.result = nil
	if !f.Answered() {
		s.result = errNoStatus
	}
	if s.format == formatJSON {
		text, err := jsonOf(f, s.watch)
		if err != nil {
			return err
		}
		return s.write(f.At, text)
	}
	var text strings.Builder
	if err := writeFleet(&text, f, s.con.columns()); err != nil {
		return err
	}
	return s.write(f.At, text.String())
}

// jsonOf is an object, on one line if others follow.
func jsonOf(f *status.Fleet, line bool) (string, error) {
	text, err := appendLine(nil, f)
	if err != nil || line {
		return string(text), err
	}
	var out bytes.Buffer
	err = json.Indent(&out, text, "", "  ")
	return out.String(), err
}

func (s *statusScreen) write(at time.Time, text string) error {
	const home, toLineEnd, toEnd = "\x1b[H", "\x1b[K", "\x1b[J"
	height := terminalRows(s.con.stdout)
	switch again := s.shown; {
	case s.watch && height > 0 && s.format == formatTable:
		lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
		lines = screenful(lines, s.con.columns(), height-1)
		text = home + strings.Join(lines, toLineEnd+"\n") + toLineEnd + "\n" + toEnd
		if !again {
			text = toEnd + text
		}
	case s.watch && s.format == formatTable:
		if text = stamp(at) + "\n" + text; again {
			text = "\n" + text
		}
	}
	s.shown = true
	_, err := io.WriteString(s.con.stdout, text)
	return err
}

// screenful are as many lines as fit into so many rows of a terminal, which wraps what is longer than a row. The first line is always there.
func screenful(lines []string, columns, rows int) []string {
	for i, line := range lines {
		taken := 1
		if columns > 0 {
			taken = max(1, (cells(line)+columns-1)/columns)
		}
		if rows -= taken; rows < 0 {
			if i == 0 {
				return []string{fit(line, max(1, columns*(rows+taken)))}
			}
			return lines[:i]
		}
	}
	return lines
}

// stopped is the result of a command that was told to stop: that of the last answers, if there were any.
func (s *statusScreen) stopped(ctx context.Context) error {
	if s.shown {
		return s.result
	}
	return stoppedBy(ctx, ctx.Err())
}

// terminalRows is the terminal's height; 0 if there is no terminal.
func terminalRows(w io.Writer) int {
	if file, ok := w.(descriptor); ok {
		if _, height, err := term.GetSize(int(file.Fd())); err == nil {
			return height
		}
	}
	return 0
}

// writeFleet writes one screen.
func writeFleet(out io.Writer, f *status.Fleet, columns int) error {
	say(out, "%s\n", visible(f.Sentence))
	for _, note := range f.Notes {
		say(out, "%s\n", visible(note))
	}
	if f.Kafka != nil {
		sayKafka(out, f)
	}
	say(out, "\n")
	parts := []func(io.Writer, *status.Fleet, int) error{writeReplicas, writePartitions, writeOldest, writeLetters, writeLog}
	for _, part := range parts {
		if err := part(out, f, columns); err != nil {
			return err
		}
	}
	return nil
}

func sayKafka(out io.Writer, f *status.Fleet) {
	k := f.Kafka
	if k.Error != "" {
		say(out, "Kafka says nothing of group %s: %s\n", visible(k.Group), visible(k.Error))
		return
	}
	members := "its members are not known"
	if k.Members >= 0 {
		members = fmt.Sprintf("%s, %s", visible(k.State), countOf(k.Members, "member", "members"))
	}
	letters := "dead letters not counted"
	if k.DeadLetters >= 0 {
		letters = "at most " + status.Count(k.DeadLetters, "dead letter", "dead letters") + " (convdel deadletters list --summary counts them)"
	}
	say(out, "Kafka says of group %s: %s; %s unfinished; %s\n", visible(k.Group), members, status.Count(f.Unfinished, "offset is", "offsets are"), letters)
}

func writeReplicas(out io.Writer, f *status.Fleet, columns int) error {
	g := grid{out: out, columns: columns}
	head := []string{"REPLICA", "STATE", "CALLS/S", "SHARE", "UNFINISHED", "ENDED/S", "VERSION"}
	for _, a := range f.Replicas {
		if r := a.Report; r != nil {
			g.row(head, []string{
				visible(a.URL), visible(string(r.State)), status.Number(r.Quota.Used), status.Number(r.Quota.Share),
				leftText(r.Unfinished), rateText(r.Rates), visible(r.Replica.Version),
			})
		}
	}
	if len(g.rows) == 0 {
		return nil
	}
	limit := "no limit"
	if f.Quota.Limit > 0 {
		limit = "of a limit of " + status.Number(f.Quota.Limit)
	}
	if len(g.rows) > 2 {
		g.row(head, []string{"all", "", status.Number(f.Quota.Used), status.Number(f.Quota.Share), status.Thousands(f.Unfinished), rateText(f.Rates), limit})
	}
	if err := g.flush(); err != nil {
		return err
	}
	for _, a := range f.Replicas {
		if a.Report != nil {
			say(out, "%s: %s\n", visible(a.URL), visible(a.Report.Sentence))
		}
	}
	return nil
}

func leftText(u status.Unfinished) string {
	if !u.Known {
		return "-"
	}
	return status.Thousands(u.Total)
}

func rateText(r status.Rates) string {
	if !r.Known {
		return "-"
	}
	return status.Number(r.Ended)
}

func writePartitions(out io.Writer, f *status.Fleet, columns int) error {
	if len(f.Partitions) == 0 {
		return nil
	}
	say(out, "\n")
	shown := f.Partitions
	if len(shown) > screenPartitions { // those with the most to do
		shown = slices.Clone(shown)
		slices.SortStableFunc(shown, func(a, b status.FleetPartition) int { return int(max(-1, min(1, b.Unfinished-a.Unfinished))) })
		shown = shown[:screenPartitions]
	}
	g := grid{out: out, columns: columns}
	for _, p := range shown {
		oldest := "-"
		if !p.Oldest.IsZero() {
			oldest = ago(p.Oldest, f.At)
		}
		g.row([]string{"PARTITION", "COMMITTED", "END", "UNFINISHED", "OLDEST", "OWNER"}, []string{
			strconv.Itoa(p.Partition.Partition), offsetText(p.Committed), offsetText(p.End), offsetText(p.Unfinished), oldest, visible(p.Replica),
		})
	}
	if err := g.flush(); err != nil {
		return err
	}
	if more := len(f.Partitions) - len(shown); more > 0 {
		say(out, "and %s with less to do\n", countOf(more, "partition", "partitions"))
	}
	return nil
}

// offsetText writes a number that may be unknown.
func offsetText(n int64) string {
	if n < 0 {
		return "-"
	}
	return strconv.FormatInt(n, 10)
}

func writeOldest(out io.Writer, f *status.Fleet, columns int) error {
	if len(f.Oldest) == 0 {
		return nil
	}
	say(out, "\n")
	g := grid{out: out, columns: columns}
	for _, e := range f.Oldest[:min(len(f.Oldest), screenOldest)] {
		due := "-"
		if !e.Due.IsZero() {
			due = "in " + roughly(max(0, e.Due.Sub(f.At)))
		}
		last := strings.TrimSpace(e.Conversation + " " + e.LastError)
		g.row([]string{"OLDEST UNFINISHED", "AGE", "STATE", "ATTEMPTS", "DUE", "LAST ERROR"}, []string{
			visible(e.Record), roughly(max(0, f.At.Sub(e.Time))), visible(e.State), strconv.Itoa(e.Attempts), due, visible(last),
		})
	}
	return g.flush()
}

func writeLetters(out io.Writer, f *status.Fleet, columns int) error {
	if len(f.DeadLetters) == 0 {
		return nil
	}
	say(out, "\n")
	g := grid{out: out, columns: columns}
	for _, l := range f.DeadLetters[:min(len(f.DeadLetters), screenLetters)] {
		g.row([]string{"DEAD LETTERS", "CLASS", "CODE"}, []string{status.Thousands(l.Letters), visible(l.Class), visible(l.Code)})
	}
	return g.flush()
}

// writeLog writes the last notable lines of all replicas.
func writeLog(out io.Writer, f *status.Fleet, columns int) error {
	var lines []status.Line
	for _, a := range f.Replicas {
		if a.Report != nil {
			lines = append(lines, a.Report.Log...)
		}
	}
	if len(lines) == 0 {
		return nil
	}
	slices.SortStableFunc(lines, func(a, b status.Line) int { return a.Time.Compare(b.Time) })
	say(out, "\n")
	g := grid{out: out, columns: columns}
	for _, l := range lines[max(0, len(lines)-screenLines):] {
		words := []string{l.Message}
		for _, a := range l.Attrs {
			words = append(words, a.Name+"="+a.Value)
		}
		g.row([]string{"LOG", "LEVEL", "LINE"}, []string{stamp(l.Time), visible(l.Level), visible(strings.Join(words, " "))})
	}
	return g.flush()
}
