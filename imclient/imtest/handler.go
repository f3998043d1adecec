package imtest

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"strconv"
	"time"
)

// success is the body of the page's example.
const success = `{"ActionStatus":"OK","ErrorCode":0,"ErrorInfo":"","ErrorDisplay":""}`

// ServeHTTP answers one call.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := s.ledger.arrive()
	defer s.ledger.depart(&c)
	if !s.enter() {
		abort(w, false)
		return
	}
	defer s.serving.Done()
	q, code := s.checkQuery(r)
	b, bodyCode := readBody(r)
	s.ledger.identify(&c, q, b)
	if code == 0 && c.over {
		code = codeTooFast
	}
	if code == 0 {
		code = bodyCode
	}
	fault := Fault{Code: code}
	if code == 0 {
		fault = s.faults.match(&c, c.at.Sub(s.start))
	}
	if !s.pause(r.Context(), c.delay+fault.Delay) {
		abort(w, false)
		return
	}
	s.answer(w, r, &c, &fault)
}

// answer answers as a fault says. The zero Fault is success.
func (s *Server) answer(w http.ResponseWriter, r *http.Request, c *call, f *Fault) {
	switch {
	case f.Hang:
		s.ledger.answer(c, 0, 0, f.deletes(), false)
		select {
		case <-r.Context().Done():
		case <-s.done:
		}
		abort(w, false)
		return
	case f.Reset:
		s.ledger.answer(c, 0, 0, f.deletes(), true)
		abort(w, true)
		return
	}
	status, text, contentType := f.response()
	header := w.Header()
	header["Content-Type"] = []string{contentType}
	header["Content-Length"] = []string{strconv.Itoa(len(text))}
	if s.skew.Load() != 0 {
		header.Set("Date", s.now().UTC().Format(http.TimeFormat))
	}
	s.ledger.answer(c, f.Code, status, f.deletes(), f.Drip == 0)
	w.WriteHeader(status)
	if f.Drip > 0 {
		s.drip(w, r, text, f.Drip)
		return
	}
	// The caller may have gone. That is no error of the simulator.
	_, _ = w.Write(text)
}

// response returns a fault's answer.
func (f *Fault) response() (status int, text []byte, contentType string) {
	status = http.StatusOK
	if f.HTTPStatus != 0 {
		status = f.HTTPStatus
	}
	switch {
	case !bodyAllowed(status):
		return status, nil, "text/html"
	case f.Body != "":
		return status, []byte(f.Body), "text/html"
	case status != http.StatusOK:
		page := "<html><body><h1>" + strconv.Itoa(status) + " " + http.StatusText(status) + "</h1></body></html>\n"
		return status, []byte(page), "text/html"
	case f.Code == 0:
		return status, []byte(success), "application/json"
	}
	return status, f.failure(), "application/json"
}

// bodyAllowed returns false for 204 and 304, for which net/http sends no body.
func bodyAllowed(status int) bool {
	return status != http.StatusNoContent && status != http.StatusNotModified
}

// failure returns the API's JSON for a fault's code.
func (f *Fault) failure() []byte {
	answer := struct {
		ActionStatus string
		ErrorCode    int    `json:",omitempty"`
		ErrorInfo    string `json:",omitempty"`
		ErrorDisplay string
		ResultCode   int    `json:",omitempty"`
		ResultInfo   string `json:",omitempty"`
	}{ActionStatus: "FAIL"}
	info := f.Info
	if info == "" {
		info = infoOf(f.Code)
	}
	if f.ResultOnly {
		answer.ResultCode, answer.ResultInfo = f.Code, info
	} else {
		answer.ErrorCode, answer.ErrorInfo = f.Code, info
	}
	text, err := json.Marshal(answer)
	if err != nil {
		return []byte(`{"ActionStatus":"FAIL","ErrorCode":` + strconv.Itoa(f.Code) + `}`)
	}
	return text
}

// drip writes a body byte by byte, evenly over a time.
func (s *Server) drip(w http.ResponseWriter, r *http.Request, text []byte, over time.Duration) {
	flusher := http.NewResponseController(w)
	each := over / time.Duration(max(1, len(text)))
	for i := range text {
		if !s.pause(r.Context(), each) {
			abort(w, false)
			return
		}
		if _, err := w.Write(text[i : i+1]); err != nil {
			return
		}
		// A recorder, for example, can't flush. Writing goes on then.
		_ = flusher.Flush()
	}
}

// pause waits. It returns false if the caller goes or the server is closed before.
func (s *Server) pause(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
	case <-s.done:
	}
	return false
}

// abort ends a connection without the rest of an answer. With reset it resets a TCP connection. A writer without access to
// its connection, such as a recorder, gets status 502.
func abort(w http.ResponseWriter, reset bool) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	if tcp, ok := conn.(*net.TCPConn); ok && reset {
		// If this fails, the connection ends with an EOF, which is a fault as well.
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}
