package imclient

import (
	"math"
	"net/http"
	"sync/atomic"
	"time"
)

// answer is an answer over HTTP, and what it tells of this machine's clock.
type answer struct {
	*http.Response

	// skew is how far this machine's clock is ahead of the server's; dated says that it is known.
	skew  time.Duration
	dated bool
}

// newAnswer compares the answer's Date header with the middle of the call. The header has whole seconds that have begun, so half a second
// is added to it.
func newAnswer(resp *http.Response, began, ended time.Time) *answer {
	a := &answer{Response: resp}
	if date, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
		middle := began.Add(ended.Sub(began) / 2).Round(0)
		a.skew, a.dated = middle.Sub(date)-time.Second/2, true
	}
	return a
}

// clock keeps the last known difference between this machine's clock and the API's.
type clock struct{ skew atomic.Int64 }

// unknownSkew stands for none.
const unknownSkew = math.MinInt64

func newClock() *clock {
	c := new(clock)
	c.skew.Store(unknownSkew)
	return c
}

// note takes in an answer of the API itself.
func (c *clock) note(a *answer) {
	if a.dated {
		c.skew.Store(int64(a.skew))
	}
}

// ClockSkew returns how far this machine's clock is ahead of the API's (negative: behind), by the Date header of the API's last answer and
// the middle of that call: to half a second, and half of the time that the call took. It returns false before the first such answer.
func (c *Client) ClockSkew() (time.Duration, bool) {
	skew := c.clock.skew.Load()
	if skew == unknownSkew {
		return 0, false
	}
	return time.Duration(skew), true
}

// SignatureExpires returns when the present UserSig expires; the zero time if there is none. It is renewed long before.
func (c *Client) SignatureExpires() time.Time {
	current := c.signer.current.Load()
	if current == nil || current.revoked {
		return time.Time{}
	}
	return current.expires
}
