package main

import (
	"io"
	"strings"

	"convdel/consumer/deadletter"
	"convdel/schema"
)

// This file shows dead letters that lack a part of their source record, and how to look for the missing part.

// lackText says in one line what a dead letter stands for or lacks; empty if it is whole.
func lackText(l *deadletter.Letter) string {
	switch {
	case l.Batch != nil:
		return "a batch that can't be read: " + batchText(l.Batch)
	case l.Omitted != nil && l.DeadLetter.Event != nil:
		return "its record's value; the event is kept, and a replay publishes that"
	case l.Omitted != nil:
		return "its record's value; no event is known of it, so it can't be replayed"
	}
	return ""
}

func batchText(b *schema.Batch) string {
	var text strings.Builder
	say(&text, "offsets %d to %d", b.First, b.Last)
	return text.String()
}

// showLack writes what a dead letter stands for or lacks.
func showLack(w io.Writer, l *deadletter.Letter) {
	if l.Batch != nil {
		field(w, "stands for", "%s", lackText(l))
	} else if l.Omitted != nil {
		field(w, "lacks", "%s", lackText(l))
	}
	if l.Omitted != nil {
		field(w, "why", "%s", visible(l.Omitted.Why))
		field(w, "omitted", "%s, sha256 %s", countOf(int(l.Omitted.Size), "byte", "bytes"), l.Omitted.SHA256)
	}
}

// showSearch writes how to look for the missing part, as long as the topic of events has it.
func (s *lettersShowCommand) showSearch(w io.Writer, l *deadletter.Letter) {
	given := s.arguments(l.Topic)
	switch {
	case l.Batch != nil && l.Omitted == nil:
		say(w, "Look into it: the letter has the batch as the log has it\n")
		say(w, "  convdel deadletters export%s --id %s | jq -r '.value_base64 // (.value | @base64)' | base64 -d > batch.bin\n", given, l.ID())
	case l.Batch != nil:
		say(w, "Look into it: the letter has not got the batch. On a broker, as long as the topic keeps it\n")
		say(w, "  kafka-dump-log.sh --deep-iteration --print-data-log --files LOG.DIR/%s-%d/SEGMENT.log\n", l.Topic, l.Partition)
	case l.Omitted != nil:
		say(w, "Look for its record, as long as the topic keeps it; its value is right if sha256sum says %s\n", l.Omitted.SHA256)
		say(w, "  kcat -C -b %s -t %s -p %d -o %d -c 1 | head -c %d > value\n",
			shellWord(s.Brokers), l.Topic, l.Partition, l.Offset, l.Omitted.Size)
		say(w, "  kafka-console-consumer.sh --bootstrap-server %s --topic %s --partition %d --offset %d --max-messages 1 | head -c %d > value\n",
			shellWord(s.Brokers), l.Topic, l.Partition, l.Offset, l.Omitted.Size)
	}
}
