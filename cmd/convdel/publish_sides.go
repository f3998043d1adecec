package main

import (
	"strings"

	"convdel/schema"
)

// The service takes every valid ID for either side, since only the app knows its IDs. A person who publishes mixes up the
// kinds of IDs, and a delete of the wrong conversation can't be undone. So publish refuses IDs that the vendor gives to
// other things.

const (
	// The vendor's group IDs and those of communities begin with groupPrefix, which a group's own ID may not begin with. The
	// ID of a community's topic holds topicMark.
	groupPrefix = "@TGS#"
	topicMark   = "@TOPIC#"
	// Client SDKs put sdkGroup before a group's ID, to name its conversation.
	sdkGroup = "GROUP"
	// systemID names the conversation with the vendor's system, which is in no account's list.
	systemID = "@TIM#SYSTEM"
)

// checkSides returns a [*schema.FieldError] if an ID is none of its side of the conversation.
func checkSides(e schema.Event) error {
	switch {
	case isGroup(e.From):
		return &schema.FieldError{Field: "From_Account", Reason: "is a group's ID: it must be the account whose conversation is deleted"}
	case strings.EqualFold(e.To, systemID):
		return &schema.FieldError{Field: "To_Account", Reason: "is " + systemID + ", which is no conversation of the API"}
	case e.Type == schema.C2C && isGroup(e.To):
		return &schema.FieldError{Field: "To_Account", Reason: "is a group's ID, and the type is C2C: a group has type G2C (2; --type g2c)"}
	case e.Type == schema.G2C && strings.HasPrefix(e.To, sdkGroup) && isGroup(e.To):
		return &schema.FieldError{Field: "To_Account", Reason: "begins with " + sdkGroup + ", as client SDKs name conversations: it must be the group's ID alone"}
	}
	return nil
}

// isGroup returns true if an ID can only be a group's or a topic's, alone or as client SDKs write it. IDs that apps choose
// for their groups look like accounts.
func isGroup(id string) bool {
	upper := strings.ToUpper(id)
	return strings.HasPrefix(strings.TrimPrefix(upper, sdkGroup), groupPrefix) || strings.Contains(upper, topicMark)
}
