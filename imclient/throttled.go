package imclient

import (
	"net/http"
	"strings"
	"time"
)

// maxRetryAfter bounds the wait that a server asks for. A wrong header costs a minute at most, the time that the API itself asks
// for after [CodeSignatureLocked].
const maxRetryAfter = time.Minute

// throttled returns true if an answer with a status other than 200 only says that there are too many calls at the moment. Such
// answers come from what stands before the API. A 503 is one if it says when to come back, however wrong that time is.
func throttled(resp *http.Response) bool {
	switch resp.StatusCode {
	case http.StatusTooManyRequests:
		return true
	case http.StatusServiceUnavailable:
		return len(resp.Header.Values("Retry-After")) > 0
	}
	return false
}

// retryAfter returns the wait that an answer asks for: 0 to maxRetryAfter, the longest of several. It is 0 if there is no such header,
// or none that makes sense. A date is compared with the answer's own Date, if there is one, since this machine's clock may be wrong.
func retryAfter(header http.Header, now time.Time) time.Duration {
	if date, err := http.ParseTime(header.Get("Date")); err == nil {
		now = date
	}
	var longest time.Duration
	for _, text := range header.Values("Retry-After") {
		longest = max(longest, waitOf(strings.TrimSpace(text), now))
	}
	return min(longest, maxRetryAfter)
}

// waitOf reads one Retry-After: seconds, or a date. The result may be negative.
func waitOf(text string, now time.Time) time.Duration {
	if date, err := http.ParseTime(text); err == nil {
		return date.Sub(now)
	}
	if text == "" || strings.Trim(text, "0123456789") != "" {
		return 0
	}
	seconds := 0
	for _, digit := range text {
		seconds = min(10*seconds+int(digit-'0'), int(maxRetryAfter/time.Second)) // no number of digits overflows
	}
	return time.Duration(seconds) * time.Second
}
