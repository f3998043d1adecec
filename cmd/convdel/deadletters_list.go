package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"convdel/consumer/deadletter"
	"convdel/consumer/mention"
	"convdel/schema"
)

// These are the values of format.
const (
	formatTable  = "table"
	formatNDJSON = "ndjson"
)

// lettersListCommand lists open dead letters.
type lettersListCommand struct {
	filterFlags `embed:""`

	Newest  string `default:"0" group:"output" help:"Number of letters at most, the newest ones; 0 = all." placeholder:"NUMBER"`
	Settled bool   `group:"output" help:"The settled letters instead, as long as the topic keeps their tombstones. Then --since and --until go by when a letter was settled."`
	Summary bool   `group:"output" help:"Count the letters by class and code, with meaning and remedy."`
	Watch   bool   `group:"output" help:"Go on with new letters as they come; ctrl-C ends it."`
	Format  string `default:"table" group:"output" help:"table; json, one object; ndjson, one object a line." placeholder:"FORMAT" words:"table,json,ndjson"`

	tableSettings `embed:""`
}

// Help explains more than the flags' texts can.
func (*lettersListCommand) Help() string {
	return `The open dead letters, newest last. AGE is that of the event, which counts for replay --max-age; --since
and --until go by when it was dead-lettered. A letter whose replay has failed again is listed once.

A record that is no event names no account. So --account also looks for the account anywhere in such a
record, undoing escapes and encodings, and marks what it finds: ? in a field (From_Account or To_Account
somewhere), the key, a header, or the bytes. It may find too much. Letters of which it can't tell are
counted. replay and discard never guess: they take such a letter by --id.

    convdel deadletters list --summary
    convdel deadletters list --since 2h --class exhausted,expired
    convdel deadletters list --account alice --format ndjson | jq .error
    convdel deadletters list --newest 20
    convdel deadletters list --settled --since 1d
    convdel deadletters list --watch --code 50001`
}

// Run lists, counts or watches.
func (l *lettersListCommand) Run(ctx context.Context, con *console) error {
	c := checker{flagsOnly: filterNames("format", "watch", "newest", "settled")}
	cfg := c.table(l.tableSettings, con.env)
	filter := c.filter(l.filterFlags, time.Now())
	filter.Lenient = true
	newest := l.checkNewest(&c)
	c.oneOf("format", l.Format, formatTable, formatJSON, formatNDJSON)
	if l.Watch {
		l.checkWatch(&c)
	}
	if l.Settled && l.Summary {
		c.conflict("settled", "true", "not with --summary")
	}
	if err := c.err(); err != nil {
		return err
	}
	table, err := cfg.open(ctx, con)
	if err != nil {
		return err
	}
	defer table.Close()
	out := bufio.NewWriter(con.stdout)
	switch {
	case l.Watch:
		say(con.stderr, "watching %s; ctrl-C ends it\n", cfg.letters)
		err = l.watch(ctx, con, table, filter, out)
	case l.Summary:
		err = l.summarize(ctx, table, filter, out)
	case l.Settled:
		err = l.listSettled(ctx, con, table, filter, newest, out)
	default:
		err = l.list(ctx, con, table, filter, newest, out)
	}
	return stoppedBy(ctx, errors.Join(err, out.Flush()))
}

func (l *lettersListCommand) checkWatch(c *checker) {
	const flag, text = "watch", "true"
	if l.Summary {
		c.conflict(flag, text, "not with --summary")
	}
	if l.Format == formatJSON {
		c.conflict(flag, text, "not with --format json, which is one object; ndjson is an object a line")
	}
	if l.Limit != "0" {
		c.conflict(flag, text, "not with --limit")
	}
	if l.Newest != "0" {
		c.conflict(flag, text, "not with --newest")
	}
	if l.Settled {
		c.conflict(flag, text, "not with --settled")
	}
}

// checkNewest reads how many of the newest letters are listed. So many rows are held.
func (l *lettersListCommand) checkNewest(c *checker) int {
	const most = 100_000
	n := int(c.number("newest", l.Newest, 0, most, ", 0 = all"))
	if n > 0 && l.Limit != "0" {
		c.conflict("newest", l.Newest, "not with --limit, which is about the oldest")
	}
	if n > 0 && l.Summary {
		c.conflict("newest", l.Newest, "not with --summary")
	}
	return n
}

func (l *lettersListCommand) list(
	ctx context.Context, con *console, table *deadletter.Table, f deadletter.Filter, newest int, out *bufio.Writer,
) error {
	lister := l.lister(con, out, tableBatch)
	last := newestRows[listedLetter]{most: newest}
	shown, mentioned, now := 0, 0, time.Now()
	show := func(row listedLetter) error {
		shown++
		if row.Match != "" {
			mentioned++
		}
		return lister.letter(row)
	}
	totals, err := table.Each(ctx, f, func(letter *deadletter.Letter) error {
		if newest == 0 {
			return show(listed(letter, now))
		}
		last.add(listed(letter, now))
		return nil
	})
	if err != nil {
		return err
	}
	for _, row := range last.rows() {
		if err := show(row); err != nil {
			return err
		}
	}
	if err := lister.end(totals); err != nil {
		return err
	}
	w := l.notes(con, out, shown)
	sayTotals(w, l.letters(), shown, "listed", totals)
	sayUnjudged(w, mentioned, totals)
	return nil
}

// notes returns where the lines for people go that follow the letters: not between the lines for a program. One object has
// all numbers itself.
func (l *lettersListCommand) notes(con *console, out io.Writer, shown int) io.Writer {
	switch {
	case l.Format == formatNDJSON:
		return con.stderr
	case l.Format == formatJSON:
		return io.Discard
	case shown > 0:
		say(out, "\n")
	}
	return out
}

// newestRows keeps the last rows that are added.
type newestRows[T any] struct {
	most int
	all  []T
}

func (n *newestRows[T]) add(row T) {
	if n.all = append(n.all, row); len(n.all) == 2*n.most {
		n.all = append(n.all[:0], n.all[n.most:]...)
	}
}

func (n *newestRows[T]) rows() []T { return n.all[max(0, len(n.all)-n.most):] }

// watch lists the open letters and then each new one, until it is stopped. Being stopped is no error.
func (l *lettersListCommand) watch(ctx context.Context, con *console, table *deadletter.Table, f deadletter.Filter, out *bufio.Writer) error {
	lister := l.lister(con, out, 1)
	err := table.Follow(ctx, f, func(letter *deadletter.Letter) error {
		return errors.Join(lister.letter(listed(letter, time.Now())), out.Flush())
	})
	if ctx.Err() != nil {
		return nil //nolint:nilerr // told to stop
	}
	return err
}

// lister writes dead letters in one of the formats.
type lister interface {
	letter(row listedLetter) error
	end(totals deadletter.Totals) error
}

func (l *lettersListCommand) lister(con *console, out io.Writer, batch int) lister {
	if l.Format == formatTable {
		return &letterTable{out: out, columns: con.columns(), batch: batch}
	}
	return l.lines(out)
}

func (l *lettersListCommand) lines(out io.Writer) *letterLines {
	return &letterLines{out: out, object: l.Format == formatJSON}
}

// letters returns the dead-letter topic's name, which was checked.
func (l *lettersListCommand) letters() string {
	return (&checker{}).letterTopic(l.Topic, l.DeadLetterTopic)
}

// listedLetter is a dead letter in a list for programs.
type listedLetter struct {
	ID         string       `json:"id"`
	Written    time.Time    `json:"written,omitzero"`
	AgeSeconds int64        `json:"age_seconds"`
	Class      schema.Class `json:"class"`
	Code       int          `json:"code"`
	Error      string       `json:"error"`
	Attempts   int          `json:"attempts"`
	Replays    int          `json:"replays"`
	ReplayOf   string       `json:"replay_of,omitempty"`
	// Replaces are the IDs of the letters that are settled along with it.
	Replaces    []string `json:"replaces,omitempty"`
	From        string   `json:"from,omitempty"`
	Type        string   `json:"type,omitempty"`
	To          string   `json:"to,omitempty"`
	ClearRamble bool     `json:"clear_ramble,omitempty"`
	// Match says where --account was found in a record that is no event.
	Match mention.Where `json:"match,omitempty"`
	lackedParts
}

func listed(l *deadletter.Letter, now time.Time) listedLetter {
	line := listedLetter{
		ID: l.ID(), Written: expressible(l.Written), AgeSeconds: int64(l.Age(now).Seconds()), Class: l.Class, Code: l.Code,
		Error: l.Error, Attempts: l.Attempts, Replays: l.Replays, ReplayOf: l.ReplayOf, Replaces: l.Replaces(), Match: l.Mention,
		lackedParts: lackedBy(l),
	}
	if e, err := l.Event(); err == nil {
		line.From, line.Type, line.To, line.ClearRamble = e.From, e.Type.String(), e.To, e.ClearRamble
	}
	return line
}

// letterLines writes a line of JSON for each letter, or one object around all of them.
type letterLines struct {
	out    io.Writer
	object bool
	shown  int
	line   []byte
}

func (w *letterLines) letter(row listedLetter) error { return w.row(row) }

func (w *letterLines) row(row any) error {
	w.line = w.line[:0]
	if w.object {
		w.line = append(w.line, w.separator()...)
	}
	w.shown++
	var err error
	if w.line, err = appendLine(w.line, row); err != nil {
		return err
	}
	_, err = w.out.Write(w.line)
	return err
}

// separator returns the text in front of the next letter.
func (w *letterLines) separator() string {
	if w.shown == 0 {
		return "{\"letters\":[\n"
	}
	return ","
}

func (w *letterLines) end(totals deadletter.Totals) error {
	if !w.object {
		return nil
	}
	start := ""
	if w.shown == 0 {
		start = w.separator()
	}
	text, err := appendLine(nil, totalsOf(totals))
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w.out, "%s],%s", start, text[len("{"):])
	return err
}
