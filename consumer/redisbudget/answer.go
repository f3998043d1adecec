package redisbudget

import (
	"fmt"
	"time"
)

// answer is what the script says: Redis's time, the first departure by the same clock, and how many there are.
type answer struct {
	now, first time.Duration
	granted    int
}

// farthest is how far ahead of Redis's clock the script lets the next departure be.
const farthest = horizon + 2*window

// exact is the end of the whole numbers that Lua computes with exactly. Microseconds from 1970 on reach it in the year 2255.
const exact = 1 << 53

// readAnswer checks the reply to a question for n departures. A reply to another question, or one that the script can't give,
// is a *[ReplyError].
func readAnswer(reply any, question int64, n int, distance time.Duration) (answer, error) {
	list, ok := reply.([]any)
	if !ok || len(list) != 4 {
		return answer{}, &ReplyError{"the answer is not the script's own"}
	}
	var numbers [4]int64
	for i, element := range list {
		if numbers[i], ok = element.(int64); !ok {
			return answer{}, &ReplyError{"the answer is not the script's own"}
		}
	}
	now, first, granted := numbers[0], numbers[1], numbers[2]
	if numbers[3] != question {
		return answer{}, &ReplyError{"the answer is to another question"}
	}
	if now <= 0 || now >= exact || first < now || first > now+farthest.Microseconds() {
		return answer{}, &ReplyError{fmt.Sprintf("the answer's times can't be: %d µs now, next departure at %d µs", now, first)}
	}
	if granted < 0 || granted > int64(n) || granted > 0 && micro(first-now)+time.Duration(granted-1)*distance > horizon {
		return answer{}, &ReplyError{fmt.Sprintf("the answer has %d departures, and %d were asked for", granted, n)}
	}
	return answer{now: micro(now), first: micro(first), granted: int(granted)}, nil
}

// handed remembers the departures that Redis gave last, since the next departure only ever moves ahead.
type handed struct {
	// now is when Redis gave its last answer, next the departure behind those that it gave last, both by Redis's clock.
	now, next time.Duration
}

// follow takes an answer, and returns a *[ReplyError] if the key has gone back: the departures that follow have been handed out
// before. A key that is lost is no such case, since Redis hands out nothing for a window then.
func (h *handed) follow(a answer, distance time.Duration) error {
	if a.now <= h.now { // the answer to an earlier question came later
		return nil
	}
	back := a.first < h.next && a.first < a.now+window
	h.now = a.now
	if a.granted > 0 {
		h.next = a.first + time.Duration(a.granted)*distance
	}
	if back {
		return &ReplyError{"the key has gone back: another program writes it, or a replica with old data has taken over"}
	}
	return nil
}

func micro(n int64) time.Duration { return time.Duration(n) * time.Microsecond }
