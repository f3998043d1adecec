package sim

import (
	"bytes"
	"encoding/json"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"convdel/imclient/imtest"
	"convdel/schema"
)

const (
	sdkAppID   = 1400000077
	admin      = "administrator"
	firstKey   = "sim-first-key-0c1d9e77"
	secondKey  = "sim-second-key-77e9d1c0"
	wrongKey   = "sim-wrong-key-5a5a5a5a"
	password   = "sim-kafka-password-3b2a"
	redisGuard = "sim-redis-password-91ff"
)

// api is the simulated API. It records all calls when they arrive and when they are answered.
type api struct {
	sim *imtest.Server
	// slow is added to the time of every answer, in nanoseconds.
	slow atomic.Int64

	mu       sync.Mutex
	calls    []*call
	lists    []*call // of replicas, without the other side
	underway map[target][]*call
	// listed is called after each page of an account's list.
	listed func(account string)
	// timeout is how long replicas wait for an answer.
	timeout time.Duration
	// overlaps are calls that arrived while another call of the same replica for the same conversation was under way.
	overlaps []*call
	sigs     map[string]bool // all signatures seen so far
	servers  []*http.Server
}

type target struct {
	by string
	schema.Conversation
}

// call is a call as the API has seen it.
type call struct {
	target
	clearRamble  bool
	at, answered time.Time // answered is zero if the call was never answered
	ended        time.Time // when it was no more under way
	status, code int
	ok           bool
}

func newAPI(sc *scenario) *api {
	a := &api{underway: map[target][]*call{}, sigs: map[string]bool{}, timeout: sc.callTimeout}
	usual := imtest.Uniform(sc.latency/2, sc.latency)
	a.sim = imtest.New(imtest.Config{
		SDKAppID: sdkAppID, Identifier: admin, SecretKey: firstKey, RecordLimit: -1, Seed: sc.seed, PageSize: sc.pageSize, ListLimit: sc.listLimit, Listed: func(account string) { a.listed(account) },
		Latency: func(r *rand.Rand) time.Duration { return usual(r) + time.Duration(a.slow.Load()) },
	})
	return a
}

// serve answers the calls of one replica on a port of its own, until close.
func (a *api) serve(w *world, by string, port int) {
	l, err := w.net.Listen("tcp", fmtAddress(port))
	if err != nil {
		w.t.Fatal(err)
	}
	s := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.answer(w, r, by)
	})}
	a.mu.Lock()
	a.servers = append(a.servers, s)
	a.mu.Unlock()
	go func() { _ = s.Serve(l) }()
}

func (a *api) close() {
	a.sim.Close()
	for _, s := range a.servers {
		_ = s.Close()
	}
}

func (a *api) answer(w http.ResponseWriter, r *http.Request, by string) {
	c := &call{at: time.Now()}
	c.by = by
	text, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	var body struct {
		From        string `json:"From_Account"`
		Type        int
		To          string `json:"To_Account"`
		ClearRamble int
	}
	_ = json.Unmarshal(text, &body) // the simulator refuses invalid bodies
	c.Conversation = schema.Conversation{From: body.From, Type: schema.ConversationType(body.Type), To: body.To}
	c.clearRamble = body.ClearRamble == 1
	a.mu.Lock()
	a.sigs[r.URL.Query().Get("usersig")] = true
	if list := strings.HasSuffix(r.URL.Path, "/get_list"); list {
		if !strings.HasPrefix(by, eraser) {
			a.lists = append(a.lists, c)
		}
	} else {
		a.enterLocked(c)
	}
	a.mu.Unlock()

	r.Body = io.NopCloser(bytes.NewReader(text))
	// net/http notices that a client has gone only after the end of the body was read. It was read above.
	a.sim.ServeHTTP(&answerWriter{ResponseWriter: w, a: a, c: c}, r)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.endLocked(c)
}

// enterLocked notes a delete that has arrived.
func (a *api) enterLocked(c *call) {
	a.calls = append(a.calls, c)
	for _, other := range a.underway[c.target] {
		// The replica has just given the other call up if that has run into the timeout.
		if c.at.Sub(other.at) < a.timeout-10*time.Millisecond {
			a.overlaps = append(a.overlaps, c)
		}
	}
	a.underway[c.target] = append(a.underway[c.target], c)
}

func (a *api) endLocked(c *call) {
	if c.ended.IsZero() {
		c.ended = time.Now()
	}
	left := slices.DeleteFunc(a.underway[c.target], func(other *call) bool { return other == c })
	if a.underway[c.target] = left; len(left) == 0 {
		delete(a.underway, c.target)
	}
}

// answerWriter records an answer just before the replica can know it.
type answerWriter struct {
	http.ResponseWriter

	a *api
	c *call
}

// Unwrap gives net/http access to the writer's other methods.
func (w *answerWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *answerWriter) WriteHeader(status int) {
	w.c.status = status
	w.ResponseWriter.WriteHeader(status)
}

func (w *answerWriter) Write(text []byte) (int, error) {
	var answer struct {
		ActionStatus          string
		ErrorCode, ResultCode int
	}
	parsed := json.Unmarshal(text, &answer) == nil
	w.a.mu.Lock()
	w.c.answered = time.Now()
	if parsed {
		w.c.code = max(answer.ErrorCode, answer.ResultCode)
	}
	w.c.ok = parsed && w.c.status == http.StatusOK && answer.ActionStatus == "OK" && w.c.code == 0
	w.a.endLocked(w.c) // the replica may make the next call before the handler returns
	w.a.mu.Unlock()
	return w.ResponseWriter.Write(text)
}

// took returns the calls in order of arrival.
func (a *api) took() []*call {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.calls)
}
