package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"convdel/imclient/imtest"
)

const (
	// maxControlBody bounds the body of a request to the control address, in bytes.
	maxControlBody = 1 << 20
	// maxControlFaults bounds the faults in effect, since each call is compared with all of them.
	maxControlFaults = 100
	// maxControlCount bounds how many conversations one request makes.
	maxControlCount = 10_000
)

// control switches the simulator's faults on and off, and shows and changes conversations, over HTTP.
type control struct {
	sim *imtest.Server

	mu     sync.Mutex
	last   int
	faults []*controlFault
}

// controlFault is a fault in JSON, see docs/rehearsal.md.
type controlFault struct {
	ID         int        `json:"id"`
	API        imtest.API `json:"api,omitempty"`
	Account    string     `json:"account,omitempty"`
	Prefix     string     `json:"account_prefix,omitempty"`
	Share      float64    `json:"share,omitempty"`
	Times      int        `json:"times,omitempty"`
	For        string     `json:"for,omitempty"`
	Delay      string     `json:"delay,omitempty"`
	Drip       string     `json:"drip,omitempty"`
	Hang       bool       `json:"hang,omitempty"`
	Reset      bool       `json:"reset,omitempty"`
	Code       int        `json:"code,omitempty"`
	Info       string     `json:"info,omitempty"`
	HTTPStatus int        `json:"http_status,omitempty"`
	RetryAfter string     `json:"retry_after,omitempty"`
	Body       string     `json:"body,omitempty"`
	// Executes says that a delete is executed although its caller gets no success.
	Executes bool       `json:"executes,omitempty"`
	Until    *time.Time `json:"until,omitempty"`
	Hits     int        `json:"hits"`

	scripted *imtest.Scripted
}

// newControl returns the handler of the control address.
func newControl(sim *imtest.Server) http.Handler {
	c := &control{sim: sim}
	mux := http.NewServeMux()
	for pattern, handle := range map[string]func(r *http.Request) (any, error){
		"GET /faults":                              c.listFaults,
		"POST /faults":                             c.addFault,
		"DELETE /faults":                           c.removeFaults,
		"DELETE /faults/{id}":                      c.removeFaults,
		"GET /accounts/{account}/conversations":    c.conversations,
		"POST /accounts/{account}/conversations":   c.addConversations,
		"DELETE /accounts/{account}/conversations": c.removeConversations,
		"GET /stats":                               c.stats,
	} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) { reply(w, r, handle) })
	}
	// A page in a browser on this machine must not reach it.
	return http.NewCrossOriginProtection().Handler(mux)
}

// controlError is a request that is refused.
type controlError struct {
	status int
	text   string
}

func (e *controlError) Error() string { return e.text }

// refuse returns an error for a wrong value.
func refuse(format string, args ...any) error {
	return &controlError{status: http.StatusBadRequest, text: fmt.Sprintf(format, args...)}
}

// reply answers a request with what handle returns, in JSON.
func reply(w http.ResponseWriter, r *http.Request, handle func(r *http.Request) (any, error)) {
	status := http.StatusOK
	result, err := handle(r)
	if err != nil {
		status = http.StatusInternalServerError
		if refused, ok := errors.AsType[*controlError](err); ok {
			status = refused.status
		}
		result = map[string]string{"error": err.Error()}
	}
	text, err := json.Marshal(result)
	if err != nil {
		status, text = http.StatusInternalServerError, []byte(`{"error":"the answer has no JSON"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(text, '\n')) // the caller may have gone
}

// readControl reads a request's JSON. Unknown fields are errors, since a misspelt one would be another fault than intended.
func readControl(r *http.Request, to any) error {
	text, err := io.ReadAll(io.LimitReader(r.Body, maxControlBody+1))
	if err != nil || len(text) > maxControlBody {
		return refuse("the body is larger than %d bytes, or was cut off", maxControlBody)
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(to); err != nil {
		return refuse("the body is not the JSON that is wanted: %v", err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return refuse("the body has more than one JSON value")
	}
	return nil
}

// listFaults returns the faults in effect, in the order in which calls are compared with them.
func (c *control) listFaults(*http.Request) (any, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.drop(time.Now())
	shown := make([]controlFault, len(c.faults))
	for i, f := range c.faults {
		shown[i] = *f
		shown[i].Hits = f.scripted.Hits()
	}
	return map[string]any{"faults": shown}, nil
}

// drop forgets the faults that are over.
func (c *control) drop(now time.Time) {
	c.faults = slices.DeleteFunc(c.faults, func(f *controlFault) bool {
		over := f.Until != nil && !now.Before(*f.Until) || f.Times > 0 && f.scripted.Hits() >= f.Times
		if over {
			f.scripted.Remove()
		}
		return over
	})
}

// addFault switches a fault on.
func (c *control) addFault(r *http.Request) (any, error) {
	f := new(controlFault)
	if err := readControl(r, f); err != nil {
		return nil, err
	}
	if f.ID != 0 || f.Hits != 0 || f.Until != nil {
		return nil, refuse("id, hits and until are of answers alone")
	}
	now := time.Now()
	fault, err := f.fault(now)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.drop(now)
	if len(c.faults) >= maxControlFaults {
		return nil, refuse("there are %d faults in effect already: remove some", maxControlFaults)
	}
	c.last++
	f.ID = c.last
	if !fault.NotAfter.IsZero() {
		until := fault.NotAfter.UTC().Truncate(time.Millisecond)
		f.Until = &until
	}
	f.scripted = c.sim.Script(fault)
	c.faults = append(c.faults, f)
	return f, nil
}

// removeFaults switches one fault off, or all.
func (c *control) removeFaults(r *http.Request) (any, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.drop(time.Now())
	id := r.PathValue("id")
	removed := 0
	c.faults = slices.DeleteFunc(c.faults, func(f *controlFault) bool {
		if id != "" && id != strconv.Itoa(f.ID) {
			return false
		}
		f.scripted.Remove()
		removed++
		return true
	})
	if id != "" && removed == 0 {
		return nil, &controlError{status: http.StatusNotFound, text: fmt.Sprintf("no fault %q is in effect", id)}
	}
	return map[string]int{"removed": removed}, nil
}

// fault returns the simulator's fault, or says what is wrong.
func (f *controlFault) fault(now time.Time) (imtest.Fault, error) {
	made := imtest.Fault{
		API: f.API, Account: f.Account, AccountPrefix: f.Prefix, Share: f.Share, Times: f.Times, Hang: f.Hang, Reset: f.Reset,
		Code: f.Code, Info: f.Info, HTTPStatus: f.HTTPStatus, Body: f.Body, Deletes: f.Executes,
	}
	var lasts time.Duration
	for name, d := range map[string]struct {
		text string
		to   *time.Duration
	}{
		"for": {f.For, &lasts}, "delay": {f.Delay, &made.Delay}, "drip": {f.Drip, &made.Drip}, "retry_after": {f.RetryAfter, &made.RetryAfter},
	} {
		if d.text == "" {
			continue
		}
		read, err := parseDuration(d.text)
		if err != nil || read <= 0 || read > 365*24*time.Hour {
			return made, refuse("%s is %q: must be more than 0s and at most 365d, %s", name, d.text, durationForms)
		}
		*d.to = read
	}
	if lasts > 0 {
		made.NotAfter = now.Add(lasts)
	}
	switch {
	case f.API != "" && f.API != imtest.APIDelete && f.API != imtest.APIGetList:
		return made, refuse("api is %q: must be %s or %s, or left out for both", f.API, imtest.APIDelete, imtest.APIGetList)
	case f.Share < 0 || f.Share > 1:
		return made, refuse("share is %v: must be more than 0 and at most 1", f.Share)
	case f.Times < 0:
		return made, refuse("times is %d: must be 1 or more", f.Times)
	case f.Code < 0:
		return made, refuse("code is %d: must be an error code of the API", f.Code)
	case f.HTTPStatus != 0 && (f.HTTPStatus < 200 || f.HTTPStatus > 999):
		return made, refuse("http_status is %d: must be 200 to 999", f.HTTPStatus)
	case !made.Hang && !made.Reset && made.Code == 0 && made.HTTPStatus == 0 && made.Body == "" && made.Delay == 0 && made.Drip == 0:
		return made, refuse("it has no effect: name one of code, http_status, body, hang, reset, delay, drip")
	}
	return made, nil
}

// stats returns the figures of both kinds of calls.
func (c *control) stats(*http.Request) (any, error) {
	figures := func(s imtest.Stats) map[string]int {
		return map[string]int{
			"calls": s.Calls, "throttled": s.Throttled, "under_way": s.Underway,
			"peak_per_second": s.PeakPerSecond, "peak_at_once": s.PeakConcurrent,
		}
	}
	deletes := figures(c.sim.Stats())
	deletes["executed"] = c.sim.Stats().Deletes
	return map[string]any{string(imtest.APIDelete): deletes, string(imtest.APIGetList): figures(c.sim.ListStats())}, nil
}
