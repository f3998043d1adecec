// Package page writes the status page: HTML that a phone shows, without scripts.
package page

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"slices"
	"time"

	"convdel/internal/status"
)

// refreshSeconds is how often the page asks for itself again.
const refreshSeconds = 5

// mostRows bounds the partitions that are shown. /status has all.
const mostRows = 200

//go:embed page.css
var styles string

//go:embed page.html
var source string

// Page writes pages. Make it with [New].
type Page struct{ template *template.Template }

// New parses the template.
func New() *Page {
	functions := template.FuncMap{
		"stamp":   func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
		"number":  status.Number,
		"count":   status.Thousands,
		"styles":  func() template.CSS { return template.CSS(styles) }, //nolint:gosec // it is ours
		"refresh": func() int { return refreshSeconds },
		"inc":     func(n int) int { return n + 1 },
	}
	return &Page{template: template.Must(template.New("page").Funcs(functions).Parse(source))}
}

// Policy is the Content-Security-Policy of pages: nothing is loaded, no script runs, and one style sheet counts.
func Policy() string {
	sum := sha256.Sum256([]byte(styles))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
		"'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
}

// view is what the template shows.
type view struct {
	status.Report

	Charts []chart
	// Refreshes says that the page asks for itself again.
	Refreshes bool
	// More is the number of partitions that are left out.
	More int
}

// Write returns the page of a report, with the samples of the last minutes.
func (p *Page) Write(r status.Report, samples []status.Sample, refreshes bool) ([]byte, error) {
	v := view{Report: r, Refreshes: refreshes}
	var err error
	if v.Charts, err = chartsOf(samples, r.At); err != nil {
		return nil, err
	}
	if v.More = len(r.Partitions) - mostRows; v.More > 0 {
		v.Partitions = r.Partitions[:mostRows]
	}
	var out bytes.Buffer
	if err := p.template.Execute(&out, v); err != nil {
		return nil, fmt.Errorf("status page: %w", err)
	}
	return out.Bytes(), nil
}

// Ago returns how long before the report a time is; for the template.
func (v view) Ago(t time.Time) string { return status.Roughly(max(0, v.At.Sub(t))) }

// In returns how long after the report a time is; for the template.
func (v view) In(t time.Time) string { return status.Roughly(max(0, t.Sub(v.At))) }

// LinesDown returns the log's lines, the newest first; for the template.
func (v view) LinesDown() []status.Line {
	down := make([]status.Line, 0, len(v.Log))
	for _, line := range slices.Backward(v.Log) {
		down = append(down, line)
	}
	return down
}

// Tone is the class of the state's box; for the template.
func (v view) Tone() string {
	switch v.State {
	case status.Working:
		return "well"
	case status.Joining, status.Draining:
		return "between"
	case status.Pausing, status.Stalled, status.NoKafka, status.Absent:
	}
	return "ill"
}

// Word is the state in words; for the template.
func (v view) Word() string {
	if v.State == status.NoKafka {
		return "no Kafka"
	}
	return string(v.State)
}
