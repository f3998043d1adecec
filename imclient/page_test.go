package imclient

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

const example = `{"SessionItem":[{"Type":1,"To_Account":"user_2","MsgTime":1772612017,"TopFlag":0},` +
	`{"Type":2,"GroupId":"@TGS#1","MsgTime":1775185968,"TopFlag":1,"StandardMark":"1101","CustomMark":"ab","ContactGroupId":[1,2]}],` +
	`"CompleteFlag":0,"TimeStamp":1775552160,"StartIndex":3,"TopTimeStamp":1775552161,"TopStartIndex":4,"ActionStatus":"OK","ErrorCode":0}`

func TestDecodePage(t *testing.T) {
	t.Parallel()
	p, err := decodePage([]byte(example), cursors{})
	if err != nil || p.last || p.next != (cursors{1775552160, 3, 1775552161, 4}) || p.unknown+p.malformed != 0 || len(p.items) != 2 {
		t.Fatalf("%+v, %v", p, err)
	}
	if want := (Conversation{Type: C2C, To: "user_2", MsgTime: time.Unix(1772612017, 0).UTC()}); p.items[0] != want {
		t.Errorf("got %+v, want %+v", p.items[0], want)
	}
	if want := (Conversation{Type: G2C, To: "@TGS#1", MsgTime: time.Unix(1775185968, 0).UTC(), Pinned: true}); p.items[1] != want {
		t.Errorf("got %+v, want %+v", p.items[1], want)
	}
	// What an answer lacks stays as it was. An account without conversations has no items, in any of these forms.
	for _, body := range []string{`{"CompleteFlag":1}`, `{"CompleteFlag":1,"SessionItem":null}`, `{"CompleteFlag":1,"SessionItem":[]}`} {
		if p, err := decodePage([]byte(body), cursors{1, 2, 3, 4}); err != nil || !p.last || len(p.items) != 0 || p.next != (cursors{1, 2, 3, 4}) {
			t.Errorf("%s: %+v, %v", body, p, err)
		}
	}
	for _, body := range []string{`{}`, `{"CompleteFlag":0}`, `{"CompleteFlag":2}`, `{"CompleteFlag":-1}`} {
		if p, err := decodePage([]byte(body), cursors{}); err != nil || p.last {
			t.Errorf("%s: %+v, %v", body, p, err)
		}
	}
}

// TestPagesThatAreNone: a page with a wrong value of its own is none, since a reader would go on at the wrong place, or stop too early.
func TestPagesThatAreNone(t *testing.T) {
	t.Parallel()
	for _, body := range []string{
		`{"CompleteFlag":"1"}`, `{"CompleteFlag":true}`, `{"CompleteFlag":1.0}`, `{"CompleteFlag":null}`, `{"completeFlag":1}`,
		`{"SessionItem":{}}`, `{"SessionItem":"[]"}`, `{"SessionItem":0}`, `{"sessionitem":[]}`, `{"SESSIONITEM":[],"CompleteFlag":1}`,
		`{"TimeStamp":"1"}`, `{"TimeStamp":-1}`, `{"StartIndex":1.5}`, `{"StartIndex":1e3}`, `{"TopTimeStamp":null}`, `{"TopStartIndex":[1]}`,
		`{"TimeStamp":9223372036854775808}`, `{"startindex":1}`, `[]`,
	} {
		if p, err := decodePage([]byte(body), cursors{}); err == nil {
			t.Errorf("%s: %+v", body, p)
		}
	}
}

func TestDecodeItem(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", maxOtherSide)
	for item, want := range map[string]itemKind{
		`{"Type":1,"To_Account":"b","MsgTime":5}`:                                  goodItem,
		`{"Type":1,"To_Account":"b"}`:                                              goodItem,
		`{"Type":1,"To_Account":"b","MsgTime":0}`:                                  goodItem,
		`{"Type":2,"GroupId":"g","To_Account":7,"MsgTime":5,"TopFlag":1,"New":{}}`: goodItem,
		`{"Type":1,"To_Account":"` + long + `"}`:                                   goodItem,
		`{"Type":1,"To_Account":"` + long + `x"}`:                                  malformedItem,
		`{"Type":3,"To_Account":"b","MsgTime":5}`:                                  unknownItem,
		`{"Type":0}`:                                          unknownItem,
		`{"Type":-1,"To_Account":7}`:                          unknownItem,
		`{"Type":1,"To_Account":"@TIM#SYSTEM"}`:               unknownItem,
		`{"Type":2,"GroupId":"@TIM#SYSTEM"}`:                  unknownItem,
		`{"To_Account":"b"}`:                                  malformedItem,
		`{"Type":"1","To_Account":"b"}`:                       malformedItem,
		`{"Type":null,"To_Account":"b"}`:                      malformedItem,
		`{"Type":1.0,"To_Account":"b"}`:                       malformedItem,
		`{"type":1,"To_Account":"b"}`:                         malformedItem,
		`{"Type":1}`:                                          malformedItem,
		`{"Type":1,"To_Account":""}`:                          malformedItem,
		`{"Type":1,"To_Account":null}`:                        malformedItem,
		`{"Type":1,"To_Account":7}`:                           malformedItem,
		`{"Type":1,"To_Account":["b"]}`:                       malformedItem,
		`{"Type":1,"To_Account":"\ud800"}`:                    malformedItem,
		`{"Type":1,"to_account":"b"}`:                         malformedItem,
		`{"Type":1,"GroupId":"b"}`:                            malformedItem,
		`{"Type":2,"To_Account":"b"}`:                         malformedItem,
		`{"Type":1,"To_Account":"b","MsgTime":"5"}`:           malformedItem,
		`{"Type":1,"To_Account":"b","MsgTime":null}`:          malformedItem,
		`{"Type":1,"To_Account":"b","MsgTime":-5}`:            malformedItem,
		`{"Type":1,"To_Account":"b","MsgTime":1772612017000}`: malformedItem,
		`{"Type":1,"To_Account":"b","TopFlag":"1"}`:           malformedItem,
		`{}`:     malformedItem,
		`null`:   malformedItem,
		`7`:      malformedItem,
		`"Type"`: malformedItem,
		`[]`:     malformedItem,
	} {
		if c, kind := decodeItem(json.RawMessage(item)); kind != want || (kind == goodItem) != (c != Conversation{}) {
			t.Errorf("%s: %+v, kind %d, want %d", item, c, kind, want)
		}
		// One item does no harm to another.
		p, err := decodePage([]byte(`{"SessionItem":[`+item+`,{"Type":1,"To_Account":"good"}],"CompleteFlag":1}`), cursors{})
		if err != nil || len(p.items) == 0 || p.items[len(p.items)-1].To != "good" || len(p.items)+p.unknown+p.malformed != 2 {
			t.Errorf("%s: page %+v, %v", item, p, err)
		}
	}
}

// FuzzDecodePage: every item of a page is given or counted, and each conversation given is one that another reader finds, too.
func FuzzDecodePage(f *testing.F) {
	for _, seed := range []string{
		example, `{}`, `[`, `null`, `{"SessionItem":[{"Type":1,"To_Account":"\ud800"},{"Type":2,"To_Account":"x"},7,null],"CompleteFlag":1}`,
		`{"SessionItem":[{"Type":1,"To_Account":"b","type":2,"GroupId":"c"}]}`, `{"SessionItem":null,"TimeStamp":1e3}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		p, err := decodePage(body, cursors{7, 7, 7, 7})
		if err != nil {
			return
		}
		var other struct{ SessionItem []any }
		if err := json.Unmarshal(body, &other); err != nil {
			if _, _, _, refused := decodeResult(body); refused == nil {
				t.Fatalf("another reader finds no page: %v", err)
			}
			return // such a body is never decoded
		}
		if _, _, _, refused := decodeResult(body); refused == nil && len(p.items)+p.unknown+p.malformed != len(other.SessionItem) {
			t.Errorf("%d items, %d unknown, %d malformed of %d", len(p.items), p.unknown, p.malformed, len(other.SessionItem))
		}
		for _, n := range p.next {
			if n < 0 {
				t.Errorf("cursors %v", p.next)
			}
		}
		checkFound(t, p.items, other.SessionItem)
	})
}

// checkFound looks for each conversation among items that encoding/json has decoded without a type.
func checkFound(t *testing.T, conversations []Conversation, items []any) {
	t.Helper()
	found := make(map[Conversation]bool)
	for _, item := range items {
		fields, _ := item.(map[string]any)
		kind, _ := fields["Type"].(float64)
		to, _ := fields[map[float64]string{C2C: "To_Account", G2C: "GroupId"}[kind]].(string)
		found[Conversation{Type: int(kind), To: to}] = true
	}
	for _, c := range conversations {
		if c.Type != C2C && c.Type != G2C || c.To == "" || !found[Conversation{Type: c.Type, To: c.To}] {
			t.Errorf("%+v is not in the page", c)
		}
	}
}
