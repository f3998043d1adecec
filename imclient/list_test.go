package imclient_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"convdel/imclient"
	"convdel/imclient/imtest"
)

// listed reads a list to its end and returns the other sides.
func listed(list *imclient.List) []string {
	var names []string
	for c := range list.All() {
		names = append(names, c.To)
	}
	return names
}

// numbered returns conversations c1, c2, … The last message of each is at the second of its number.
func numbered(first, last int) []imtest.Conversation {
	var all []imtest.Conversation
	for i := first; i <= last; i++ {
		all = append(all, imtest.Conversation{Type: imclient.C2C, To: "c" + itoa(i), MsgTime: time.Unix(int64(i), 0)})
	}
	return all
}

func TestConversations(t *testing.T) {
	t.Parallel()
	sim, client := startSim(t, simConfig())
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	sim.SetConversations("alice",
		imtest.Conversation{Type: imclient.C2C, To: "bob", MsgTime: at},
		imtest.Conversation{Type: imclient.G2C, To: "@TGS#1", MsgTime: at.Add(-time.Hour)},
		imtest.Conversation{Type: imclient.C2C, To: "carol", MsgTime: at.Add(-2 * time.Hour), Pinned: true},
		imtest.Conversation{Type: imclient.C2C, To: "empty"})
	list := client.Conversations(t.Context(), imclient.ListRequest{Account: "alice"})
	got := slices.Collect(list.All())
	want := []imclient.Conversation{
		{Type: imclient.C2C, To: "carol", MsgTime: at.Add(-2 * time.Hour), Pinned: true},
		{Type: imclient.C2C, To: "bob", MsgTime: at},
		{Type: imclient.G2C, To: "@TGS#1", MsgTime: at.Add(-time.Hour)},
		{Type: imclient.C2C, To: "empty"},
	}
	if !slices.Equal(got, want) || list.Err() != nil || !list.Complete() || list.Doubt() != "" {
		t.Errorf("got %+v, %v, doubt %q", got, list.Err(), list.Doubt())
	}
	if counts := list.Counts(); counts != (imclient.ListCounts{Calls: 1, Given: 4}) {
		t.Errorf("%+v", counts)
	}
	// Without the flag for empty ones, and for pinned ones.
	if names := listed(client.Conversations(t.Context(), imclient.ListRequest{Account: "alice", Flags: 4})); !slices.Equal(names, []string{"bob", "@TGS#1", "carol"}) {
		t.Errorf("flags 4: %v", names)
	}
	nobody := client.Conversations(t.Context(), imclient.ListRequest{Account: "nobody"})
	if names := listed(nobody); len(names) != 0 || !nobody.Complete() {
		t.Errorf("nobody has %v, doubt %q", names, nobody.Doubt())
	}
	if len(sim.Arrivals()) != 0 || len(sim.ListArrivals()) != 3 || sim.ListArrivals()[0].From != "alice" {
		t.Errorf("arrivals %+v and %+v", sim.Arrivals(), sim.ListArrivals())
	}
}

// TestListsInPages: both kinds of cursors lead through all pages, and a second reading confirms the first.
func TestListsInPages(t *testing.T) {
	t.Parallel()
	for _, size := range []int{1, 7, 99, 100, 250, 1000} {
		cfg := simConfig()
		cfg.PageSize, cfg.ListLimit = size, 1000
		sim, client := startSim(t, cfg)
		list := client.Conversations(t.Context(), imclient.ListRequest{Account: "has-250-alice"})
		names := listed(list)
		calls := 2 * ((250 + size - 1) / size)
		if size >= 250 {
			calls = 1
		}
		if len(names) != 250 || !list.Complete() || list.Counts() != (imclient.ListCounts{Calls: calls, Given: 250}) {
			t.Errorf("pages of %d: %d conversations, doubt %q, %+v", size, len(names), list.Doubt(), list.Counts())
		}
		want := make(map[string]bool)
		for _, c := range sim.Conversations("has-250-alice") {
			want[c.To] = true
		}
		for _, name := range names {
			delete(want, name)
		}
		if len(want) != 0 {
			t.Errorf("pages of %d: lacks %v", size, want)
		}
	}
}

// TestListsThatChange: while messages arrive the API repeats some conversations and leaves others out.
func TestListsThatChange(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		change func(sim *imtest.Server, page int)
		names  string
		doubt  string
	}{
		"nothing": {func(*imtest.Server, int) {}, "c6 c5 c4 c3 c2 c1", ""},
		"a message": {func(sim *imtest.Server, page int) {
			if page == 1 {
				sim.AddConversations("alice", imtest.Conversation{Type: imclient.C2C, To: "new", MsgTime: time.Unix(100, 0)})
			}
		}, "c6 c5 c4 c3 c2 c1", "it changed while it was read: conversations came twice"},
		"a delete": {func(sim *imtest.Server, page int) {
			if page == 1 {
				sim.SetConversations("alice", numbered(1, 5)...) // c4 moves to the first page
			}
		}, "c6 c5 c3 c2 c1 c4", "it changed while it was read: a second reading shows other conversations"},
		"a message and a delete": {func(sim *imtest.Server, page int) {
			if page == 1 {
				sim.SetConversations("alice", append(numbered(3, 6), imtest.Conversation{Type: imclient.C2C, To: "c1", MsgTime: time.Unix(100, 0)})...)
			}
		}, "c6 c5 c4 c3", "it changed while it was read: conversations came twice"},
		"after the first reading": {func(sim *imtest.Server, page int) {
			if page == 3 {
				sim.AddConversations("alice", imtest.Conversation{Type: imclient.C2C, To: "new", MsgTime: time.Unix(100, 0)})
			}
		}, "c6 c5 c4 c3 c2 c1 new", "it changed while it was read: a second reading shows other conversations"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var sim *imtest.Server
			page := 0
			cfg := simConfig()
			cfg.PageSize = 2
			cfg.Listed = func(string) {
				page++
				tt.change(sim, page)
			}
			sim, client := startSimWith(t, cfg, &sim)
			sim.SetConversations("alice", numbered(1, 6)...)
			list := client.Conversations(t.Context(), imclient.ListRequest{Account: "alice"})
			names := listed(list)
			if list.Doubt() != tt.doubt || list.Complete() != (tt.doubt == "") || list.Err() != nil {
				t.Errorf("doubt %q, want %q, %v", list.Doubt(), tt.doubt, list.Err())
			}
			// A conversation that repeats was given once.
			if got := strings.Join(names, " "); got != tt.names {
				t.Errorf("got %s, want %s", got, tt.names)
			}
		})
	}
}

// startSimWith is startSim for a configuration whose functions use the simulator.
func startSimWith(t *testing.T, cfg imtest.Config, place **imtest.Server) (*imtest.Server, *imclient.Client) {
	t.Helper()
	sim, client := startSim(t, cfg)
	*place = sim
	return sim, client
}

// TestListsGoOn: what a range has left is there for the next one, and a call that has failed is made again.
func TestListsGoOn(t *testing.T) {
	t.Parallel()
	cfg := simConfig()
	cfg.PageSize = 2
	sim, client := startSim(t, cfg)
	sim.SetConversations("alice", numbered(1, 5)...)
	list := client.Conversations(t.Context(), imclient.ListRequest{Account: "alice"})
	for c := range list.All() {
		if c.To != "c5" {
			t.Errorf("first %+v", c)
		}
		break
	}
	if list.Complete() || list.Doubt() != "not read to its end" || list.Counts().Calls != 1 {
		t.Errorf("doubt %q, %+v", list.Doubt(), list.Counts())
	}
	sim.Script(imtest.Fault{API: imtest.APIGetList, Code: 50004, Times: 1})
	if names := listed(list); strings.Join(names, " ") != "c4" || imclient.ClassOf(list.Err()) != imclient.Transient || list.Doubt() != "a call has failed" {
		t.Errorf("second %v, %v, doubt %q", names, list.Err(), list.Doubt())
	}
	if names := listed(list); strings.Join(names, " ") != "c3 c2 c1" || list.Err() != nil || !list.Complete() {
		t.Errorf("third %v, %v, doubt %q", names, list.Err(), list.Doubt())
	}
	if names := listed(list); len(names) != 0 || !list.Complete() || list.Counts() != (imclient.ListCounts{Calls: 7, Given: 5}) {
		t.Errorf("fourth %v, %+v", names, list.Counts())
	}
}

// TestListsFailAsDeletesDo: the same answers have the same errors and classes, whichever call they answer.
func TestListsFailAsDeletesDo(t *testing.T) {
	t.Parallel()
	_, client := startSim(t, simConfig())
	accounts := []string{"http-502", "http-404", "http-429", "garbage", "reset", "code-50001", "result-50004", "code-99", "code-60021"}
	for _, list := range codes {
		for _, code := range list {
			if code != imclient.CodeExpired {
				accounts = append(accounts, "code-"+itoa(code))
			}
		}
	}
	for _, account := range accounts {
		r := request
		r.From = account
		want := client.DeleteConversation(t.Context(), r)
		list := client.Conversations(t.Context(), imclient.ListRequest{Account: account})
		names, err := listed(list), list.Err()
		if err == nil || len(names) != 0 || list.Complete() || imclient.ClassOf(err) != imclient.ClassOf(want) {
			t.Errorf("%s: %v, %v (%v), want %v (%v)", account, names, err, imclient.ClassOf(err), want, imclient.ClassOf(want))
		}
		if fmt.Sprintf("%T", err) != fmt.Sprintf("%T", want) || account != "reset" && err.Error() != want.Error() {
			t.Errorf("%s: %T %v, want %T %v", account, err, err, want, want)
		}
	}
}

func TestListRequestsThatAreNotSent(t *testing.T) {
	t.Parallel()
	sim, client := startSim(t, simConfig())
	for _, r := range []imclient.ListRequest{{}, {Account: "\xff"}, {Account: "alice", Flags: -1}} {
		field := "From_Account"
		if r.Flags < 0 {
			field = "AssistFlags"
		}
		list := client.Conversations(t.Context(), r)
		names := listed(list)
		refused, ok := errors.AsType[*imclient.RequestError](list.Err())
		if !ok || refused.Field != field || len(names) != 0 || list.Complete() || imclient.ClassOf(list.Err()) != imclient.Permanent {
			t.Errorf("%+v: %v, %v", r, names, list.Err())
		}
	}
	noKey := newClient(t, sim.URL, func(c *imclient.Config) { c.SecretKey = imclient.StaticKey("") })
	list := noKey.Conversations(t.Context(), imclient.ListRequest{Account: "alice"})
	names := listed(list)
	if _, ok := errors.AsType[*imclient.KeyError](list.Err()); !ok || len(names) != 0 || imclient.ClassOf(list.Err()) != imclient.Halt {
		t.Errorf("without a key: %v, %v", names, list.Err())
	}
	if n := len(sim.ListArrivals()); n != 0 {
		t.Errorf("%d calls", n)
	}
}

// TestListSignatureIsRenewed: after 70001 a further range calls again, with a new signature.
func TestListSignatureIsRenewed(t *testing.T) {
	t.Parallel()
	sim, client := startSim(t, simConfig())
	sim.Script(imtest.Fault{Code: imclient.CodeExpired, Times: 1})
	list := client.Conversations(t.Context(), imclient.ListRequest{Account: "has-3"})
	first := listed(list)
	api, ok := errors.AsType[*imclient.APIError](list.Err())
	if len(first) != 0 || !ok || !api.Renewed {
		t.Errorf("%v, %v", first, list.Err())
	}
	if names := listed(list); len(names) != 3 || !list.Complete() {
		t.Errorf("%v, %v", names, list.Err())
	}
}

// TestListCallsAskForAPermit: a program's limiter decides when each call goes. The calls of many lists keep to the API's quota with it.
func TestListCallsAskForAPermit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cfg := simConfig()
		cfg.PageSize, cfg.Quota = 1, 1
		sim, client := bubbleSim(t, cfg, nil)
		sim.SetConversations("alice", numbered(1, 3)...)
		var sent atomic.Int32
		last := time.Now().Add(-time.Hour)
		begin := time.Now()
		list := client.Conversations(t.Context(), imclient.ListRequest{
			Account: "alice",
			Permit: func(context.Context) error {
				time.Sleep(time.Until(last.Add(time.Second + time.Millisecond)))
				last = time.Now()
				return nil
			},
			Sent: func() { sent.Add(1) },
		})
		names := listed(list)
		if len(names) != 3 || !list.Complete() || sent.Load() != 6 || sim.ListStats().Throttled != 0 {
			t.Errorf("%v, %v, doubt %q, %d sent, %+v", names, list.Err(), list.Doubt(), sent.Load(), sim.ListStats())
		}
		if took := time.Since(begin); took != 5*(time.Second+time.Millisecond) {
			t.Errorf("took %v", took)
		}
		refusal := errors.New("not now")
		list = client.Conversations(t.Context(), imclient.ListRequest{Account: "alice", Permit: func(context.Context) error { return refusal }})
		if names := listed(list); len(names) != 0 || !errors.Is(list.Err(), refusal) || list.Counts().Calls != 0 {
			t.Errorf("without a permit: %v, %v", names, list.Err())
		}
	})
}

// TestListEndsWithItsContext: each call ends with CallTimeout, and all of them with the context.
func TestListEndsWithItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, client := bubbleSim(t, simConfig(), nil)
		begin := time.Now()
		list := client.Conversations(t.Context(), imclient.ListRequest{Account: "hang"})
		names, err := listed(list), list.Err()
		if len(names) != 0 || !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) != 5*time.Second {
			t.Errorf("%v, %v after %v", names, err, time.Since(begin))
		}
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		begin = time.Now()
		list = client.Conversations(ctx, imclient.ListRequest{Account: "hang"})
		names, err = listed(list), list.Err()
		if len(names) != 0 || !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) != 2*time.Second {
			t.Errorf("%v, %v after %v", names, err, time.Since(begin))
		}
	})
}

// TestListRequestBody: the API gets its own names, and the cursors of the page before.
func TestListRequestBody(t *testing.T) {
	t.Parallel()
	var bodies []string
	client := startHandler(t, func(w http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		bodies = append(bodies, r.URL.Path+" "+string(text))
		n := len(bodies)
		_, _ = fmt.Fprintf(w, `{"ErrorCode":0,"CompleteFlag":%d,"TimeStamp":%d,"StartIndex":2,"TopTimeStamp":3,"TopStartIndex":4}`, n/2, n)
	})
	list := client.Conversations(t.Context(), imclient.ListRequest{Account: `a"b`, Flags: 7})
	if names := listed(list); len(names) != 0 || list.Err() != nil || list.Counts().Calls != 3 {
		t.Errorf("%v, %v, %+v", names, list.Err(), list.Counts())
	}
	const before = `/v4/recentcontact/get_list {"From_Account":"a\"b",`
	for i, want := range []string{
		`"TimeStamp":0,"StartIndex":0,"TopTimeStamp":0,"TopStartIndex":0,"AssistFlags":7}`,
		`"TimeStamp":1,"StartIndex":2,"TopTimeStamp":3,"TopStartIndex":4,"AssistFlags":7}`,
		`"TimeStamp":0,"StartIndex":0,"TopTimeStamp":0,"TopStartIndex":0,"AssistFlags":7}`,
	} {
		if bodies[i] != before+want || !json.Valid([]byte(bodies[i][strings.IndexByte(bodies[i], '{'):])) {
			t.Errorf("call %d: %s", i, bodies[i])
		}
	}
}

// TestListAnswers: what is in a page, and what no page may be.
func TestListAnswers(t *testing.T) {
	t.Parallel()
	const good = `{"Type":1,"To_Account":"good","MsgTime":5}`
	answer := func(items string) string { return `{"ErrorCode":0,"CompleteFlag":1,"SessionItem":[` + items + `]}` }
	for name, tt := range map[string]struct {
		body   string
		counts imclient.ListCounts
		doubt  string
		fails  string
	}{
		"items passed over": {
			answer(good + `,{"Type":9,"To_Account":"x"},{"Type":1,"To_Account":7},null,` + good),
			imclient.ListCounts{Calls: 1, Given: 1, Repeated: 1, Unknown: 1, Malformed: 2},
			"2 items could not be read", "",
		},
		"unknown types": {answer(good + `,{"Type":9}`), imclient.ListCounts{Calls: 1, Given: 1, Unknown: 1}, "", ""},
		"not to its end": {
			`{"ErrorCode":0,"SessionItem":[` + good + `]}`,
			imclient.ListCounts{Calls: 1, Given: 1},
			"the cursors of a page lead back to an earlier page", "",
		},
		"1 MiB":            {strings.Repeat(" ", 1<<20-len(answer(good))) + answer(good), imclient.ListCounts{Calls: 1, Given: 1}, "", ""},
		"more than 1 MiB":  {strings.Repeat(" ", 1<<20-len(answer(good))+1) + answer(good), imclient.ListCounts{Calls: 1}, "a call has failed", "answer larger than 1048576 bytes"},
		"no result":        {`{"CompleteFlag":1,"SessionItem":[]}`, imclient.ListCounts{Calls: 1}, "a call has failed", "answer is not the api's json"},
		"a code twice":     {`{"ErrorCode":0,"ErrorCode":0,"CompleteFlag":1}`, imclient.ListCounts{Calls: 1}, "a call has failed", "answer is not the api's json"},
		"items twice":      {`{"ErrorCode":0,"CompleteFlag":1,"SessionItem":[],"SessionItem":[` + good + `]}`, imclient.ListCounts{Calls: 1}, "a call has failed", "is given more than once"},
		"a field twice":    {answer(`{"Type":1,"To_Account":"a","To_Account":"b"}`), imclient.ListCounts{Calls: 1}, "a call has failed", "is given more than once"},
		"a field in lower": {`{"ErrorCode":0,"completeflag":1,"SessionItem":[]}`, imclient.ListCounts{Calls: 1}, "a call has failed", "in place of CompleteFlag"},
		"not UTF-8":        {answer("{\"Type\":1,\"To_Account\":\"\xff\"}"), imclient.ListCounts{Calls: 1}, "a call has failed", "not UTF-8"},
		"a list":           {`[` + good + `]`, imclient.ListCounts{Calls: 1}, "a call has failed", "answer is not the api's json"},
		"cut off":          {answer(good)[:40], imclient.ListCounts{Calls: 1}, "a call has failed", "answer is not the api's json"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := startHandler(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, tt.body) })
			list := client.Conversations(t.Context(), imclient.ListRequest{Account: "alice"})
			names := listed(list)
			if len(names) != tt.counts.Given || list.Counts() != tt.counts || list.Doubt() != tt.doubt {
				t.Errorf("%v, %+v, doubt %q", names, list.Counts(), list.Doubt())
			}
			if tt.fails == "" {
				if list.Err() != nil {
					t.Error(list.Err())
				}
				return
			}
			checkNetworkError(t, list.Err(), 200, tt.fails)
		})
	}
}

// TestListsDoNotShowTheSignature: the errors of lists are scrubbed as those of deletes are.
func TestListsDoNotShowTheSignature(t *testing.T) {
	t.Parallel()
	faults := map[string]func(sig, target string) string{
		"a cursor": func(sig, _ string) string { return answer200(`{"ErrorCode":0,"TimeStamp":"` + sig + `"}`) },
		"a name":   func(sig, _ string) string { return answer200(`{"ErrorCode":0,"` + sig + `":1,"` + sig + `":2}`) },
	}
	maps.Copy(faults, echoes)
	for name, echo := range faults {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log logBuffer
			client := newClient(t, talkback(t, echo), func(c *imclient.Config) { c.Logger = log.logger() })
			list := client.Conversations(t.Context(), imclient.ListRequest{Account: "alice"})
			if names := listed(list); len(names) != 0 || list.Err() == nil {
				t.Fatalf("%v, %v", names, list.Err())
			}
			checkErrorHoldsNoSecret(t, list.Err(), client.Sig(), secretKey)
			for _, format := range []string{"%v", "%+v"} {
				checkNoSecret(t, "the list", fmt.Sprintf(format, list)+list.Doubt(), client.Sig(), secretKey)
			}
			checkNoSecret(t, "log", log.String(), client.Sig(), secretKey)
		})
	}
}

// TestListQuotaIsItsOwn: the API counts lists apart from deletes.
func TestListQuotaIsItsOwn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cfg := simConfig()
		cfg.Quota = 2
		sim, client := bubbleSim(t, cfg, nil)
		for i := range 3 {
			err := client.DeleteConversation(t.Context(), request)
			list := client.Conversations(t.Context(), imclient.ListRequest{Account: "alice"})
			names := listed(list)
			if over := i == 2; (err != nil) != over || (list.Err() != nil) != over || len(names) != 0 {
				t.Errorf("call %d: %v and %v, %v", i, err, list.Err(), names)
			}
		}
		stats, lists := sim.Stats(), sim.ListStats()
		if stats.Calls != 3 || stats.Throttled != 1 || lists.Calls != 3 || lists.Throttled != 1 || stats.PeakPerSecond != 3 || lists.PeakPerSecond != 3 {
			t.Errorf("%+v, %+v", stats, lists)
		}
	})
}

// TestDeletedConversationsMakeRoom: the API shows the most recent conversations. Older ones come up once these are deleted.
func TestDeletedConversationsMakeRoom(t *testing.T) {
	t.Parallel()
	sim, client := startSim(t, simConfig())
	rounds, deleted := 0, make(map[imclient.Conversation]bool)
	for {
		list := client.Conversations(t.Context(), imclient.ListRequest{Account: "has-250"})
		found := slices.Collect(list.All())
		if !list.Complete() {
			t.Fatalf("%v, doubt %q", list.Err(), list.Doubt())
		}
		if len(found) == 0 {
			break
		}
		rounds++
		for _, c := range found {
			if deleted[c] {
				t.Errorf("%+v was deleted", c)
			}
			deleted[c] = true
			if err := client.DeleteConversation(t.Context(), imclient.DeleteRequest{From: "has-250", Type: c.Type, To: c.To}); err != nil {
				t.Error(err)
			}
		}
	}
	if rounds != 3 || len(deleted) != 250 || len(sim.Conversations("has-250")) != 0 {
		t.Errorf("%d in %d rounds", len(deleted), rounds)
	}
}
