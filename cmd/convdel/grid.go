package main

import (
	"io"
	"strings"
)

// grid writes rows under a head. A column grows if a later row needs it. The last one is cut to the terminal.
type grid struct {
	out     io.Writer
	columns int // the terminal's width, 0 if unbounded
	rows    [][]string
	widths  []int
	headed  bool
}

// row adds a row. All rows have the same head.
func (g *grid) row(head, row []string) {
	if !g.headed {
		g.headed = true
		g.rows = append(g.rows, head)
		g.widths = make([]int, len(head)-1)
	}
	g.rows = append(g.rows, row)
}

// flush writes the rows that were added.
func (g *grid) flush() error {
	for _, row := range g.rows {
		for i := range g.widths {
			g.widths[i] = max(g.widths[i], cells(row[i]))
		}
	}
	var text strings.Builder
	for _, row := range g.rows {
		var line strings.Builder
		used := 0
		for i, width := range g.widths {
			line.WriteString(pad(row[i], width) + "  ")
			used += width + 2
		}
		last := row[len(row)-1]
		if g.columns > 0 {
			last = fit(last, max(1, g.columns-used))
		}
		text.WriteString(strings.TrimRight(line.String()+last, " ") + "\n")
	}
	g.rows = nil
	_, err := io.WriteString(g.out, text.String())
	return err
}
