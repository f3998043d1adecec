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
	api, ledger := s.kindOf(r.URL.Path)
	c := ledger.arrive()
	c.api = api
	defer ledger.depart(&c)
	if !s.enter() {
		abort(w, false)
		return
	}
	defer s.serving.Done()
	q, code := s.checkQuery(r)
	b, bodyCode := readBody(r, api)
	ledger.identify(&c, q, b)
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
	s.answer(w, r, &c, &fault, s.execute(&c, &b, &fault))
}

// kindOf returns the kind of call that a path asks for, and its record. A call with an unknown path counts as a delete.
func (s *Server) kindOf(path string) (API, *ledger) {
	if path == listPath {
		return APIGetList, &s.lists
	}
	return APIDelete, &s.ledger
}

// execute does what a call asks for, unless its fault prevents that, and returns the body of a success.
func (s *Server) execute(c *call, b *body, f *Fault) []byte {
	switch {
	case c.api == APIDelete && f.deletes():
		s.accounts.remove(c.conversation, s.now())
	case c.api == APIGetList && !f.fails():
		text := s.page(b.from, b.list)
		if s.cfg.Listed != nil {
			s.cfg.Listed(b.from)
		}
		return text
	}
	return []byte(success)
}

// answer answers as a fault says. The zero Fault is success, with the body that is given.
func (s *Server) answer(w http.ResponseWriter, r *http.Request, c *call, f *Fault, done []byte) {
	_, ledger := s.kindOf(r.URL.Path)
	deletes := c.api == APIDelete && f.deletes()
	switch {
	case f.Hang:
		ledger.answer(c, 0, 0, deletes, false)
		select {
		case <-r.Context().Done():
		case <-s.done:
		}
		abort(w, false)
		return
	case f.Reset:
		ledger.answer(c, 0, 0, deletes, true)
		abort(w, true)
		return
	}
	status, text, contentType := f.response(done)
	header := w.Header()
	header["Content-Type"] = []string{contentType}
	header["Content-Length"] = []string{strconv.Itoa(len(text))}
	if f.RetryAfter > 0 {
		header.Set("Retry-After", strconv.Itoa(int((f.RetryAfter+time.Second-1)/time.Second)))
	}
	if s.skew.Load() != 0 {
		header.Set("Date", s.now().UTC().Format(http.TimeFormat))
	}
	ledger.answer(c, f.Code, status, deletes, f.Drip == 0)
	w.WriteHeader(status)
	if f.Drip > 0 {
		s.drip(w, r, text, f.Drip)
		return
	}
	// The caller may have gone. That is no error of the simulator.
	_, _ = w.Write(text)
}

// response returns a fault's answer. done is the body of a success.
func (f *Fault) response(done []byte) (status int, text []byte, contentType string) {
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
		return status, done, "application/json"
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
