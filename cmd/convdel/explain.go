package main

import (
	"strings"

	"convdel/imclient"
	"convdel/schema"
)

// explainLetter says in one line each what a dead letter means and what an operator can do about it.
func explainLetter(d *schema.DeadLetter) (meaning, advice string) {
	switch {
	case d.Class != schema.ClassUndecodable:
	case d.Batch != nil:
		return "the batch can't be read: damaged, or written so", "look at it while the topic still has it, then discard; tell its publisher"
	case d.Omitted != nil:
		return "the record is too large to be read", "look at it while the topic still has it, then discard; tell its publisher"
	}
	return explain(d.Class, d.Code)
}

// explain says what a dead letter's class and code mean.
func explain(class schema.Class, code int) (meaning, advice string) {
	switch class {
	case schema.ClassUndecodable:
		return "the record is no valid event; no call was made",
			"the error says what is wrong: mend it (export, edit, publish), then discard; tell its publisher"
	case schema.ClassExpired:
		return "the event was older than max-event-age; it was not executed",
			"discard; or, if it must still happen, raise max-event-age and replay with --max-age 0"
	case schema.ClassRevived:
		return "the conversation has had a message since the event; it was not executed",
			"discard; or, if it must still be deleted, publish a new event, then discard (a replay is checked again)"
	case schema.ClassPermanent:
		return explainPermanent(code)
	case schema.ClassExhausted:
		return explainExhausted(code)
	}
	return "a class that this convdel does not know", "use a newer convdel"
}

// triedAgain is advice for a running service. Nothing tries a dead letter again.
const triedAgain = "it is tried again"

func explainPermanent(code int) (meaning, advice string) {
	if code == 0 {
		return "refused without a call: the request cannot be made", "the error says why; discard, and tell its publisher"
	}
	meaning, advice = imclient.Explain(code)
	advice = strings.TrimPrefix(strings.TrimSuffix(advice, "; "+triedAgain), triedAgain+"; ")
	if !strings.Contains(advice, "replay") {
		advice += "; then discard"
	}
	return meaning, advice
}

func explainExhausted(code int) (meaning, advice string) {
	if code == 0 {
		return "no code: network, timeout, or an answer that was not the API's", "the error says which; replay when it is over"
	}
	meaning, advice = imclient.Explain(code)
	advice, was := strings.CutSuffix(advice, triedAgain)
	if was {
		return meaning, advice + "replay when it is over"
	}
	if rest, was := strings.CutPrefix(advice, triedAgain); was {
		return meaning, "replay when it is over" + rest
	}
	if !strings.Contains(advice, "replay") {
		advice += "; then replay"
	}
	return meaning, advice
}
