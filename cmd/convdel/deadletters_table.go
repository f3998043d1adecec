package main

import (
	"io"
	"strconv"
	"strings"
	"time"

	"convdel/consumer/deadletter"
	"convdel/consumer/mention"
	"convdel/schema"
)

// tableBatch is how many letters decide the first widths of the columns. So many are held.
const tableBatch = 200

// leastError is how many columns the error needs beside the others. With fewer it gets a line of its own.
const leastError = 30

// letterTable writes dead letters as a table. A column grows if a later letter needs it.
type letterTable struct {
	out     io.Writer
	columns int // the terminal's width, 0 if unbounded
	batch   int
	rows    [][]string
	widths  []int
	headed  bool
}

const (
	columnConversation = 5
	columnError        = 6
)

func (t *letterTable) letter(row listedLetter) error {
	attempts := strconv.Itoa(row.Attempts)
	if row.Replays > 0 {
		attempts += " +" + countOf(row.Replays, "replay", "replays")
	}
	age := time.Duration(row.AgeSeconds) * time.Second
	return t.row([]string{"ID", "AGE", "CLASS", "CODE", "ATTEMPTS", "CONVERSATION", "ERROR"}, []string{
		row.ID, roughly(age), string(row.Class), codeText(row.Code), attempts, row.conversation(), visible(row.Error),
	})
}

// row adds a row to the table. All rows have the same head, and the conversation and a long text as their last columns.
func (t *letterTable) row(head, row []string) error {
	if !t.headed {
		t.headed = true
		t.rows = append(t.rows, head)
	}
	if t.rows = append(t.rows, row); len(t.rows) >= t.batch {
		return t.flush()
	}
	return nil
}

func (t *letterTable) end(deadletter.Totals) error { return t.flush() }

// codeText returns a code for the table.
func codeText(code int) string {
	if code == 0 {
		return "-"
	}
	return strconv.Itoa(code)
}

// conversation names the two sides of the letter's conversation, if the letter has an event. Otherwise it says where a
// lenient --account was found.
func (row *listedLetter) conversation() string {
	text := "-"
	switch {
	case row.Batch != nil:
		batch := schema.Batch(*row.Batch)
		text = "batch, " + batchText(&batch)
	case row.From != "":
		text = visible(row.Type + " " + row.From + " → " + row.To)
	}
	if place := placeOf(row.Match); place != "" {
		text = strings.TrimPrefix(text+" ? in "+place, "- ")
	}
	return text
}

// placeOf names a place in a record; empty for none.
func placeOf(where mention.Where) string {
	return map[mention.Where]string{
		mention.Field: "a field", mention.Key: "the key", mention.Header: "a header", mention.Bytes: "the bytes",
	}[where]
}

func (t *letterTable) flush() error {
	if t.widths == nil {
		t.widths = make([]int, columnError)
	}
	for _, row := range t.rows {
		for i := range t.widths {
			t.widths[i] = max(t.widths[i], cells(row[i]))
		}
	}
	var text strings.Builder
	for _, row := range t.rows {
		t.write(&text, row)
	}
	t.rows = nil
	_, err := io.WriteString(t.out, text.String())
	return err
}

// write writes one letter: on one line, or on two if the terminal has no room for the error.
func (t *letterTable) write(text *strings.Builder, row []string) {
	const gap = "  "
	used := 0
	for _, width := range t.widths {
		used += width + len(gap)
	}
	wide := t.columns == 0 || t.columns-used >= leastError
	first := t.widths
	if !wide {
		first = t.widths[:columnConversation]
	}
	var line strings.Builder
	for i, width := range first {
		line.WriteString(pad(row[i], width) + gap)
	}
	if wide {
		line.WriteString(t.cutTo(row[columnError], used))
	}
	text.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	if !wide {
		const indent = "    "
		text.WriteString(indent + t.cutTo(row[columnConversation]+gap+row[columnError], len(indent)) + "\n")
	}
}

// cutTo cuts a text to the terminal's columns that are left after used ones.
func (t *letterTable) cutTo(text string, used int) string {
	if t.columns == 0 {
		return text
	}
	return fit(text, max(1, t.columns-used))
}
