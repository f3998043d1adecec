package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/alecthomas/kong"

	"convdel/consumer"
	"convdel/consumer/cluster"
	"convdel/consumer/deadletter"
	"convdel/schema"
)

// deadlettersName is the command with subcommands.
const deadlettersName = "deadletters"

// deadlettersCommand works on the dead-letter topic.
type deadlettersCommand struct {
	List    lettersListCommand    `cmd:"" help:"List the open dead letters, count them by cause (--summary), or list the settled ones (--settled)."`
	Show    lettersShowCommand    `cmd:"" help:"Show everything about one dead letter, and its remedy, or by whom it was settled."`
	Replay  lettersReplayCommand  `cmd:"" help:"Publish the events of dead letters again and settle them. Shows a plan, unless --yes is given."`
	Discard lettersDiscardCommand `cmd:"" help:"Settle dead letters for a reason, without their events. Shows a plan, unless --yes is given."`
	Export  lettersExportCommand  `cmd:"" help:"Write dead letters as lines of JSON, which publish takes."`
}

// Help explains more than the flags' texts can.
func (*deadlettersCommand) Help() string {
	return `A dead letter is the record of an event that could not be executed. It is open until it is settled: by
a replay, which publishes the event again, or by a discard, which gives it up for a reason. Where to
begin:

    convdel deadletters list --summary
    convdel deadletters show ID
    convdel deadletters replay --class exhausted --since 6h`
}

// tableSettings locate the dead letters and their events.
type tableSettings struct {
	brokerSettings      `embed:"" group:"kafka"`
	letterTopicSettings `embed:"" group:"kafka"`
	securitySettings    `embed:"" group:"kafka"`
}

// tableConfig is tableSettings, read and checked.
type tableConfig struct {
	cluster        cluster.Config
	topic, letters string
}

func (c *checker) table(s tableSettings, env func(string) (string, bool)) tableConfig {
	return tableConfig{
		cluster: c.cluster(s.brokerSettings, s.securitySettings, env),
		topic:   c.eventTopic(s.Topic),
		letters: c.letterTopic(s.Topic, s.DeadLetterTopic),
	}
}

// open opens the table. Parts of the topic that can't be read are reported on standard error.
func (t tableConfig) open(ctx context.Context, con *console) (*deadletter.Table, error) {
	table, err := deadletter.Open(ctx, t.cluster, t.letters)
	if missing, ok := errors.AsType[*consumer.TopicError](err); ok {
		return nil, fmt.Errorf("%w (is --dead-letter-topic right? the service creates it only if told to)", missing)
	}
	if err != nil {
		return nil, stoppedBy(ctx, fmt.Errorf("open topic %s: %w", t.letters, err))
	}
	table.Notice = notices(con.stderr, t.letters)
	return table, nil
}

// errInterrupted says that a command was stopped before its end.
var errInterrupted = errors.New("stopped before the end")

// stoppedBy replaces an error whose only reason is that the command was stopped.
func stoppedBy(ctx context.Context, err error) error {
	var failed *deadletter.SettleError
	if err != nil && ctx.Err() != nil && !errors.As(err, &failed) {
		return errInterrupted
	}
	return err
}

// words are the values of a flag that may be given several times, or with commas. Empty values are kept, so that they are
// refused later. Otherwise an empty filter would select everything.
type words []string

// Decode takes one flag's text.
func (w *words) Decode(ctx *kong.DecodeContext) error {
	var text string
	if err := ctx.Scan.PopValueInto("text", &text); err != nil {
		return err
	}
	*w = append(*w, strings.Split(text, ",")...)
	return nil
}

// filterFlags select dead letters.
type filterFlags struct {
	Class   words   `group:"filter" help:"exhausted, permanent, undecodable, expired or revived; several by commas, or by several flags." placeholder:"CLASS" words:"exhausted,permanent,undecodable,expired,revived"`
	Code    words   `group:"filter" help:"The API's last code; 0 = none." placeholder:"CODE"`
	Account *string `group:"filter" help:"Either side of the conversation." placeholder:"ID"`
	Since   *string `group:"filter" help:"Dead-lettered at that time or later: RFC 3339, a date, or an age such as 90m, 2d or 1w." placeholder:"TIME"`
	Until   *string `group:"filter" help:"Dead-lettered before that time, in the same form." placeholder:"TIME"`
	ID      words   `group:"filter" help:"TOPIC/PARTITION/OFFSET, as list shows it." name:"id" placeholder:"ID"`
	Limit   string  `default:"0" group:"filter" help:"Number of letters at most, the oldest ones; 0 = all. It is no filter." placeholder:"NUMBER"`
}

// filterNames are those of these flags that have no environment variable.
func filterNames(more ...string) []string {
	return append(more, "class", "code", "account", "since", "until", "id", "limit")
}

// given returns true if a filter is set. The limit is none: it says how many letters, not which. Nor is an until that is not
// past: every letter is older.
func (f *filterFlags) given(until, now time.Time) bool {
	return len(f.Class)+len(f.Code)+len(f.ID) > 0 || f.Account != nil || f.Since != nil || f.Until != nil && until.Before(now)
}

func (c *checker) filter(f filterFlags, now time.Time) deadletter.Filter {
	filter := deadletter.Filter{Limit: int(c.number("limit", f.Limit, 0, 1<<40, ", 0 = all"))}
	if f.Account != nil {
		// A line of a file from Windows ends with \r, which would find nothing and look like an all-clear.
		if filter.Account = *f.Account; strings.TrimSpace(filter.Account) == "" || strings.ContainsFunc(filter.Account, unicode.IsControl) {
			c.wrong("account", filter.Account, "an account or a group, without line ends and other control characters")
		}
	}
	for _, text := range f.Class {
		filter.Classes = append(filter.Classes, schema.Class(c.oneOf("class", text, classNames()...)))
	}
	for _, text := range f.Code {
		code, err := strconv.Atoi(text)
		if err != nil {
			c.wrong("code", text, "a number, such as 50001, or 0 for none")
		}
		filter.Codes = append(filter.Codes, code)
	}
	for _, text := range f.ID {
		filter.IDs = append(filter.IDs, c.letterID("--id", text))
	}
	filter.Since = c.moment("since", f.Since, now)
	filter.Until = c.moment("until", f.Until, now)
	if filter.Since.After(now) {
		c.conflict("since", *f.Since, "is not past, so no letter would be selected (a date begins in UTC)")
	}
	if !filter.Since.IsZero() && !filter.Until.IsZero() && !filter.Since.Before(filter.Until) {
		c.conflict("until", *f.Until, fmt.Sprintf("must be later than --since, which is %q", *f.Since))
	}
	return filter
}

func classNames() []string {
	var names []string
	for _, class := range schema.Classes() {
		names = append(names, string(class))
	}
	return names
}

func (c *checker) letterID(name, text string) string {
	if _, _, _, err := schema.ParseID(text); err != nil {
		c.problems = append(c.problems, fmt.Sprintf("%s is %s: must be TOPIC/PARTITION/OFFSET, as list shows it", name, quote(text)))
	}
	return text
}

// sayTotals reports the numbers of a pass over the topic.
func sayTotals(w io.Writer, topic string, shown int, shownAs string, totals deadletter.Totals) {
	switch {
	case totals.Open == 0:
		say(w, "no open dead letters in %s (%d records read)\n", topic, totals.Records)
	case shown == totals.Open:
		say(w, "%s %d, all that are open in %s\n", shownAs, shown, topic)
	default:
		say(w, "%s %d of %d open dead letters in %s\n", shownAs, shown, totals.Open, topic)
	}
	if totals.Replaced > 0 {
		say(w, "%s open too, each replaced by that of its replay, with which it is settled\n", countOf(totals.Replaced, "letter is", "letters are"))
	}
	sayForeign(w, totals.Foreign)
}

// sayUnjudged reports how many letters a lenient --account can't tell of, since silence looks like an all-clear. mentioned
// is how many of the shown letters it has found by looking into records that are no events.
func sayUnjudged(w io.Writer, mentioned int, totals deadletter.Totals) {
	if mentioned > 0 {
		say(w, "%s no event and marked with the place where the account is found; replay and discard take such a letter by --id only\n",
			countOf(mentioned, "of these is", "of these are"))
	}
	if totals.Unjudged > 0 {
		say(w, "%s no event and may concern anybody: parts are missing or can't be read (list --class undecodable)\n",
			countOf(totals.Unjudged, "letter more is", "letters more are"))
	}
}

func sayForeign(w io.Writer, n int) {
	if n > 0 {
		say(w, "%s of the topic not convdel's, left alone\n", countOf(n, "record is", "records are"))
	}
}

// countOf writes a number with its noun.
func countOf(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + many
}

// sortedBy returns the keys of counts, the largest first.
func sortedBy[K ~string](counts map[K]int) []K {
	var keys []K
	for k := range counts {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b K) int {
		if counts[a] != counts[b] {
			return counts[b] - counts[a]
		}
		return strings.Compare(string(a), string(b))
	})
	return keys
}
