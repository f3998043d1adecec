package main

import (
	"encoding/json"
	"fmt"

	"convdel/consumer/evidence"
	"convdel/schema"
)

// readReceipt reads a line of publish --format ndjson. Of other objects, such as the rows of events find, the same members count.
func readReceipt(line inputLine, topic string) (evidence.Receipt, error) {
	if line.tooLong {
		return evidence.Receipt{}, errLineTooLong
	}
	members, err := readMembers(line.text)
	var id, eventID string
	if err != nil || json.Unmarshal(members["id"], &id) != nil || members.has("event_id") && json.Unmarshal(members["event_id"], &eventID) != nil {
		return evidence.Receipt{}, errNoReceipt
	}
	of, _, _, err := schema.ParseID(id)
	switch {
	case err != nil:
		return evidence.Receipt{}, err
	case of != topic:
		return evidence.Receipt{}, fmt.Errorf("%s is no record of --topic, which is %q", id, topic)
	}
	r := evidence.Receipt{ID: id, EventID: eventID}
	if members.has("conversation") {
		event, err := schema.Decode(members["conversation"], nil)
		if err != nil {
			return evidence.Receipt{}, fmt.Errorf("conversation: %w", err)
		}
		r.Conversation = &event.Conversation
	}
	return r, nil
}
