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
// no more than net/http needs at the moment: a line of the header, and then the body or a chunk of it. What is left when the call has been answered, or
// comes before the next call has been written, ends the connection.
type answerConn struct {
	net.Conn
	in *bufio.Reader // Only the goroutine in which net/http reads uses it, and what follows it here.
	// framing is how far the answer has been handed out, line that part of its present line.
	line    []byte
	framing framing

	mu sync.Mutex
	// next is the call that has got the connection last. asked is the one whose request is being written, or has been; nil if it has been
	// answered.
	next, asked *callHook
	surplus     bool
}

func newAnswerConn(conn net.Conn) *answerConn {
	return &answerConn{Conn: conn, in: bufio.NewReader(conn)}
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
	if c.framing.part == inBody {
		return max(1, c.framing.left)
	}
	if end := bytes.IndexByte(buffered, '\n'); end >= 0 {
		return end + 1
	}
	return max(1, len(buffered))
}

// handedOut notes what net/http has got.
func (c *answerConn) handedOut(b []byte) {
	if c.framing.part == inBody {
		c.framing.body(len(b))
		return
	}
	if c.line = append(c.line, b...); !bytes.HasSuffix(b, []byte("\n")) {
		return
	}
	line := bytes.TrimSuffix(bytes.TrimSuffix(c.line, []byte("\n")), []byte("\r"))
	c.framing.take(line)
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
	c.framing = framing{}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.asked == h { // otherwise the next call has been faster
		c.asked = nil
	}
	c.surplus = c.surplus || c.in.Buffered() > 0
}

// part is a part of an answer.
type part int

const (
	inHeader  part = iota
	inBody         // the body, or a chunk of it with the line end behind it
	inSize         // the line before a chunk
	inTrailer      // the lines behind the last chunk
)

// framing reads from an answer where its body ends. It only saves the time of handing out the body byte by byte, so it knows no more
// than the usual forms.
type framing struct {
	part    part
	ok      bool // the status is 200, and nothing unusual has been seen
	length  bool // there was a Content-Length
	chunked bool // there was a Transfer-Encoding of chunks
	left    int  // so many bytes of the body or of the chunk have not been handed out
}

// take takes in a line. Where it is unusual, what follows is handed out byte by byte.
func (f *framing) take(line []byte) {
	switch {
	case f.part == inHeader && len(line) > 0:
		f.header(line)
	case f.part == inHeader && f.ok && f.chunked:
		f.part = inSize
	case f.part == inHeader:
		f.part = inBody
	case f.part == inSize:
		size, _, _ := bytes.Cut(line, []byte(";"))
		n, err := strconv.ParseUint(string(bytes.TrimSpace(size)), 16, 30)
		switch {
		case err != nil:
			f.part, f.chunked = inBody, false
		case n == 0:
			f.part = inTrailer
		default:
			f.part, f.left = inBody, int(n)+len("\r\n")
		}
	}
}

// body notes that n bytes of the body have been handed out.
func (f *framing) body(n int) {
	if f.left = max(0, f.left-n); f.left == 0 && f.ok && f.chunked {
		f.part = inSize
	}
}

// header takes in a line of the header.
func (f *framing) header(line []byte) {
	name, value, _ := bytes.Cut(line, []byte(":"))
	switch {
	case bytes.HasPrefix(line, []byte("HTTP/1.1 200 ")):
		f.ok = !f.length && !f.chunked
	case bytes.EqualFold(name, []byte("Transfer-Encoding")):
		f.ok = f.ok && !f.length && !f.chunked && bytes.EqualFold(bytes.TrimSpace(value), []byte("chunked"))
		f.chunked = true
	case bytes.EqualFold(name, []byte("Content-Length")):
		n, err := strconv.ParseUint(string(bytes.TrimSpace(value)), 10, 31)
		f.ok = f.ok && err == nil && !f.length && !f.chunked
		f.length, f.left = true, int(n)
	}
	if !f.ok {
		f.left = 0
	}
}
