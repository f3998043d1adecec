package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"convdel/internal/check"
	"convdel/schema"
)

// checkCommand tries everything that run needs.
type checkCommand struct {
	Probe   string `group:"output" help:"Ask the API for this account's list of conversations, with one call, to see whether it takes the signature." placeholder:"ACCOUNT"`
	Timeout string `default:"10s" group:"output" help:"How long each check may take." placeholder:"TIME"`
	Format  string `default:"table" group:"output" help:"table; json, one object; ndjson, one object a line." placeholder:"FORMAT" words:"table,json,ndjson"`

	serviceSettings
}

// Help explains more than the flags' texts can.
func (*checkCommand) Help() string {
	return `Tries everything that run needs, with the settings that run takes, and says what is wrong and what to do. It reads
alone: it joins no group, commits nothing, writes nothing and deletes nothing. Run it as the user of run, since
it looks at the rights of that user. It runs beside a service that works, too.

    convdel check
    convdel check --probe alice
    convdel check --format json | jq -r '.checks[] | select(.ok | not) | .name + ": " + .fix'

A check that needs a wrong setting, or something that another check has found missing, says "not checked". What
is odd and still ok is a warning. docs/check.md lists the checks.

Exit status: 0 all are ok, warnings included; 1 one is not; 2 wrong usage of this command.`
}

// allowsUnknownVariables says that a misspelt variable is a finding of this command rather than its end.
func (*checkCommand) allowsUnknownVariables() {}

// Run checks.
func (k *checkCommand) Run(ctx context.Context, con *console) error {
	flags := checker{flagsOnly: []string{"probe", "timeout", "format"}}
	limit := flags.duration("timeout", k.Timeout, 100*time.Millisecond, 10*time.Minute)
	flags.oneOf("format", k.Format, formatTable, formatJSON, formatNDJSON)
	if k.Probe != "" {
		event := schema.Event{Conversation: schema.Conversation{From: k.Probe, Type: schema.G2C, To: "g"}}
		if event.Validate() != nil {
			flags.wrong("probe", k.Probe, "an account: 1 to 32 bytes of printable ASCII")
		}
	}
	if err := flags.err(); err != nil {
		return err
	}
	report := newInspection(con, &k.serviceSettings, k.Probe, limit).run(ctx)
	if err := ctx.Err(); err != nil {
		return errInterrupted
	}
	if err := writeReport(con, k.Format, report); err != nil {
		return err
	}
	if !report.OK {
		return errReported
	}
	return nil
}

// writeReport writes the rows in one of the formats.
func writeReport(con *console, format string, report check.Report) error {
	switch format {
	case formatJSON:
		return writeLine(con.stdout, report)
	case formatNDJSON:
		for _, row := range report.Checks {
			if err := writeLine(con.stdout, row); err != nil {
				return err
			}
		}
		return nil
	}
	var text strings.Builder
	p := paint{on: con.colours(con.stdout)}
	failed, odd := 0, 0
	for _, row := range report.Checks {
		word := p.green(pad("ok", 8))
		switch {
		case !row.OK:
			failed++
			word = p.red(pad("FAILED", 8))
		case row.Warning:
			odd++
			word = p.yellow(pad("warning", 8))
		}
		const indent = 28
		text.WriteString(word + " " + pad(string(row.Name), 18) + " ")
		text.WriteString(hanging(visible(row.Detail), indent, con.columns()) + "\n")
		if row.Fix != "" {
			text.WriteString(strings.Repeat(" ", indent) + hanging("→ "+visible(row.Fix), indent+2, con.columns()) + "\n")
		}
	}
	fmt.Fprintf(&text, "\n%s: %d ok, %s, %d failed\n", countOf(len(report.Checks), "check", "checks"), len(report.Checks)-failed-odd, countOf(odd, "warning", "warnings"), failed)
	_, err := io.WriteString(con.stdout, text.String())
	return err
}

// hanging breaks a text into lines of so many columns, 0 for any. The first line begins behind an indent, which the others get.
func hanging(text string, indent, columns int) string {
	const least = 30
	if columns < indent+least {
		return text
	}
	var b strings.Builder
	used := indent
	for i, word := range strings.Fields(text) {
		n := cells(word)
		switch {
		case i == 0:
		case used+1+n > columns:
			b.WriteString("\n" + strings.Repeat(" ", indent))
			used = indent
		default:
			b.WriteByte(' ')
			used++
		}
		b.WriteString(word)
		used += n
	}
	return b.String()
}
