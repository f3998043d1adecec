package main

import (
	"io"
	"strings"

	"convdel/consumer/deadletter"
)

// maxNotices is how many unreadable parts of a topic are reported, one line each.
const maxNotices = 100

// notices reports parts of a topic that can't be read. It reports each part once, however often a pass meets it.
func notices(w io.Writer, topic string) func(deadletter.Gap) {
	type part struct {
		partition int
		first     int64
	}
	told := map[part]bool{}
	return func(g deadletter.Gap) {
		if at := (part{g.Partition, g.First}); !told[at] && len(told) <= maxNotices {
			told[at] = true
			if len(told) > maxNotices {
				say(w, "more of %s can't be read\n", topic)
				return
			}
			say(w, "%s\n", gapText(g, topic))
		}
	}
}

// gapText is a line about a part that can't be read.
func gapText(g deadletter.Gap, topic string) string {
	var line strings.Builder
	say(&line, "partition %d of %s: %s (%d to %d) ", g.Partition, topic, countOf(int(g.Offsets()), "offset", "offsets"), g.First, g.Last)
	if g.Err != nil {
		say(&line, "can't be read, and no letter of theirs is shown: %s", visible(g.Err.Error()))
		return line.String()
	}
	say(&line, "lie behind an open transaction and can't be read until it ends. A letter that has been settled there meanwhile"+
		" still counts as open: replayed until then, it would be published again")
	return line.String()
}

// unreadPart is a part that can't be read, for programs.
type unreadPart struct {
	Partition int    `json:"partition"`
	First     int64  `json:"first"`
	Last      int64  `json:"last"`
	Why       string `json:"why"`
}

// unreadParts returns the parts that a pass could not read, an empty list if it could read all; more is the number of
// further ones.
func unreadParts(u *deadletter.Unread) (parts []unreadPart, more int) {
	parts = []unreadPart{}
	if u == nil {
		return parts, 0
	}
	for _, g := range u.Gaps {
		why := "open transaction"
		if g.Err != nil {
			why = g.Err.Error()
		}
		parts = append(parts, unreadPart{Partition: g.Partition, First: g.First, Last: g.Last, Why: why})
	}
	return parts, u.More
}

// passTotals are the numbers of a pass, for programs.
type passTotals struct {
	Open     int `json:"open"`
	Replaced int `json:"replaced"`
	Foreign  int `json:"foreign"`
	Records  int `json:"records"`
	// Unjudged counts the letters of which --account, or another filter of settled letters, can't tell.
	Unjudged int `json:"unjudged"`
	// Settled counts the settled letters, if these are listed.
	Settled int `json:"settled,omitempty"`
	// Unread are the parts of the topic that can't be read, UnreadMore counts further ones.
	Unread     []unreadPart `json:"unread"`
	UnreadMore int          `json:"unread_more,omitempty"`
}

func totalsOf(t deadletter.Totals) passTotals {
	p := passTotals{Open: t.Open, Replaced: t.Replaced, Foreign: t.Foreign, Records: t.Records, Unjudged: t.Unjudged, Settled: t.Settled}
	p.Unread, p.UnreadMore = unreadParts(t.Unread)
	return p
}
