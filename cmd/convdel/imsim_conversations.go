package main

import (
	"net/http"
	"strconv"
	"time"

	"convdel/imclient/imtest"
)

// controlConversation is a conversation in JSON, with the API's names.
type controlConversation struct {
	Type    int    `json:"Type"`
	To      string `json:"To_Account,omitempty"`
	Group   string `json:"GroupId,omitempty"`
	MsgTime *int64 `json:"MsgTime"`
	TopFlag int    `json:"TopFlag"`
}

// conversation returns the simulator's conversation, or says what is wrong.
func (c *controlConversation) conversation(now time.Time) (imtest.Conversation, error) {
	made := imtest.Conversation{Type: c.Type, To: c.To, MsgTime: now, Pinned: c.TopFlag == 1}
	other := c.Group
	if c.Type == 2 {
		made.To, other = c.Group, c.To
	}
	switch {
	case c.Type != 1 && c.Type != 2:
		return made, refuse("Type is %d: must be 1, with a To_Account, or 2, with a GroupId", c.Type)
	case made.To == "" || other != "":
		return made, refuse("a conversation has a To_Account if its Type is 1, and a GroupId if it is 2")
	case c.TopFlag != 0 && c.TopFlag != 1:
		return made, refuse("TopFlag is %d: must be 0 or 1", c.TopFlag)
	}
	if c.MsgTime != nil {
		if *c.MsgTime < 0 || *c.MsgTime > 1<<40 {
			return made, refuse("MsgTime is %d: must be seconds since 1970, or 0 for an empty conversation", *c.MsgTime)
		}
		made.MsgTime = time.Time{}
		if *c.MsgTime > 0 {
			made.MsgTime = time.Unix(*c.MsgTime, 0)
		}
	}
	return made, nil
}

// conversations returns all conversations of an account, those beyond the limit of lists too, the most recent first.
func (c *control) conversations(r *http.Request) (any, error) {
	all := c.sim.Conversations(r.PathValue("account"))
	items := make([]controlConversation, len(all))
	for i, conversation := range all {
		items[i] = controlConversation{Type: conversation.Type, To: conversation.To}
		if conversation.Type == 2 {
			items[i].To, items[i].Group = "", conversation.To
		}
		var seconds int64
		if !conversation.MsgTime.IsZero() {
			seconds = conversation.MsgTime.Unix()
		}
		items[i].MsgTime = &seconds
		if conversation.Pinned {
			items[i].TopFlag = 1
		}
	}
	return map[string]any{"SessionItem": items}, nil
}

// addConversations adds conversations to an account, or a message to those that it has: a number of them, or those that are named.
func (c *control) addConversations(r *http.Request) (any, error) {
	var wanted struct {
		Count       int                   `json:"count"`
		SessionItem []controlConversation `json:"SessionItem"`
	}
	if err := readControl(r, &wanted); err != nil {
		return nil, err
	}
	if wanted.Count < 0 || wanted.Count > maxControlCount || (wanted.Count == 0) == (len(wanted.SessionItem) == 0) {
		return nil, refuse("name either a count of 1 to %d, or a SessionItem with conversations", maxControlCount)
	}
	now := time.Now()
	var added []imtest.Conversation
	for _, item := range wanted.SessionItem {
		made, err := item.conversation(now)
		if err != nil {
			return nil, err
		}
		added = append(added, made)
	}
	for i := range wanted.Count {
		added = append(added, imtest.Conversation{Type: 1, To: "added-" + strconv.Itoa(i+1), MsgTime: now})
	}
	c.sim.AddConversations(r.PathValue("account"), added...)
	return map[string]int{"added": len(added)}, nil
}

// removeConversations leaves an account without conversations.
func (c *control) removeConversations(r *http.Request) (any, error) {
	removed := len(c.sim.Conversations(r.PathValue("account")))
	c.sim.SetConversations(r.PathValue("account"))
	return map[string]int{"removed": removed}, nil
}
