package imtest

import (
	"strconv"
	"strings"
	"time"
)

// flakyCode is the answer to calls for a flaky account before they succeed. It is an internal error of the API, which its
// page says to retry.
const flakyCode = 50004

// garbage is a body that is not JSON. A naive scanner does not notice that it is cut short.
const garbage = `{"ActionStatus":"OK","ErrorCode":`

// namedFault returns the fault that an account's name asks for, see the package's documentation; the zero Fault if there is
// none. failures, if not 0, is how often the fault applies to a conversation.
func namedFault(account string) (f Fault, failures int) {
	name, rest, _ := strings.Cut(account, "-")
	switch name {
	case "hang":
		return Fault{Hang: true}, 0
	case "reset":
		return Fault{Reset: true}, 0
	case "garbage":
		return Fault{Body: garbage}, 0
	}
	argument, _, _ := strings.Cut(rest, "-")
	n, err := strconv.ParseUint(argument, 10, 31)
	if err != nil || n == 0 {
		return Fault{}, 0
	}
	switch number := int(n); name {
	case "code":
		return Fault{Code: number}, 0
	case "result":
		return Fault{Code: number, ResultOnly: true}, 0
	case "http":
		// net/http accepts no other status, and 1xx is not an answer.
		if number >= 200 && number <= 999 {
			return Fault{HTTPStatus: number}, 0
		}
	case "flaky":
		return Fault{Code: flakyCode}, number
	case "slow":
		return Fault{Delay: time.Duration(number) * time.Millisecond}, 0
	case "drip":
		return Fault{Drip: time.Duration(number) * time.Millisecond}, 0
	}
	return Fault{}, 0
}
