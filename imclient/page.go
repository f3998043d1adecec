package imclient

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// cursors say where a page begins, in the order of cursorFields. What they mean is the API's affair: zeros are the first page, and each
// answer has those of the next one.
type cursors [4]int64

// cursorFields are the cursors' names in requests and answers: those of ordinary conversations, then those of pinned ones.
func cursorFields() [4]string {
	return [4]string{"TimeStamp", "StartIndex", "TopTimeStamp", "TopStartIndex"}
}

const (
	itemsField    = "SessionItem"
	completeField = "CompleteFlag"
)

const (
	// maxOtherSide bounds the other side's identifier, in bytes. The API's own have at most 48.
	maxOtherSide = 128
	// systemAccount is the other side of the entry that client SDKs show for the app's own notices.
	systemAccount = "@TIM#SYSTEM"
	// latestTime is the last second that has four digits for its year. A larger number is no number of seconds.
	latestTime = 253402300799
)

// page is a page of a list.
type page struct {
	items              []Conversation
	unknown, malformed int
	// last says that the API has nothing behind this page. next are the cursors of the next page otherwise.
	last bool
	next cursors
}

// decodePage reads a body that [decodeResult] has found to be a success. A cursor that the answer lacks stays as it was asked for.
func decodePage(body []byte, at cursors) (page, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(body, &fields); err != nil {
		return page{}, err
	}
	p := page{next: at}
	names := cursorFields()
	for name := range fields {
		for _, known := range append(names[:], itemsField, completeField) {
			if name != known && strings.EqualFold(name, known) {
				return page{}, fmt.Errorf("%q in place of %s", name, known)
			}
		}
	}
	for i, name := range names {
		if raw, there := fields[name]; there {
			number, ok := wholeNumber(raw)
			if !ok || number < 0 {
				return page{}, errors.New(name + " is no whole number of 0 or more")
			}
			p.next[i] = number
		}
	}
	if raw, there := fields[completeField]; there {
		flag, ok := wholeNumber(raw)
		if !ok {
			return page{}, errors.New(completeField + " is no whole number")
		}
		p.last = flag == 1
	}
	return p, p.decodeItems(fields[itemsField])
}

// decodeItems reads the items. An account without conversations may have no such field, or null.
func (p *page) decodeItems(raw json.RawMessage) error {
	if raw == nil {
		return nil
	}
	var items []json.RawMessage
	if err := json.Unmarshal(raw, &items); err != nil {
		return errors.New(itemsField + " is no list")
	}
	for _, item := range items {
		switch conversation, kind := decodeItem(item); kind {
		case goodItem:
			p.items = append(p.items, conversation)
		case unknownItem:
			p.unknown++
		case malformedItem:
			p.malformed++
		}
	}
	return nil
}

// itemKind says what an item is.
type itemKind int

const (
	malformedItem itemKind = iota
	unknownItem
	goodItem
)

// decodeItem reads an item. Names count as they are spelt, which encoding/json does for maps alone.
func decodeItem(raw json.RawMessage) (Conversation, itemKind) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(raw, &fields); err != nil {
		return Conversation{}, malformedItem
	}
	kind, ok := wholeNumber(fields["Type"])
	if !ok {
		return Conversation{}, malformedItem
	}
	otherSide := "To_Account"
	switch kind {
	case C2C:
	case G2C:
		otherSide = "GroupId"
	default:
		return Conversation{}, unknownItem
	}
	to, ok := identifier(fields[otherSide])
	if !ok {
		return Conversation{}, malformedItem
	}
	if to == systemAccount {
		return Conversation{}, unknownItem
	}
	c := Conversation{Type: int(kind), To: to}
	if raw, there := fields["MsgTime"]; there {
		seconds, ok := wholeNumber(raw)
		if !ok || seconds < 0 || seconds > latestTime {
			return Conversation{}, malformedItem
		}
		if seconds > 0 {
			c.MsgTime = time.Unix(seconds, 0).UTC()
		}
	}
	if raw, there := fields["TopFlag"]; there {
		flag, ok := wholeNumber(raw)
		if !ok {
			return Conversation{}, malformedItem
		}
		c.Pinned = flag == 1
	}
	return c, goodItem
}

// identifier reads the other side's identifier. One with the replacement character is none, since encoding/json puts it in place of
// what is no character.
func identifier(raw json.RawMessage) (string, bool) {
	var text string
	if !bytes.HasPrefix(raw, []byte{'"'}) || json.Unmarshal(raw, &text) != nil {
		return "", false
	}
	return text, text != "" && len(text) <= maxOtherSide && !strings.ContainsRune(text, utf8.RuneError)
}

// wholeNumber reads a whole number in its usual form.
func wholeNumber(raw json.RawMessage) (int64, bool) {
	n, err := strconv.ParseInt(string(raw), 10, 64)
	return n, err == nil && strconv.FormatInt(n, 10) == string(raw)
}
