package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"convdel/consumer/deadletter"
	"convdel/schema"
)

// lettersShowCommand shows one dead letter, open or settled.
type lettersShowCommand struct {
	ID     string `arg:"" help:"TOPIC/PARTITION/OFFSET, as list and the service's log show it." name:"id"`
	Format string `default:"table" group:"output" help:"table, a page to read; json or ndjson, one object, with the letter as export writes it." placeholder:"FORMAT" words:"table,json,ndjson"`

	tableSettings `embed:""`
}

// Help explains more than the flags' texts can.
func (*lettersShowCommand) Help() string {
	return `The event, or why there is none; what went wrong, what that means and what to do about it; times, key,
headers and value of the source record; and the commands that settle just this letter. Of a settled
letter, as long as the topic keeps its tombstone: who settled it, when and why, and all of the letter that
compaction has left.

    convdel deadletters show conversation.delete.requested/3/1234
    convdel deadletters show conversation.delete.requested/3/1234 --format json | jq -r .do

What does not print is shown escaped or in hexadecimal, and long values are cut. "deadletters export
--id ID" has all of it.`
}

// Run shows the letter, if it is open or its tombstone is there.
func (s *lettersShowCommand) Run(ctx context.Context, con *console) error {
	c := checker{flagsOnly: []string{"format"}}
	cfg := c.table(s.tableSettings, con.env)
	c.letterID("ID", s.ID)
	c.oneOf("format", s.Format, formatTable, formatJSON, formatNDJSON)
	if err := c.err(); err != nil {
		return err
	}
	table, err := cfg.open(ctx, con)
	if err != nil {
		return err
	}
	defer table.Close()
	var open *deadletter.Letter
	_, err = table.Each(ctx, deadletter.Filter{IDs: []string{s.ID}}, func(l *deadletter.Letter) error {
		open = l
		return nil
	})
	if err != nil {
		return stoppedBy(ctx, err)
	}
	out := bufio.NewWriter(con.stdout)
	if open != nil {
		if s.Format != formatTable {
			return errors.Join(writeLine(out, shownOpen(open)), out.Flush())
		}
		s.show(out, open, time.Now())
		return out.Flush()
	}
	fates, err := fatesOf(ctx, table, []string{s.ID})
	if err != nil {
		return stoppedBy(ctx, err)
	}
	if fates[0].settled == nil {
		return fmt.Errorf("%s: %w of %s: %s", s.ID, errNotOpen, cfg.letters, fates[0])
	}
	if s.Format != formatTable {
		return errors.Join(writeLine(out, shownSettled(fates[0])), out.Flush())
	}
	s.showSettled(out, fates[0], time.Now())
	return out.Flush()
}

// shownLetter is a letter in the JSON of show.
type shownLetter struct {
	ID string `json:"id"`
	// State is open or settled. Meaning and Do explain an open letter.
	State   string `json:"state"`
	Meaning string `json:"meaning,omitempty"`
	Do      string `json:"do,omitempty"`
	// How, By, Reason and Settled are those of a settled letter. FailedAgain is the open letter of its replay.
	How         string    `json:"how,omitempty"`
	By          string    `json:"by,omitempty"`
	Reason      string    `json:"reason,omitempty"`
	Settled     time.Time `json:"settled,omitzero"`
	FailedAgain string    `json:"failed_again,omitempty"`
	// Letter is null if compaction has removed it.
	Letter *exportedLetter `json:"letter"`
}

func shownOpen(l *deadletter.Letter) shownLetter {
	row, letter := shownLetter{ID: l.ID(), State: "open"}, exportOf(l)
	row.Meaning, row.Do = explainLetter(&l.DeadLetter)
	row.Letter = &letter
	return row
}

func shownSettled(f fate) shownLetter {
	s := f.settled
	row := shownLetter{ID: f.id, State: "settled", How: howSettled(s), By: s.By, Reason: s.Reason, Settled: expressible(s.At), FailedAgain: f.newer}
	if s.Letter != nil {
		letter := exportOf(s.Letter)
		row.Letter = &letter
	}
	return row
}

var errNotOpen = errors.New("not an open dead letter")

// field writes one line of the page.
func field(w io.Writer, name, format string, args ...any) {
	say(w, "  %-14s %s\n", name, fmt.Sprintf(format, args...))
}

func (s *lettersShowCommand) show(w io.Writer, l *deadletter.Letter, now time.Time) {
	say(w, "Dead letter %s\n", l.ID())
	showLetter(w, l, now, true)
	s.showCommands(w, l, now)
}

// showLetter shows all of a letter but its ID. There is nothing to be done about a letter that is not open.
func showLetter(w io.Writer, l *deadletter.Letter, now time.Time, open bool) {
	meaning, advice := explainLetter(&l.DeadLetter)
	field(w, "class", "%s", l.Class)
	field(w, "code", "%s", codeText(l.Code))
	field(w, "error", "%s", visible(l.Error))
	field(w, "meaning", "%s", visible(meaning))
	if open {
		field(w, "do", "%s", visible(advice))
	}
	field(w, "attempts", "%d", l.Attempts)
	if l.Replays > 0 {
		field(w, "replays", "%d; %s", l.Replays, replacesText(l))
	}
	showLack(w, l)
	field(w, "given up by", "group %s", visible(l.Group))
	event, err := l.Event()
	showEvent(w, event, err)
	showTimes(w, l, event, now)
	showSource(w, l, err != nil)
}

// replacesText names the letters that are settled along with this one.
func replacesText(l *deadletter.Letter) string {
	if old := l.Replaces(); len(old) > 0 {
		return "this letter replaces " + strings.Join(old, ", ") + ", settled along with it"
	}
	return "its record says that it is one of " + visible(l.ReplayOf) + ", which is settled or was another record"
}

func showEvent(w io.Writer, e schema.Event, err error) {
	if err != nil {
		say(w, "\nNo event\n")
		field(w, "why", "%s", visible(err.Error()))
		return
	}
	say(w, "\nEvent\n")
	field(w, "From_Account", "%s", visible(e.From))
	field(w, "Type", "%d (%s)", int(e.Type), e.Type)
	field(w, "To_Account", "%s", visible(e.To))
	field(w, "ClearRamble", "%t", e.ClearRamble)
	if e.ID != "" {
		field(w, "id", "%s", visible(e.ID))
		field(w, "source", "%s", visible(e.Source))
	}
}

func showTimes(w io.Writer, l *deadletter.Letter, e schema.Event, now time.Time) {
	say(w, "\nTimes\n")
	for _, t := range []struct {
		name string
		at   time.Time
	}{
		{"event", e.Time},
		{"published", l.Timestamp},
		{"first attempt", l.FirstAttempt},
		{"last attempt", l.LastAttempt},
		{"dead-lettered", l.Written},
	} {
		if !t.at.IsZero() {
			field(w, t.name, "%s  %s", stamp(t.at), ago(t.at, now))
		}
	}
}

const (
	// maxShownHeaders and maxShownHeader bound how many headers are shown, and how much of each.
	maxShownHeaders = 64
	maxShownHeader  = 512
)

// showSource shows the source record, and the bytes of its value if they are no event.
func showSource(w io.Writer, l *deadletter.Letter, bytes bool) {
	say(w, "\nSource record\n")
	field(w, "key", "%s", quoteBytes(l.Key))
	headers := schema.SourceHeaders(l.Headers)
	for i, h := range headers {
		if i == maxShownHeaders {
			field(w, "", "… and %d headers more; export has all of them", len(headers)-i)
			break
		}
		field(w, "header", "%s = %s", quoteBytes([]byte(h.Key)), quoteBytes(h.Value))
	}
	switch {
	case l.Omitted != nil && len(l.Value) == 0:
		field(w, "value", "not in the letter")
		return
	case l.Value == nil:
		field(w, "value", "null")
		return
	}
	field(w, "value", "%s", countOf(len(l.Value), "byte", "bytes"))
	if len(l.Value) == 0 {
		return
	}
	const indent = "    "
	text := isText(l.Value)
	if text {
		say(w, "%s", dumpText(l.Value, indent))
	}
	if bytes || !text {
		say(w, "%s", dumpHex(l.Value, indent))
	}
}

// quoteBytes shows a key or a header in one line.
func quoteBytes(data []byte) string {
	if data == nil {
		return "null"
	}
	if len(data) <= maxShownHeader {
		return strconv.Quote(string(data))
	}
	return fmt.Sprintf("%q… (%d bytes)", data[:maxShownHeader], len(data))
}

// showCommands ends the page with commands for this letter.
func (s *lettersShowCommand) showCommands(w io.Writer, l *deadletter.Letter, now time.Time) {
	given := s.arguments(l.Topic)
	anyAge := ""
	if l.Age(now) > defaultMaxAge {
		anyAge = " --max-age 0"
		say(w, "\nThe event is %s old. If the conversation has come back to life, a replay deletes its new messages.\n", roughly(l.Age(now)))
	}
	say(w, "\nSettle it (each shows its plan; add --yes to do it)\n")
	if _, err := l.Source(); err == nil {
		say(w, "  convdel deadletters replay%s%s --id %s\n", given, anyAge, l.ID())
	}
	say(w, "  convdel deadletters discard%s --reason 'WHY' --id %s\n", given, l.ID())
	s.showSearch(w, l)
	if l.Class == schema.ClassUndecodable && l.Omitted == nil && l.Batch == nil {
		say(w, "Mend it: write it out, correct its value, publish it, and then discard it as above\n")
		say(w, "  convdel deadletters export%s --id %s > letter.ndjson\n", given, l.ID())
		say(w, "  convdel publish%s < letter.ndjson\n", s.publishArguments(l.Topic))
	}
}

// arguments returns the flags that locate these letters, for a command line that can be copied.
func (s *tableSettings) arguments(topic string) string {
	letters := (&checker{}).letterTopic(s.Topic, s.DeadLetterTopic)
	text := s.publishArguments(topic)
	if letters != topic+deadLetterSuffix {
		text += " --dead-letter-topic=" + shellWord(letters)
	}
	return text
}

// publishArguments returns those of these flags that publish has, too.
func (s *tableSettings) publishArguments(topic string) string {
	var text strings.Builder
	for _, flag := range []struct{ name, value, unless string }{
		{"brokers", s.Brokers, ""},
		{"topic", topic, schema.Topic},
		{"kafka-tls", string(s.TLS), "false"},
		{"kafka-ca-file", s.CAFile, ""},
		{"kafka-cert-file", s.CertFile, ""},
		{"kafka-key-file", s.KeyFile, ""},
		{"kafka-sasl", s.SASL, ""},
		{"kafka-username", s.Username, ""},
		{"insecure", string(s.Insecure), "false"},
	} {
		if flag.value != flag.unless && flag.value != "" {
			say(&text, " --%s=%s", flag.name, shellWord(flag.value))
		}
	}
	return text.String()
}

// shellWord quotes a text for a shell, if necessary.
func shellWord(text string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._-/:,=@%+[]", r)
	}
	if text != "" && !strings.ContainsFunc(text, func(r rune) bool { return !plain(r) }) {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}
