package imclient_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"convdel/imclient"
)

const okAnswer = `{"ActionStatus":"OK","ErrorCode":0,"ErrorInfo":"","ErrorDisplay":""}`

// seen is a request as a server received it.
type seen struct {
	method, path, query, contentType, body string
}

// watcher answers all calls with success and records them.
type watcher struct {
	mu   sync.Mutex
	seen []seen
}

func (s *watcher) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	s.seen = append(s.seen, seen{
		method: r.Method, path: r.URL.Path, query: r.URL.RawQuery,
		contentType: r.Header.Get("Content-Type"), body: string(body),
	})
	s.mu.Unlock()
	_, _ = io.WriteString(w, okAnswer)
}

func TestRequestBody(t *testing.T) {
	t.Parallel()
	watch := new(watcher)
	client := startHandler(t, watch.ServeHTTP)
	for _, tt := range []struct {
		request imclient.DeleteRequest
		want    string
	}{
		{
			imclient.DeleteRequest{From: "id1", Type: 1, To: "id2", ClearRamble: true},
			`{"From_Account":"id1","Type":1,"To_Account":"id2","ClearRamble":1}`,
		},
		{
			imclient.DeleteRequest{From: "id1", Type: 1, To: "id2"},
			`{"From_Account":"id1","Type":1,"To_Account":"id2","ClearRamble":0}`,
		},
		{
			imclient.DeleteRequest{From: "id1", Type: 2, To: "@TGS#1"},
			`{"From_Account":"id1","Type":2,"To_Account":"@TGS#1","ToGroupid":"@TGS#1","ClearRamble":0}`,
		},
		{
			imclient.DeleteRequest{From: `a"b\c`, Type: 1, To: "d\te\u00e9<"},
			`{"From_Account":"a\"b\\c","Type":1,"To_Account":"d\te` + "\u00e9" + `\u003c","ClearRamble":0}`,
		},
	} {
		if err := client.DeleteConversation(t.Context(), tt.request); err != nil {
			t.Fatal(err)
		}
		got := watch.seen[len(watch.seen)-1]
		if got.body != tt.want {
			t.Errorf("body\n got %s\nwant %s", got.body, tt.want)
		}
		if got.method != http.MethodPost || got.path != "/v4/recentcontact/delete" || got.contentType != "application/json" {
			t.Errorf("request %+v", got)
		}
	}
}

// TestBodyIsWhatWasMeant compares the hand-written encoder with encoding/json.
func TestBodyIsWhatWasMeant(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		r := imclient.DeleteRequest{
			From:        rapid.String().Draw(t, "from"),
			Type:        rapid.IntRange(1, 2).Draw(t, "type"),
			To:          rapid.String().Draw(t, "to"),
			ClearRamble: rapid.Bool().Draw(t, "clear"),
		}
		want := map[string]any{"From_Account": r.From, "Type": float64(r.Type), "To_Account": r.To, "ClearRamble": 0.0}
		if r.ClearRamble {
			want["ClearRamble"] = 1.0
		}
		if r.Type == imclient.G2C {
			want["ToGroupid"] = r.To
		}
		var got map[string]any
		if err := json.Unmarshal(imclient.BodyOf(r), &got); err != nil {
			t.Fatal(err)
		}
		if len(got) != len(want) {
			t.Fatalf("got %v, want %v", got, want)
		}
		for field, value := range want {
			if got[field] != value {
				t.Fatalf("%s: got %v, want %v", field, got[field], value)
			}
		}
	})
}

func TestRequestQuery(t *testing.T) {
	t.Parallel()
	const calls = 500
	watch := new(watcher)
	client := startHandler(t, watch.ServeHTTP)
	for range calls {
		if err := client.DeleteConversation(t.Context(), request); err != nil {
			t.Fatal(err)
		}
	}
	randoms := map[uint64]bool{}
	high := 0
	for _, s := range watch.seen {
		values, err := url.ParseQuery(s.query)
		if err != nil {
			t.Fatal(err)
		}
		random, err := strconv.ParseUint(values.Get("random"), 10, 32)
		if err != nil {
			t.Fatalf("random: %v", err)
		}
		want := "sdkappid=1400000000&identifier=administrator&usersig=" + client.Sig() +
			"&random=" + strconv.FormatUint(random, 10) + "&contenttype=json"
		if s.query != want {
			t.Fatalf("query\n got %s\nwant %s", s.query, want)
		}
		randoms[random] = true
		if random >= 1<<31 {
			high++
		}
	}
	// Two equal numbers in 500 draws from 2^32 occur once in 34,000 runs, ten never.
	if len(randoms) < calls-10 {
		t.Errorf("only %d different randoms in %d calls", len(randoms), calls)
	}
	if high < calls/4 || high > calls*3/4 {
		t.Errorf("%d of %d randoms in the upper half of 32 bits", high, calls)
	}
}

func TestIdentifierIsEscaped(t *testing.T) {
	t.Parallel()
	sim, _ := startSim(t, simConfig())
	client := newClient(t, sim.URL, func(c *imclient.Config) { c.Identifier = "a&b=c d" })
	var api *imclient.APIError
	err := client.DeleteConversation(t.Context(), request)
	// The signature is valid, so the whole identifier has arrived. It is only not the administrator's.
	if !errors.As(err, &api) || api.Code != 60010 {
		t.Errorf("got %v, want 60010", err)
	}
}

func TestRequestsThatAreNotSent(t *testing.T) {
	t.Parallel()
	sim, client := startSim(t, simConfig())
	for field, r := range map[string]imclient.DeleteRequest{
		"Type":         {From: "a", Type: 3, To: "b"},
		"From_Account": {Type: 1, To: "b"},
		"To_Account":   {From: "a", Type: 1},
	} {
		checkRequestError(t, client, r, field)
	}
	checkRequestError(t, client, imclient.DeleteRequest{From: "a\xff", Type: 1, To: "b"}, "From_Account")
	checkRequestError(t, client, imclient.DeleteRequest{From: "a", Type: 2, To: "b\xff"}, "To_Account")
	if calls := sim.Stats().Calls; calls != 0 {
		t.Errorf("%d calls arrived", calls)
	}
}

func checkRequestError(t *testing.T, client *imclient.Client, r imclient.DeleteRequest, field string) {
	t.Helper()
	r.Sent = func() { t.Error("Sent called for a request that is not sent") }
	err := client.DeleteConversation(t.Context(), r)
	var wrong *imclient.RequestError
	if !errors.As(err, &wrong) || wrong.Field != field || !strings.Contains(err.Error(), field) {
		t.Errorf("%+v: got %v, want a RequestError about %s", r, err, field)
	}
}
