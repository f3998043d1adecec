package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"convdel/imclient"
	"convdel/imclient/imtest"
)

// rehearsal is a simulator of `convdel imsim`, its control address, and a client of it.
type rehearsal struct {
	t       *testing.T
	control string
	client  *imclient.Client
}

func newRehearsal(t *testing.T) *rehearsal {
	t.Helper()
	env := environment{"CONVDEL_IM_SDKAPPID": "7", "CONVDEL_IM_SECRET_KEY": testSecretKey}
	p := start(t, env, nil, "imsim", "--addr", "127.0.0.1:0", "--control-addr", "127.0.0.1:0", "--quota=0", "--latency-min=0", "--latency-max=0")
	var urls []string
	await(t, "the simulator says where it is", func() bool {
		urls = regexp.MustCompile(`http://\S+`).FindAllString(p.stdout.String(), 2)
		return len(urls) == 2
	})
	client, err := imclient.New(imclient.Config{
		Endpoint: urls[0], SDKAppID: 7, Identifier: "administrator", SecretKey: imclient.StaticKey(testSecretKey), CallTimeout: time.Minute,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.CloseIdleConnections)
	return &rehearsal{t: t, control: urls[1], client: client}
}

// ask makes a request to the control address and returns the status and the answer.
func (r *rehearsal) ask(method, path, body string) (int, string) {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), method, r.control+path, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	// curl's own default for -d.
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil || !json.Valid(text) || resp.Header.Get("Content-Type") != "application/json" {
		r.t.Errorf("%s %s: %q, %v", method, path, text, err)
	}
	return resp.StatusCode, string(text)
}

// delete makes a call and says what became of it.
func (r *rehearsal) delete(account, to string, limit time.Duration) string {
	ctx, cancel := context.WithTimeout(r.t.Context(), limit)
	defer cancel()
	return said(r.client.DeleteConversation(ctx, imclient.DeleteRequest{From: account, Type: imclient.C2C, To: to}))
}

// list counts an account's conversations, or says why it can't.
func (r *rehearsal) list(account string) string {
	list := r.client.Conversations(r.t.Context(), imclient.ListRequest{Account: account})
	n := 0
	for range list.All() {
		n++
	}
	if list.Err() != nil {
		return said(list.Err())
	}
	return fmt.Sprintf("%d complete=%v", n, list.Complete())
}

func said(err error) string {
	if err == nil {
		return "done"
	}
	return strings.TrimPrefix(err.Error(), "im api: ")
}

// often makes calls for many conversations, and returns true once one has become what is wanted.
func (r *rehearsal) often(want string) bool {
	for i := range 500 {
		if strings.HasPrefix(r.delete("carol", strconv.Itoa(i), time.Minute), want) {
			return true
		}
	}
	return false
}

const base = "http://127.0.0.1:8091"

// examples are the curl commands of docs/rehearsal.md, "METHOD path body", in their order.
func examples(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile("../../docs/rehearsal.md")
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	form := regexp.MustCompile(`^curl (?:-X (\w+) )?(?:-d '([^']*)' )?` + base + `(/\S*)$`)
	for line := range strings.SplitSeq(string(text), "\n") {
		if !strings.HasPrefix(line, "curl ") {
			continue
		}
		parts := form.FindStringSubmatch(line)
		if parts == nil {
			t.Fatalf("an example in another form: %s", line)
		}
		method := parts[1]
		if method == "" && parts[2] != "" {
			method = http.MethodPost
		} else if method == "" {
			method = http.MethodGet
		}
		all = append(all, strings.TrimSpace(method+" "+parts[3]+" "+parts[2]))
	}
	return all
}

// TestRehearsalDocument tries each example of docs/rehearsal.md, and looks at what it does. Faults are switched off before the next one.
func TestRehearsalDocument(t *testing.T) {
	t.Parallel()
	r := newRehearsal(t)
	const faults, alice = "POST /faults ", "/accounts/alice/conversations"
	tries := map[string]func(answer string) bool{
		faults + `{"http_status":502,"for":"5m"}`: func(answer string) bool {
			return strings.HasPrefix(answer, `{"id":1,"for":"5m","http_status":502,"until":"2`) && strings.HasSuffix(answer, "Z\",\"hits\":0}\n") &&
				r.delete("x", "y", time.Minute) == "http status 502" && r.list("x") == "http status 502"
		},
		"GET /faults": func(answer string) bool {
			return strings.Contains(answer, `"id":1,`) && strings.Contains(answer, `"hits":2}`)
		},
		"DELETE /faults/1": func(answer string) bool {
			return answer == "{\"removed\":1}\n" && r.delete("x", "y", time.Minute) == "done"
		},
		"DELETE /faults": func(answer string) bool { return answer == "{\"removed\":0}\n" },
		faults + `{"hang":true,"share":0.2}`: func(string) bool {
			for range 500 {
				if strings.Contains(r.delete("x", "y", 200*time.Millisecond), "deadline exceeded") {
					return true
				}
			}
			return false
		},
		faults + `{"reset":true,"account_prefix":"bob"}`: func(string) bool {
			return strings.HasPrefix(r.delete("bobby", "y", time.Minute), "no answer: ") && r.delete("x", "y", time.Minute) == "done"
		},
		faults + `{"http_status":200,"body":"<html>maintenance</html>","times":20}`: func(string) bool {
			for range 20 {
				if !strings.Contains(r.delete("x", "y", time.Minute), "not the api's json") {
					return false
				}
			}
			return r.delete("x", "y", time.Minute) == "done"
		},
		faults + `{"code":50004,"account":"alice"}`: func(string) bool {
			return strings.HasPrefix(r.delete("alice", "y", time.Minute), "code 50004") && r.delete("x", "y", time.Minute) == "done"
		},
		faults + `{"code":70009,"for":"1m"}`: func(string) bool { return strings.HasPrefix(r.list("x"), "code 70009") },
		faults + `{"delay":"3s","share":0.5}`: func(string) bool {
			for range 500 {
				if strings.Contains(r.delete("x", "y", 200*time.Millisecond), "deadline exceeded") {
					return true
				}
			}
			return false
		},
		faults + `{"code":60007,"share":0.3,"api":"delete"}`: func(string) bool { return r.often("code 60007") && r.list("x") == "0 complete=true" },
		faults + `{"http_status":429,"retry_after":"10s","api":"get_list"}`: func(string) bool {
			return r.list("x") == "http status 429 (retry after 10s)" && r.delete("x", "y", time.Minute) == "done"
		},
		faults + `{"reset":true,"executes":true,"share":0.05}`: func(string) bool {
			before := r.list("has-500")
			for i := range 500 {
				if strings.HasPrefix(r.delete("has-500", fmt.Sprintf("peer-%d", i+1), time.Minute), "no answer") {
					_, left := r.ask("GET", "/accounts/has-500/conversations", "")
					return before == "100 complete=true" && !strings.Contains(left, fmt.Sprintf(`"peer-%d"`, i+1))
				}
			}
			return false
		},
		"POST " + alice + ` {"count":250}`: func(answer string) bool {
			return answer == "{\"added\":250}\n" && r.list("alice") == "100 complete=true"
		},
		"POST " + alice + ` {"SessionItem":[{"Type":1,"To_Account":"bob"},{"Type":2,"GroupId":"@TGS#1","MsgTime":1772612017,"TopFlag":1}]}`: func(answer string) bool {
			return answer == "{\"added\":2}\n"
		},
		"GET " + alice: func(answer string) bool {
			return strings.Count(answer, "MsgTime") == 252 && strings.Contains(answer, `{"Type":2,"GroupId":"@TGS#1","MsgTime":1772612017,"TopFlag":1}`)
		},
		"DELETE " + alice: func(answer string) bool {
			return answer == "{\"removed\":252}\n" && r.list("alice") == "0 complete=true"
		},
		"GET /stats": func(answer string) bool {
			return strings.Contains(answer, `"delete":{`) && strings.Contains(answer, `"get_list":{"calls":`) && strings.Contains(answer, `"executed":`)
		},
	}
	tried := 0
	for i, example := range examples(t) {
		method, rest, _ := strings.Cut(example, " ")
		path, body, _ := strings.Cut(rest, " ")
		if i > 3 { // the first four belong together
			r.ask("DELETE", "/faults", "")
		}
		status, answer := r.ask(method, path, body)
		if try := tries[example]; try == nil {
			t.Errorf("no try for the example %s", example)
		} else if status != http.StatusOK || !try(answer) {
			t.Errorf("%s: %d %s", example, status, answer)
		}
		tried++
	}
	if tried != len(tries) {
		t.Errorf("%d examples, %d tries", tried, len(tries))
	}
}

// TestControlRefuses: a wrong request changes nothing and says what is wrong.
func TestControlRefuses(t *testing.T) {
	t.Parallel()
	r := newRehearsal(t)
	const faults, alice = "/faults", "/accounts/alice/conversations"
	for _, tt := range []struct{ path, body, want string }{
		{faults, ``, "not the JSON"},
		{faults, `{`, "not the JSON"},
		{faults, `[]`, "not the JSON"},
		{faults, `{"code":50004} {"code":50004}`, "more than one"},
		{faults, `{"cod":50004}`, `unknown field \"cod\"`},
		{faults, `{"code":"50004"}`, "not the JSON"},
		{faults, `{}`, "no effect"},
		{faults, `{"account":"alice"}`, "no effect"},
		{faults, `{"code":50004,"api":"deletes"}`, "api is"},
		{faults, `{"code":50004,"share":1.5}`, "share is 1.5"},
		{faults, `{"code":50004,"share":-1}`, "share is -1"},
		{faults, `{"code":50004,"times":-1}`, "times is -1"},
		{faults, `{"code":-5}`, "code is -5"},
		{faults, `{"http_status":100}`, "http_status is 100"},
		{faults, `{"http_status":1000}`, "http_status is 1000"},
		{faults, `{"delay":"soon"}`, `delay is \"soon\"`},
		{faults, `{"delay":"-1s"}`, "delay is"},
		{faults, `{"code":50004,"for":"0s"}`, "for is"},
		{faults, `{"code":50004,"for":"366d"}`, "for is"},
		{faults, `{"code":50004,"id":7}`, "of answers alone"},
		{faults, `{"code":50004,"info":"` + strings.Repeat("x", 1<<20) + `"}`, "larger than 1048576 bytes"},
		{alice, `{}`, "name either"},
		{alice, `{"count":10001}`, "name either"},
		{alice, `{"count":-1}`, "name either"},
		{alice, `{"count":1,"SessionItem":[{"Type":1,"To_Account":"bob"}]}`, "name either"},
		{alice, `{"SessionItem":[{"Type":1,"To_Account":"bob"},{"Type":3,"To_Account":"bob"}]}`, "Type is 3"},
		{alice, `{"SessionItem":[{"Type":1}]}`, "has a To_Account"},
		{alice, `{"SessionItem":[{"Type":1,"GroupId":"g"}]}`, "has a To_Account"},
		{alice, `{"SessionItem":[{"Type":2,"To_Account":"g"}]}`, "has a To_Account"},
		{alice, `{"SessionItem":[{"Type":2,"GroupId":"g","To_Account":"g"}]}`, "has a To_Account"},
		{alice, `{"SessionItem":[{"Type":1,"To_Account":"bob","TopFlag":2}]}`, "TopFlag is 2"},
		{alice, `{"SessionItem":[{"Type":1,"To_Account":"bob","MsgTime":-1}]}`, "MsgTime is -1"},
	} {
		if status, answer := r.ask(http.MethodPost, tt.path, tt.body); status != http.StatusBadRequest || !strings.Contains(answer, tt.want) {
			t.Errorf("%s %.80s: %d %s", tt.path, tt.body, status, answer)
		}
	}
	if status, answer := r.ask(http.MethodDelete, "/faults/7", ""); status != http.StatusNotFound || !strings.Contains(answer, `\"7\"`) {
		t.Errorf("unknown fault: %d %s", status, answer)
	}
	if _, answer := r.ask(http.MethodGet, faults, ""); answer != "{\"faults\":[]}\n" {
		t.Error(answer)
	}
	if got := r.list("alice"); got != "0 complete=true" {
		t.Error(got)
	}
	for range maxControlFaults {
		if status, answer := r.ask(http.MethodPost, faults, `{"code":50004,"account":"bob"}`); status != http.StatusOK {
			t.Fatal(answer)
		}
	}
	if status, answer := r.ask(http.MethodPost, faults, `{"code":50004}`); status != http.StatusBadRequest || !strings.Contains(answer, "100 faults") {
		t.Errorf("%d %s", status, answer)
	}
}

// TestControlOfBrowsers: a page that a browser shows must not switch anything.
func TestControlOfBrowsers(t *testing.T) {
	t.Parallel()
	r := newRehearsal(t)
	for header, value := range map[string]string{"Sec-Fetch-Site": "cross-site", "Origin": "https://elsewhere.example"} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.control+"/faults", strings.NewReader(`{"code":50004}`))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set(header, value)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusForbidden {
			t.Errorf("%s: %d", header, resp.StatusCode)
		}
	}
	if got := r.delete("alice", "bob", time.Minute); got != "done" {
		t.Error(got)
	}
}

// TestControlFaultsEnd: faults that are over are neither shown nor kept.
func TestControlFaultsEnd(t *testing.T) {
	t.Parallel()
	c := &control{sim: imtest.New(imtest.Config{})}
	t.Cleanup(c.sim.Close)
	now := time.Now()
	for _, f := range []controlFault{{Code: 1, For: "1m"}, {Code: 2, For: "1h"}, {Code: 3}} {
		text, err := json.Marshal(map[string]any{"code": f.Code, "for": f.For})
		if err != nil {
			t.Fatal(err)
		}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "/faults", strings.NewReader(string(text)))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.addFault(req); err != nil {
			t.Fatal(err)
		}
	}
	c.drop(now)
	if len(c.faults) != 3 {
		t.Errorf("at once: %d faults", len(c.faults))
	}
	c.drop(now.Add(2 * time.Minute))
	if len(c.faults) != 2 {
		t.Errorf("after 2m: %d faults", len(c.faults))
	}
	c.drop(now.Add(2 * time.Hour))
	if len(c.faults) != 1 || c.faults[0].Code != 3 {
		t.Errorf("after 2h: %d faults", len(c.faults))
	}
}
