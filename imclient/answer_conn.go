package imclient

import (
	"bufio"
	"bytes"
	"errors"
	"net"
	"strconv"
	"sync"
)

// errUnasked is why a connection ends on which more has come than the answer to a call.
var errUnasked = errors.New("bytes that no call has asked for")

// answerConn is the topmost connection, above TLS. It hands net/http the answers to calls, and nothing else.
//
// net/http reads ahead, and prints what it finds behind an answer to the standard logger. A server can repeat the signature there. It
// would also take an answer that is there before the next call has been written for that call's answer. So this connection hands out
// no more than net/http needs at the moment: a line of the header, and then the body. What is left when the call has been answered, or
// comes before the next call has been written, ends the connection.
type answerConn struct {
	net.Conn
	in *bufio.Reader // Only the goroutine in which net/http reads uses it, and what follows it here.
	// header says that the header of an answer is being read, line how much of its present line has been handed out.
	header  bool
	line    []byte
	framing framing

	mu sync.Mutex
	// next is the call that has got the connection last. asked is the one whose request is being written, or has been; nil if it has been
	// answered.
	next, asked *callHook
	surplus     bool
}

func newAnswerConn(conn net.Conn) *answerConn {
	return &answerConn{Conn: conn, in: bufio.NewReader(conn), header: true}
}

// NetConn returns the connection below.
func (c *answerConn) NetConn() net.Conn { return c.Conn }

// Write writes a part of a request.
func (c *answerConn) Write(b []byte) (int, error) {
	c.mu.Lock()
	c.asked = c.next
	surplus := c.surplus
	c.mu.Unlock()
	if surplus {
		return 0, errUnasked
	}
	return c.Conn.Write(b)
}

// Read hands out a part of an answer.
func (c *answerConn) Read(b []byte) (int, error) {
	if _, err := c.in.Peek(1); err != nil {
		return 0, err
	}
	c.mu.Lock()
	refused := c.surplus || c.asked == nil
	c.mu.Unlock()
	if refused {
		return 0, errUnasked
	}
	n, err := c.in.Read(b[:min(len(b), c.needed())])
	c.handedOut(b[:n])
	return n, err
}

// needed is how many bytes are certain to belong to the answer.
func (c *answerConn) needed() int {
	buffered, _ := c.in.Peek(c.in.Buffered())
	if !c.header {
		return max(1, c.framing.left)
	}
	if end := bytes.IndexByte(buffered, '\n'); end >= 0 {
		return end + 1
	}
	return max(1, len(buffered))
}

// handedOut notes what net/http has got.
func (c *answerConn) handedOut(b []byte) {
	if !c.header {
		c.framing.left = max(0, c.framing.left-len(b))
		return
	}
	if c.line = append(c.line, b...); !bytes.HasSuffix(b, []byte("\n")) {
		return
	}
	line := bytes.TrimSuffix(bytes.TrimSuffix(c.line, []byte("\n")), []byte("\r"))
	c.framing.header(line)
	c.header = len(line) > 0
	c.line = c.line[:0]
}

// got notes that a call has got the connection.
func (c *answerConn) got(h *callHook) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.next = h
}

// answered notes that a call has been answered. net/http calls it in the goroutine in which it reads, and has not read since.
func (c *answerConn) answered(h *callHook) {
	c.header, c.framing = true, framing{}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.asked == h { // otherwise the next call has been faster
		c.asked = nil
	}
	c.surplus = c.surplus || c.in.Buffered() > 0
}

// framing reads from an answer's header how long the body is. It only saves the time of handing out the body byte by byte, so it
// knows no more than the usual form.
type framing struct {
	ok     bool // the status is 200, and nothing unusual has been seen
	length bool // there was a Content-Length
	left   int  // so many bytes of the body have not been handed out
}

// header takes in a line of the header. The last one is empty.
func (f *framing) header(line []byte) {
	name, value, _ := bytes.Cut(line, []byte(":"))
	switch {
	case bytes.HasPrefix(line, []byte("HTTP/1.1 200 ")):
		f.ok = !f.length
	case bytes.EqualFold(name, []byte("Transfer-Encoding")):
		f.ok = false
	case bytes.EqualFold(name, []byte("Content-Length")):
		n, err := strconv.ParseUint(string(bytes.TrimSpace(value)), 10, 31)
		f.ok = f.ok && err == nil && !f.length
		f.length, f.left = true, int(n)
	}
	if !f.ok {
		f.left = 0
	}
}
