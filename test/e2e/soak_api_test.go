//go:build kafka && soak

package e2e

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"sync"
	"time"
)

// apiTraffic counts the calls that arrive at the API.
type apiTraffic struct {
	mu     sync.Mutex
	second []time.Time // The arrivals of the last second, oldest first.
	calls  int
	peak   int
	codes  map[int]int // Answers by API code, or by HTTP status if that is not 200; 0 counts calls without an answer.

	most    int // The greatest number of calls in a second so far.
	arrived int
	refused int
}

func newAPITraffic() *apiTraffic { return &apiTraffic{codes: make(map[int]int)} }

// arrive notes a call and returns when it arrived.
func (t *apiTraffic) arrive() time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	old := 0
	for old < len(t.second) && now.Sub(t.second[old]) > time.Second {
		old++
	}
	t.second = append(t.second[:0], t.second[old:]...)
	t.second = append(t.second, now)
	t.calls++
	t.arrived++
	t.peak = max(t.peak, len(t.second))
	t.most = max(t.most, len(t.second))
	return now
}

func (t *apiTraffic) answer(code int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.codes[code]++
	if code == tooFast {
		t.refused++
	}
}

// since returns the numbers since its last call.
func (t *apiTraffic) since() (calls, peak int, codes map[int]int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	calls, peak, codes = t.calls, t.peak, maps.Clone(t.codes)
	t.calls, t.peak = 0, 0
	clear(t.codes)
	return calls, peak, codes
}

// observe lets api answer, and enters the deletes in the books. It keeps no list of arrivals, which would grow with the
// length of the soak.
func (s *soak) observe(api http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		arrived := s.traffic.arrive()
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		answer := &answerCopy{ResponseWriter: w}
		api.ServeHTTP(answer, r)
		code, ok := answer.code()
		s.traffic.answer(code)
		var event struct {
			From string `json:"From_Account"`
		}
		if ok && json.Unmarshal(body, &event) == nil {
			s.books.delete(event.From, arrived)
		}
	})
}

// answerCopy keeps a copy of an answer.
type answerCopy struct {
	http.ResponseWriter
	status int
	body   []byte
}

// Unwrap is for http.ResponseController, with which the simulator resets connections.
func (a *answerCopy) Unwrap() http.ResponseWriter { return a.ResponseWriter }

func (a *answerCopy) WriteHeader(status int) {
	a.status = status
	a.ResponseWriter.WriteHeader(status)
}

func (a *answerCopy) Write(b []byte) (int, error) {
	a.body = append(a.body, b...)
	return a.ResponseWriter.Write(b)
}

// code returns the answer's code, and whether the answer was a success.
func (a *answerCopy) code() (code int, ok bool) {
	if a.status != http.StatusOK {
		return a.status, false
	}
	var says struct {
		ErrorCode, ResultCode int
	}
	if json.Unmarshal(a.body, &says) != nil {
		return 0, false
	}
	code = says.ErrorCode + says.ResultCode
	return code, code == 0
}
