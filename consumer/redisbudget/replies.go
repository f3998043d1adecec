package redisbudget

import (
	"fmt"
	"strconv"
)

// The bounds on one reply. The largest that the client asks for is the answer to HELLO, which names the modules of the
// server: it stays well below them.
const (
	longestReply = 16 << 10 // bytes
	longestLine  = 1 << 10  // bytes of a header, or of an error's text
	longestBulk  = 4 << 10  // bytes of a string
	mostElements = 64       // elements of an array
	deepestArray = 8        // arrays within one another
)

// ReplyError says that an answer is none that a Redis gives to the questions of a [Budget]. Nothing more is read from its
// connection.
type ReplyError struct{ Reason string }

func (e *ReplyError) Error() string { return "redis: " + e.Reason }

// replies follows what a server sends, byte by byte, and finds the first reply that is out of bounds. The client allocates
// what the header of a reply announces, gigabytes if it says so, so a header is judged before the client sees it. The
// replies are those of the protocol's version 2, which has five types.
type replies struct {
	// size is how much of the present reply has come. line is what has come of its present line.
	size int
	line []byte
	// bulk is how many bytes of a string, with its line end, are still to come.
	bulk int
	// open is how many elements each of the open arrays still lacks, the outermost first.
	open []int
}

// take looks at the next bytes. It returns a *[ReplyError] at the first byte that can't be part of an acceptable reply.
func (r *replies) take(b []byte) error {
	for len(b) > 0 {
		n := 1
		if r.bulk > 0 {
			n = min(r.bulk, len(b))
		}
		if r.size += n; r.size > longestReply {
			return &ReplyError{fmt.Sprintf("an answer of more than %d bytes", longestReply)}
		}
		if r.bulk > 0 {
			if r.bulk -= n; r.bulk == 0 {
				r.ended()
			}
		} else if err := r.takeByte(b[0]); err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// takeByte takes a byte of a line.
func (r *replies) takeByte(c byte) error {
	r.line = append(r.line, c)
	switch n := len(r.line); {
	case n > longestLine:
		return &ReplyError{fmt.Sprintf("a line of more than %d bytes", longestLine)}
	case c != '\n':
		return nil
	case n < 3 || r.line[n-2] != '\r':
		return &ReplyError{"a line that is no header"}
	}
	kind, text := r.line[0], string(r.line[1:len(r.line)-2])
	r.line = r.line[:0]
	return r.header(kind, text)
}

// header takes the first line of a reply or of an array's element.
func (r *replies) header(kind byte, text string) error {
	switch kind {
	case '+', '-', ':':
		r.ended()
		return nil
	case '$', '*':
	default:
		return &ReplyError{fmt.Sprintf("an answer of the unexpected type %q", kind)}
	}
	n, err := strconv.Atoi(text)
	most, what := longestBulk, "bytes"
	if kind == '*' {
		most, what = mostElements, "elements"
	}
	switch {
	case err != nil || n < -1:
		return &ReplyError{"an answer whose length is no number"}
	case n > most:
		return &ReplyError{fmt.Sprintf("an answer of %d %s, more than %d", n, what, most)}
	case n == -1 || n == 0 && kind == '*': // null, or empty
		r.ended()
	case kind == '$':
		r.bulk = n + len("\r\n")
	case len(r.open) == deepestArray:
		return &ReplyError{fmt.Sprintf("an answer of arrays within more than %d arrays", deepestArray)}
	default:
		r.open = append(r.open, n)
	}
	return nil
}

// ended closes the arrays of which the element that has just ended was the last one.
func (r *replies) ended() {
	for n := len(r.open); n > 0; n = len(r.open) {
		if r.open[n-1]--; r.open[n-1] > 0 {
			return
		}
		r.open = r.open[:n-1]
	}
	r.size = 0
}
