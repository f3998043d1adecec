// Package check rules on what convdel check has found. It asks nobody: its functions take the evidence and return rows.
package check

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Name is the name of a check.
type Name string

// These are the checks, in the order in which they are shown.
const (
	Settings        Name = "settings"
	Kafka           Name = "kafka"
	Topic           Name = "topic"
	DeadLetterTopic Name = "dead-letter-topic"
	OutcomeTopic    Name = "outcome-topic"
	Group           Name = "group"
	Redis           Name = "redis"
	Clock           Name = "clock"
	Endpoint        Name = "im-endpoint"
	Credential      Name = "im-credential" //nolint:gosec // it is a name
	Quota           Name = "quota"
)

// Names are all checks, in their order.
func Names() []Name {
	return []Name{Settings, Kafka, Topic, DeadLetterTopic, OutcomeTopic, Group, Redis, Clock, Endpoint, Credential, Quota}
}

// Row is the result of a check.
type Row struct {
	Name Name `json:"name"`
	// OK says that the service can run, as far as this check goes. Warning says that something is odd and still ok.
	OK      bool `json:"ok"`
	Warning bool `json:"warning,omitempty"`
	// Detail is what was found, what is wrong first. Fix is what to do about it; empty if there is nothing to do.
	Detail string `json:"detail"`
	Fix    string `json:"fix,omitempty"`
}

// Report is all rows. It is ok if all of them are.
type Report struct {
	OK     bool  `json:"ok"`
	Checks []Row `json:"checks"`
}

// ReportOf puts rows together.
func ReportOf(rows []Row) Report {
	r := Report{OK: true, Checks: rows}
	for _, row := range rows {
		r.OK = r.OK && row.OK
	}
	return r
}

// NotChecked is the row of a check that can't be made.
func NotChecked(name Name, why, fix string) Row {
	return Row{Name: name, Detail: "not checked: " + why, Fix: fix}
}

// Off is the row of something that the settings turn off.
func Off(name Name, why string) Row { return Row{Name: name, OK: true, Detail: why} }

// Failed is the row of a check that has found only what is wrong.
func Failed(name Name, detail, fix string) Row { return Row{Name: name, Detail: detail, Fix: fix} }

// ruling collects what a check finds.
type ruling struct {
	wrongs, odds, facts []string
	fixes               []string
}

// fact notes what is as it should be.
func (r *ruling) fact(format string, args ...any) {
	r.facts = append(r.facts, fmt.Sprintf(format, args...))
}

// odd notes what is odd and still ok, and what to do about it.
func (r *ruling) odd(fix, format string, args ...any) {
	r.odds = append(r.odds, fmt.Sprintf(format, args...))
	r.fix(fix)
}

// wrong notes what is wrong, and what to do about it.
func (r *ruling) wrong(fix, format string, args ...any) {
	r.wrongs = append(r.wrongs, fmt.Sprintf(format, args...))
	r.fix(fix)
}

// fix notes advice, once.
func (r *ruling) fix(advice string) {
	if advice != "" && !slices.Contains(r.fixes, advice) {
		r.fixes = append(r.fixes, advice)
	}
}

// row returns the result.
func (r *ruling) row(name Name) Row {
	details := append(append(append([]string{}, r.wrongs...), r.odds...), r.facts...)
	return Row{
		Name: name, OK: len(r.wrongs) == 0, Warning: len(r.wrongs) == 0 && len(r.odds) > 0,
		Detail: strings.Join(details, "; "), Fix: strings.Join(r.fixes, "; "),
	}
}

// SettingsRow rules on the settings: problems stop a start, warnings do not. set are the names of those that differ from their defaults.
func SettingsRow(problems, warnings, set []string) Row {
	var r ruling
	for _, p := range problems {
		r.wrong(`set them as the lines say; "convdel run -h" lists all settings`, "%s", p)
	}
	for _, w := range warnings {
		r.odd("", "%s", w)
	}
	switch {
	case len(set) > 0:
		r.fact("%s from the defaults: %s", differ(len(set)), strings.Join(set, ", "))
	case len(problems) == 0:
		r.fact("all settings are at their defaults")
	}
	return r.row(Settings)
}

func differ(n int) string {
	if n == 1 {
		return "1 setting differs"
	}
	return strconv.Itoa(n) + " settings differ"
}

// countOf writes a number of things.
func countOf(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.FormatInt(n, 10) + " " + many
}

// list names a few numbers and counts the rest.
func list(numbers []int) string {
	const most = 8
	var b strings.Builder
	for i, n := range numbers {
		if i == most {
			fmt.Fprintf(&b, " and %d more", len(numbers)-most)
			break
		}
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(strconv.Itoa(n))
	}
	return b.String()
}

// span writes a length of time as settings take it, in its largest unit if that is exact.
func span(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d >= day && d%day == 0:
		return strconv.Itoa(int(d/day)) + "d"
	case d >= day:
		return fmt.Sprintf("%dd%dh", d/day, d%day/time.Hour)
	case d >= time.Hour:
		return strings.TrimSuffix(strings.TrimSuffix(d.Round(time.Minute).String(), "0s"), "0m")
	case d >= time.Minute:
		return strings.TrimSuffix(d.Round(time.Second).String(), "0s")
	}
	if d >= time.Second {
		return d.Round(time.Second).String()
	}
	return d.Round(time.Millisecond).String()
}
