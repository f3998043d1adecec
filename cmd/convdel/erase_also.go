package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"convdel/schema"
)

// also reads the conversations of a file. Wrong lines are reported by number, as many as there are room for.
func (c *checker) also(name, account string) []schema.Conversation {
	file, err := os.Open(name) //nolint:gosec // the operator names it
	if err != nil {
		c.wrong("also", name, "a readable file")
		return nil
	}
	defer func() { _ = file.Close() }() // it was only read
	var all []schema.Conversation
	wrong := 0
	for lines := newLineReader(file); ; {
		chunk, err := lines.chunk()
		for _, line := range chunk {
			conversation, err := alsoLine(line, account)
			if err == nil {
				all = append(all, conversation)
				continue
			}
			if wrong++; wrong <= maxNotices {
				c.problems = append(c.problems, fmt.Sprintf("--also, line %d: %v", line.number, err))
			}
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			c.wrong("also", name, "a readable file")
			return nil
		}
	}
	if len(all)+wrong == 0 {
		c.wrong("also", name, "a file with conversations; this one has none")
	}
	return all
}

var (
	errAlso      = errors.New(`must be "c2c ID", "g2c ID" or a JSON object of From_Account, Type and To_Account`)
	errAlsoBlank = errors.New("has a blank too many: an ID with blanks is written as a JSON object of From_Account, Type and To_Account")
)

// alsoLine reads a conversation of the account.
func alsoLine(line inputLine, account string) (schema.Conversation, error) {
	if line.tooLong {
		return schema.Conversation{}, errLineTooLong
	}
	event := schema.Event{Conversation: schema.Conversation{From: account}}
	if bytes.HasPrefix(bytes.TrimSpace(line.text), []byte("{")) {
		var err error
		if event, err = schema.Decode(line.text, nil); err != nil {
			return schema.Conversation{}, err
		}
	} else {
		kind, to, _ := strings.Cut(string(line.text), " ")
		event.To = to
		switch strings.ToLower(kind) {
		case "c2c":
			event.Type = schema.C2C
		case "g2c":
			event.Type = schema.G2C
		default:
			return schema.Conversation{}, errAlso
		}
		if strings.ContainsAny(to, " \t") {
			return schema.Conversation{}, errAlsoBlank // a delete for an account that is not meant would succeed
		}
	}
	if event.From != account {
		return schema.Conversation{}, fmt.Errorf("From_Account is %s, which is not the account", quote(event.From))
	}
	if err := event.Validate(); err != nil {
		return schema.Conversation{}, err
	}
	return event.Conversation, checkSides(event)
}
