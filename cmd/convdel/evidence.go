package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"convdel/consumer"
	"convdel/consumer/deadletter"
	"convdel/consumer/evidence"
)

// This file is shared by the commands that say what has become of events.

// evidenceSettings locate the evidence.
type evidenceSettings struct {
	brokerSettings          `embed:"" group:"kafka"`
	memberSettings          `embed:"" group:"kafka"`
	letterTopicSettings     `embed:"" group:"kafka"`
	evidenceOutcomeSettings `embed:"" group:"kafka"`
	securitySettings        `embed:"" group:"kafka"`
}

// evidenceOutcomeSettings locate the outcomes to read.
type evidenceOutcomeSettings struct {
	OutcomeTopic string `help:"Topic where the service records the end of every event. Without it, ends are inferred from offsets and dead letters." placeholder:"NAME" setting:""`
}

func (c *checker) evidence(s evidenceSettings, env func(string) (string, bool)) evidence.Config {
	cfg := evidence.Config{
		Cluster:         c.cluster(s.brokerSettings, s.securitySettings, env),
		Topic:           c.topic("topic", s.Topic),
		Group:           c.printable("group", s.Group, 255),
		DeadLetterTopic: c.letterTopic(s.Topic, s.DeadLetterTopic),
	}
	cfg.OutcomeTopic = c.outcomeTopic(s.OutcomeTopic, cfg.Topic, cfg.DeadLetterTopic)
	return cfg
}

// openEvidence opens the topics. Parts of them that can't be read are reported on standard error.
func openEvidence(ctx context.Context, con *console, cfg evidence.Config) (*evidence.Reader, error) {
	r, err := evidence.Open(ctx, cfg)
	if missing, ok := errors.AsType[*consumer.TopicError](err); ok {
		return nil, fmt.Errorf("%w (is the topic's name right?)", missing)
	}
	if err != nil {
		return nil, stoppedBy(ctx, err)
	}
	told := map[string]int{}
	r.Notice = func(topic string, g deadletter.Gap) {
		switch told[topic]++; {
		case told[topic] < maxNotices:
			say(con.stderr, "%s\n", unreadText(topic, g))
		case told[topic] == maxNotices:
			say(con.stderr, "more of %s can't be read\n", topic)
		}
	}
	return r, nil
}

// unreadText is a line about a part of a topic that can't be read.
func unreadText(topic string, g deadletter.Gap) string {
	why := "lie behind an open transaction and can't be read until it ends"
	if g.Err != nil {
		why = "can't be read: " + visible(g.Err.Error())
	}
	return fmt.Sprintf("partition %d of %s: %s (%d to %d) %s", g.Partition, topic, countOf(int(g.Offsets()), "offset", "offsets"), g.First, g.Last, why)
}

// sayEvidence ends a list of events: what the rulings rest on, what they can't prove, and what was left out.
func sayEvidence(w io.Writer, cfg *evidence.Config, events []*evidence.Event, totals evidence.Totals) {
	for _, line := range notesOf(events) {
		say(w, "%s\n", line)
	}
	for _, line := range limitsOf(cfg, events) {
		say(w, "%s\n", line)
	}
	for _, line := range leftOut(cfg, totals) {
		say(w, "%s\n", line)
	}
}

// maxNotesShown bounds how many different notes are shown. The other formats have all of them.
const maxNotesShown = 20

// notesOf are the notes on events, each once, with the first event that has it.
func notesOf(events []*evidence.Event) []string {
	type note struct {
		first string
		count int
	}
	notes, order := map[string]*note{}, []string(nil)
	for _, e := range events {
		for _, text := range e.Notes {
			if notes[text] == nil {
				notes[text] = &note{first: e.ID}
				order = append(order, text)
			}
			notes[text].count++
		}
	}
	var lines []string
	for i, text := range order {
		if i == maxNotesShown {
			lines = append(lines, countOf(len(order)-i, "note", "notes")+" more: --format json has them")
			break
		}
		where := notes[text].first
		if n := notes[text].count; n > 1 {
			where += fmt.Sprintf(" and %d more", n-1)
		}
		lines = append(lines, where+": "+visible(text))
	}
	return lines
}

// limitsOf says for each kind of evidence that was used what it proves and what not.
func limitsOf(cfg *evidence.Config, events []*evidence.Event) []string {
	used, strange := map[evidence.Basis]bool{}, 0
	for _, e := range events {
		used[e.Ruling.Basis] = true
		if !e.Ruling.Final() && e.Commit == evidence.CommitNone {
			strange++
		}
	}
	var lines []string
	if strange > 0 {
		lines = append(lines, "pending: group "+cfg.Group+" has committed nothing of the partition of "+countOf(strange, "event", "events")+
			": is its name right (--group), and is the service running?")
	}
	if used[evidence.ByOutcome] {
		lines = append(lines, "outcome: the service recorded this end in "+cfg.OutcomeTopic+"; it is worth as much as the right to write there")
	}
	if used[evidence.ByLetter] || used[evidence.ByTombstone] {
		lines = append(lines, "dead_letter, tombstone: "+cfg.DeadLetterTopic+" says why the event was not executed, or how that was settled; worth as much as the right to write there")
	}
	if used[evidence.ByOffset] {
		lines = append(lines, "offset: group "+cfg.Group+" counts the record as ended, which does not say how; \"deleted\" is inferred, since every other end leaves a dead letter."+
			" It is wrong if somebody committed the offset by hand, if the group was made anew behind the record, or if the dead letter's tombstone is gone")
	}
	return lines
}

// leftOut says what was found and does not count, and what could not be read.
func leftOut(cfg *evidence.Config, t evidence.Totals) []string {
	var lines []string
	add := func(n int, one, many, rest string) {
		if n > 0 {
			lines = append(lines, countOf(n, one, many)+" "+rest)
		}
	}
	if t.OnlyPartition != nil {
		lines = append(lines, fmt.Sprintf("only partition %d was read, where publishers put this conversation; --all-partitions reads the others, too", *t.OnlyPartition))
	}
	add(t.Mentioned, "of these is no event", "of these are no events", "and marked with the place where what was looked for is found")
	add(t.Unjudged, "record more is no event", "records more are no events", "and may concern anybody: parts are missing or can't be read")
	add(t.Disputed, "piece", "pieces", "of evidence left out: they bear an ID of these records, whose records ask for something else")
	add(t.OtherGroups, "outcome", "outcomes", "of other groups than "+cfg.Group+" left out (--group)")
	if t.Foreign > 0 {
		first := t.Named[0]
		lines = append(lines, fmt.Sprintf("%s no outcome and left out; the first is %d/%d: %s",
			countOf(t.Foreign, "record of "+cfg.OutcomeTopic+" is", "records of "+cfg.OutcomeTopic+" are"), first.Partition, first.Offset, visible(first.Err.Error())))
	}
	for _, u := range []struct {
		topic string
		part  *deadletter.Unread
	}{{cfg.Topic, t.Unread}, {cfg.OutcomeTopic, t.UnreadOutcomes}, {cfg.DeadLetterTopic, t.UnreadLetters}} {
		if parts, more := unreadParts(u.part); len(parts)+more > 0 {
			lines = append(lines, fmt.Sprintf("%s of %s could not be read; what is missing may be there", countOf(len(parts)+more, "part", "parts"), u.topic))
		}
	}
	return lines
}

// tally counts events by their end, the largest number first: "3 deleted, 1 exhausted, 2 not finished".
func tally(events []*evidence.Event) string {
	counts, pending := map[evidence.How]int{}, 0
	for _, e := range events {
		if e.Ruling.Final() {
			counts[e.Ruling.How]++
		} else {
			pending++
		}
	}
	var parts []string
	for _, how := range sortedBy(counts) {
		parts = append(parts, fmt.Sprintf("%d %s", counts[how], how))
	}
	if pending > 0 {
		parts = append(parts, fmt.Sprintf("%d not finished", pending))
	}
	return strings.Join(parts, ", ")
}

// waitPause is the time between two looks of wait.
const waitPause = 2 * time.Second
