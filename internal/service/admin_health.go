package service

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"convdel/consumer"
)

// liveness is the body of /livez.
type liveness struct {
	// Live is false while a loop of the service's own stands still: a restart is the remedy.
	Live   bool   `json:"live"`
	Reason string `json:"reason,omitempty"`
}

func livenessOf(stuck []consumer.StuckLoop) liveness {
	var loops []string
	for _, l := range stuck {
		loops = append(loops, fmt.Sprintf("%s since %s", l.Name, l.Since.UTC().Format(time.RFC3339)))
	}
	if loops == nil {
		return liveness{Live: true}
	}
	return liveness{Reason: "loops that stand still: " + strings.Join(loops, ", ")}
}

func answerLive(w http.ResponseWriter, stuck []consumer.StuckLoop) {
	body := livenessOf(stuck)
	writeJSON(w, body.Live, body)
}

// readiness is the body of /readyz.
type readiness struct {
	// Ready is true while the replica is a working member of its consumer group and does not stand still. A pause counts only if the
	// request asks for that.
	Ready bool `json:"ready"`
	// Reason says why it is not ready.
	Reason     string `json:"reason,omitempty"`
	Generation int    `json:"generation"`
	Partitions int    `json:"partitions"`
	// Since is when the replica became a member, or ceased to be one.
	Since time.Time `json:"since,omitzero"`
	// Paused says why no calls are made.
	Paused *pausedBody `json:"paused,omitempty"`
	// Absent says why the replica is not a working member of the group.
	Absent string `json:"absent,omitempty"`
	// Stalled is set if nothing moves outside of a pause. It says why.
	Stalled *stalledBody `json:"stalled,omitempty"`
	// QuotaFallback is true while the Redis that shares the quota fails, and calls go on by this replica's share.
	QuotaFallback bool `json:"quota_fallback,omitempty"`
}

// stalledBody is a standstill in /readyz.
type stalledBody struct {
	Since time.Time `json:"since"`
	Why   string    `json:"why"`
}

// pausedBody is a pause in /readyz.
type pausedBody struct {
	Reason    string    `json:"reason"`
	Since     time.Time `json:"since"`
	LastError string    `json:"last_error,omitempty"`
	// NextProbe is absent while a probe is under way.
	NextProbe time.Time `json:"next_probe,omitzero"`
}

// readinessOf judges a status. With pauseFails a pause counts.
func readinessOf(s consumer.Status, pauseFails bool) readiness {
	r := readiness{Generation: s.Generation, Partitions: s.Partitions, Since: s.Since.UTC(), Absent: s.Absent, QuotaFallback: s.QuotaFallback}
	if p := s.Paused; p != nil {
		r.Paused = &pausedBody{Reason: string(p.Reason), Since: p.Since.UTC(), LastError: p.LastError, NextProbe: p.NextProbe.UTC()}
	}
	if st := s.Stalled; st != nil {
		r.Stalled = &stalledBody{Since: st.Since.UTC(), Why: st.Why}
	}
	switch {
	case !s.Live:
		r.Reason = "no working member of the group: " + cmp.Or(s.Absent, notJoined(s.Generation))
	case s.Stalled != nil:
		r.Reason = s.Stalled.Why
	case s.Paused != nil && pauseFails:
		r.Reason = "calls are paused: " + strings.TrimSuffix(string(s.Paused.Reason)+": "+s.Paused.LastError, ": ")
	}
	r.Ready = r.Reason == ""
	return r
}

// notJoined is why a replica is no member although nothing hinders it. generation is its last one, 0 for none.
func notJoined(generation int) string {
	if generation == 0 {
		return "it has not joined yet"
	}
	return "it has not joined again yet"
}

// answerReady answers whether the replica is ready. A parameter that it does not know is an error: a misspelt one would be a check
// that never fails.
func answerReady(w http.ResponseWriter, r *http.Request, status func() consumer.Status) {
	pauseFails, err := pausedFails(r.URL.RawQuery)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	body := readinessOf(status(), pauseFails)
	writeJSON(w, body.Ready, body)
}

// pausedFails reads the parameters of /readyz.
func pausedFails(query string) (bool, error) {
	values, err := url.ParseQuery(query)
	if err != nil {
		return false, err
	}
	fails := false
	for name, texts := range values {
		if name != "paused" || len(texts) != 1 || texts[0] != "fail" {
			return false, fmt.Errorf("parameter %.100q: the only one is paused=fail, which makes a pause count as not ready", name)
		}
		fails = true
	}
	return fails, nil
}

// writeJSON answers with 200 if all is well, otherwise with 503.
func writeJSON(w http.ResponseWriter, well bool, body any) {
	code := http.StatusOK
	if !well {
		code = http.StatusServiceUnavailable
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(body) // the client may have gone, and nobody else wants the error
}
