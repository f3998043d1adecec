package imtest_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"convdel/imclient/imtest"
)

const listPath = "/v4/recentcontact/get_list"

// listAnswer is a page of a list.
type listAnswer struct {
	SessionItem []struct {
		Type                int
		To                  string `json:"To_Account"`
		Group               string `json:"GroupId"`
		MsgTime, TopFlag    int64
		StandardMark, Other string
	}
	CompleteFlag, ErrorCode                            int
	TimeStamp, StartIndex, TopTimeStamp, TopStartIndex int64
}

// names are the other sides of a page; those of groups have a hash before them, those of pinned ones a star behind.
func (a *listAnswer) names() string {
	var all []string
	for _, i := range a.SessionItem {
		name := i.To
		if i.Type == 2 {
			name = "#" + i.Group
		}
		all = append(all, name+strings.Repeat("*", int(i.TopFlag)))
	}
	return strings.Join(all, " ")
}

// list asks for a page behind another one; nil is the first page.
func (c *caller) list(t *testing.T, account string, flags int, behind *listAnswer) *listAnswer {
	t.Helper()
	if behind == nil {
		behind = new(listAnswer)
	}
	body := fmt.Sprintf(`{"From_Account":%q,"TimeStamp":%d,"StartIndex":%d,"TopTimeStamp":%d,"TopStartIndex":%d,"AssistFlags":%d}`,
		account, behind.TimeStamp, behind.StartIndex, behind.TopTimeStamp, behind.TopStartIndex, flags)
	a, err := c.do(t, http.MethodPost, listPath, c.query, body)
	if err != nil || a.status != http.StatusOK {
		t.Fatalf("%+v, %v", a, err)
	}
	page := new(listAnswer)
	if err := json.Unmarshal([]byte(a.body), page); err != nil {
		t.Fatal(err)
	}
	return page
}

func at(second int64) time.Time { return time.Unix(second, 0) }

func TestPages(t *testing.T) {
	t.Parallel()
	cfg := config()
	cfg.PageSize, cfg.ListLimit = 2, 6
	sim, c := start(t, cfg)
	sim.SetConversations("alice",
		imtest.Conversation{Type: 1, To: "a", MsgTime: at(10)}, imtest.Conversation{Type: 2, To: "b", MsgTime: at(9)},
		imtest.Conversation{Type: 1, To: "c", MsgTime: at(8), Pinned: true}, imtest.Conversation{Type: 1, To: "d", MsgTime: at(7), Pinned: true},
		imtest.Conversation{Type: 1, To: "e", MsgTime: at(6), Pinned: true}, imtest.Conversation{Type: 1, To: "f", MsgTime: at(5)},
		imtest.Conversation{Type: 1, To: "old", MsgTime: at(4)}, imtest.Conversation{Type: 1, To: "empty"})
	for flags, want := range map[int][]string{
		63: {"c* d*", "e* a", "#b f"},
		7:  {"c* d*", "e* a", "#b f"},
		3:  {"c* d* e*", "a #b", "f"}, // pinned ones are not in pages
		6:  {"a #b", "c d", "e f"},
		0:  {"a #b", "c d", "e f"},
	} {
		var pages []string
		var page *listAnswer
		for page == nil || page.CompleteFlag == 0 {
			page = c.list(t, "alice", flags, page)
			pages = append(pages, page.names())
		}
		if !slices.Equal(pages, want) {
			t.Errorf("flags %d: %q, want %q", flags, pages, want)
		}
	}
	// Deletes make room for the old one, and for the empty one with its flag.
	for _, name := range []string{"c", "d", "e"} {
		if a, err := c.post(t, `{"From_Account":"alice","Type":1,"To_Account":"`+name+`"}`); err != nil || a.result.ErrorCode != 0 {
			t.Errorf("%+v, %v", a, err)
		}
	}
	if all := sim.Conversations("alice"); len(all) != 5 || all[0].To != "a" || all[4].To != "empty" {
		t.Errorf("%+v", all)
	}
	second := c.list(t, "alice", 63, c.list(t, "alice", 63, nil))
	if third := c.list(t, "alice", 63, second); second.names() != "f old" || third.names() != "empty" || third.SessionItem[0].MsgTime != 0 {
		t.Errorf("%q, %q", second.names(), third.names())
	}
	if second := c.list(t, "alice", 1, c.list(t, "alice", 1, nil)); second.names() != "f old" || second.CompleteFlag != 1 {
		t.Errorf("without empty ones: %+v", second)
	}
	if beyond := c.list(t, "alice", 63, &listAnswer{StartIndex: 1 << 62, TopStartIndex: 1 << 62}); beyond.names() != "" || beyond.CompleteFlag != 1 {
		t.Errorf("beyond the end: %+v", beyond)
	}
}

// TestConversationsComeAndGo: an account is told its conversations, a message renews one, a delete of its own kind removes it.
func TestConversationsComeAndGo(t *testing.T) {
	t.Parallel()
	sim, c := start(t, config())
	names := func() string { return c.list(t, "alice", 63, nil).names() }
	sim.AddConversations("alice", imtest.Conversation{Type: 1, To: "a", MsgTime: at(1)}, imtest.Conversation{Type: 2, To: "a", MsgTime: at(2)})
	if got := names(); got != "#a a" {
		t.Error(got)
	}
	sim.AddConversations("alice", imtest.Conversation{Type: 1, To: "a", MsgTime: at(3)})
	if got := names(); got != "a #a" {
		t.Error(got)
	}
	sim.Script(imtest.Fault{API: imtest.APIDelete, Code: 50004, Times: 1})
	sim.Script(imtest.Fault{API: imtest.APIDelete, HTTPStatus: 502, Deletes: true, Times: 1})
	for i, want := range []string{"a #a", "a", "a"} { // it fails, it fails though done, it succeeds without an entry
		if _, err := c.post(t, `{"From_Account":"alice","Type":2,"ToGroupid":"a"}`); err != nil {
			t.Error(err)
		}
		if got := names(); got != want {
			t.Errorf("after delete %d: %q, want %q", i+1, got, want)
		}
	}
	if n := sim.Deleted("alice", 2, "a"); n != 2 {
		t.Errorf("deleted %d times", n)
	}
	sim.SetConversations("alice")
	sim.Reset()
	if got := names(); got != "" || len(sim.ListArrivals()) != 1 || len(sim.Conversations("alice")) != 0 {
		t.Errorf("%q, %+v", got, sim.ListArrivals())
	}
}

func TestNamesThatHaveConversations(t *testing.T) {
	t.Parallel()
	sim, c := start(t, config())
	for account, want := range map[string]int{
		"has-1": 1, "has-60-alice": 60, "has-20000": 10_000, "has-0": 0, "has-": 0, "has-x": 0, "has": 0, "has60": 0, "hash-7": 0, "has--5": 0,
	} {
		all := sim.Conversations(account)
		groups, pinned := 0, 0
		for i, conversation := range all {
			if conversation.Type == 2 {
				groups++
			}
			if conversation.Pinned {
				pinned++
			}
			if i > 0 && !conversation.MsgTime.Before(all[i-1].MsgTime) {
				t.Errorf("%s: %v behind %v", account, conversation, all[i-1])
			}
		}
		if len(all) != want || groups != want/4 || pinned != want/50 {
			t.Errorf("%s: %d conversations, %d of groups, %d pinned", account, len(all), groups, pinned)
		}
	}
	// They are the account's own from then on.
	sim.AddConversations("has-1", imtest.Conversation{Type: 1, To: "b", MsgTime: time.Now().Add(time.Hour)})
	if got := c.list(t, "has-1", 63, nil).names(); got != "b peer-1" {
		t.Error(got)
	}
	if a, err := c.post(t, `{"From_Account":"has-1","Type":1,"To_Account":"peer-1"}`); err != nil || a.result.ErrorCode != 0 {
		t.Errorf("%+v, %v", a, err)
	}
	if got := c.list(t, "has-1", 63, nil).names(); got != "b" {
		t.Error(got)
	}
	sim.SetConversations("has-2")
	if got := c.list(t, "has-2", 63, nil).names(); got != "" {
		t.Error(got)
	}
	// All of them together are bounded. Accounts that were told theirs keep them.
	for i := range 21 {
		sim.Conversations(fmt.Sprintf("has-10000-%d", i))
	}
	if got := c.list(t, "has-1", 63, nil).names(); got != "b" || len(sim.Conversations("has-2")) != 0 {
		t.Error(got)
	}
}

// TestListBodiesAreChecked: each field is required.
func TestListBodiesAreChecked(t *testing.T) {
	t.Parallel()
	sim, c := start(t, config())
	const good = `{"From_Account":"a","TimeStamp":0,"StartIndex":0,"TopTimeStamp":0,"TopStartIndex":0,"AssistFlags":63}`
	bodies := map[string]int{
		good: 0, `{`: 60003, ``: 60003, `[]`: 60003, `{"From_Account":"a"}`: 50002,
		strings.Replace(good, `"a"`, `7`, 1): 60015, strings.Replace(good, `"a"`, `""`, 1): 50002,
	}
	for _, field := range []string{"TimeStamp", "StartIndex", "TopTimeStamp", "TopStartIndex", "AssistFlags"} {
		name := `"` + field + `":`
		value := "0"
		if field == "AssistFlags" {
			value = "63"
		}
		for _, wrong := range []string{"-1", `"0"`, "null", "0.5"} {
			bodies[strings.Replace(good, name+value, name+wrong, 1)] = 50002
		}
	}
	for body, want := range bodies {
		if a, err := c.do(t, http.MethodPost, listPath, c.query, body); err != nil || a.result.ErrorCode != want {
			t.Errorf("%s: %+v, %v, want code %d", body, a, err, want)
		}
	}
	if a, err := c.do(t, http.MethodGet, listPath, c.query, good); err != nil || a.result.ErrorCode != 60002 {
		t.Errorf("GET: %+v, %v", a, err)
	}
	query := map[string][]string{}
	if a, err := c.do(t, http.MethodPost, listPath, query, good); err != nil || a.result.ErrorCode != 60012 {
		t.Errorf("no query: %+v, %v", a, err)
	}
	if len(sim.Arrivals()) != 0 {
		t.Errorf("deletes %+v", sim.Arrivals())
	}
}

// TestFaultsOfLists: faults by name, by rule, and for one kind of call alone.
func TestFaultsOfLists(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		sim, c := bubble(t, config())
		lists := sim.Script(imtest.Fault{API: imtest.APIGetList, Account: "a", Code: 50004})
		deletes := sim.Script(imtest.Fault{API: imtest.APIDelete, Account: "b", Code: 50005})
		both := sim.Script(imtest.Fault{AccountPrefix: "c-", HTTPStatus: 429, RetryAfter: 1500 * time.Millisecond})
		sim.Script(imtest.Fault{Account: "d", Delay: time.Second})
		for account, want := range map[string][2]int{"a": {0, 50004}, "b": {50005, 0}, "code-50001": {50001, 50001}, "result-60011": {0, 0}, "d": {0, 0}} {
			begin := time.Now()
			if got := [2]int{c.call(t, account), c.list(t, account, 63, nil).ErrorCode}; got != want {
				t.Errorf("%s: codes %v, want %v", account, got, want)
			}
			if took := time.Since(begin); (took == 2*time.Second) != (account == "d") {
				t.Errorf("%s took %v", account, took)
			}
		}
		for _, path := range []string{path, listPath} {
			body := `{"From_Account":"c-1","Type":1,"To_Account":"b","TimeStamp":0,"StartIndex":0,"TopTimeStamp":0,"TopStartIndex":0,"AssistFlags":1}`
			a, err := c.do(t, http.MethodPost, path, c.query, body)
			if err != nil || a.status != http.StatusTooManyRequests || a.header.Get("Retry-After") != "2" {
				t.Errorf("%s: %+v, %v", path, a, err)
			}
		}
		if lists.Hits() != 1 || deletes.Hits() != 1 || both.Hits() != 2 {
			t.Errorf("hits %d, %d, %d", lists.Hits(), deletes.Hits(), both.Hits())
		}
		if got := []int{c.list(t, "flaky-1", 63, nil).ErrorCode, c.list(t, "flaky-1", 63, nil).ErrorCode}; got[0] != 50004 || got[1] != 0 {
			t.Errorf("flaky: %v", got)
		}
	})
}

// TestListedIsCalledForEachPage: the hook can change the list before the answer is on its way.
func TestListedIsCalledForEachPage(t *testing.T) {
	t.Parallel()
	var sim *imtest.Server
	var listed []string
	cfg := config()
	cfg.PageSize = 1
	cfg.Listed = func(account string) {
		listed = append(listed, account)
		sim.SetConversations(account, imtest.Conversation{Type: 1, To: "later", MsgTime: at(1)})
	}
	sim, c := start(t, cfg)
	sim.SetConversations("a", imtest.Conversation{Type: 1, To: "first", MsgTime: at(1)})
	if first, second := c.list(t, "a", 63, nil).names(), c.list(t, "a", 63, nil).names(); first != "first" || second != "later" {
		t.Errorf("%q, %q", first, second)
	}
	c.list(t, "code-50001", 63, nil)
	if len(listed) != 2 {
		t.Errorf("listed %v", listed)
	}
}
