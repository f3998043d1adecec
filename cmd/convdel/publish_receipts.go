package main

import (
	"encoding/json"
	"io"

	"convdel/internal/publish"
	"convdel/schema"
)

// receipt says where an acknowledged record is.
type receipt struct {
	ID        string `json:"id"`
	EventID   string `json:"event_id,omitempty"`
	ErasureID string `json:"erasure_id,omitempty"`
	// Conversation is the event's own object.
	Conversation json.RawMessage `json:"conversation"`
}

// receipts writes receipts in one of the formats. Without a format it writes nothing.
type receipts struct {
	out    io.Writer
	topic  string
	format string
	table  grid
	shown  int
}

func newReceipts(con *console, topic, format string) receipts {
	return receipts{out: con.stdout, topic: topic, format: format, table: grid{out: con.stdout, columns: con.columns()}}
}

// write writes the receipts of records at once, since the process may end at any time.
func (r *receipts) write(placed []publish.Placed) error {
	if r.format == "" || len(placed) == 0 {
		return nil
	}
	var text []byte
	for _, p := range placed {
		event := p.Record.Event
		id := schema.DeadLetter{Topic: r.topic, Partition: p.Partition, Offset: p.Offset}.ID()
		if r.format == formatTable {
			r.table.row([]string{"ID", "EVENT ID", "CONVERSATION"}, []string{id, orDash(visible(event.ID)), conversationText(&event)})
			continue
		}
		conversation, err := event.Encode()
		if err != nil {
			return err
		}
		if r.format == formatJSON {
			text = append(text, r.separator()...)
		}
		r.shown++
		if text, err = appendLine(text, receipt{ID: id, EventID: event.ID, ErasureID: event.ErasureID, Conversation: conversation}); err != nil {
			return err
		}
	}
	if r.format == formatTable {
		return r.table.flush()
	}
	_, err := r.out.Write(text)
	return err
}

func (r *receipts) separator() string {
	if r.shown == 0 {
		return "{\"receipts\":[\n"
	}
	return ","
}

// end writes the rest of the one object.
func (r *receipts) end(n *counts) error {
	if r.format != formatJSON {
		return nil
	}
	start := ""
	if r.shown == 0 {
		start = r.separator()
	}
	text, err := appendLine(nil, struct {
		Published int `json:"published"`
		Refused   int `json:"refused"`
	}{n.published, n.refused})
	if err != nil {
		return err
	}
	_, err = io.WriteString(r.out, start+"],"+string(text[len("{"):]))
	return err
}

// conversationText names the two sides of a conversation.
func conversationText(e *schema.Event) string {
	return visible(e.Type.String() + " " + e.From + " → " + e.To)
}

// orDash stands for an empty column.
func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}
