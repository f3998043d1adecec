package consumer

import (
	"slices"
	"time"

	"convdel/consumer/internal/breaker"
)

// evidenceLocked is what the breaker needs to know of an answer to a call for p.
func (q *queue) evidenceLocked(p *pending, kind breaker.Kind, quiet time.Duration) breaker.Evidence {
	failure := kind.Failure()
	return breaker.Evidence{
		Call: p.call, Kind: kind, Conversation: p.conversation, Standing: &p.standing, Quiet: quiet,
		Replay: onlyReplays(p.calling), Last: kind == breaker.Coded && q.anyLast(p.calling),
		Few: failure && q.fewLocked(), Full: failure && q.lists.len() == 0 && q.full(),
	}
}

// anyLast says whether the next failure that counts is the last attempt of an event.
func (q *queue) anyLast(events []*event) bool {
	return slices.ContainsFunc(events, func(ev *event) bool { return ev.attempts.Counted+1 >= q.maxAttempts })
}

// fewLocked says whether fewer conversations are pending than it takes to tell that all fail, replays aside.
func (q *queue) fewLocked() bool {
	telling := 0
	for _, p := range q.conversations {
		if !onlyReplays(p.queued) || !onlyReplays(p.calling) {
			telling++
		}
		if telling >= breaker.AllFail {
			return false
		}
	}
	return true
}

// onlyReplays says whether all events have been dead letters before.
func onlyReplays(events []*event) bool {
	return !slices.ContainsFunc(events, func(ev *event) bool { return ev.origin == nil })
}
