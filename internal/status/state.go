package status

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"convdel/consumer"
)

// State is a word for what a replica is doing.
type State string

// The states.
const (
	// Working: it is a member of its group, and calls are made where there is something to do.
	Working State = "working"
	// Pausing: it makes no calls, since the fault is not the events' own.
	Pausing State = "paused"
	// Stalled: nothing moves outside of a pause.
	Stalled State = "stalled"
	// NoKafka: no broker can be reached, or the group's coordinator does not answer.
	NoKafka State = "no_kafka"
	// Absent: something keeps it from being a working member of its group: brokers that refuse it, a coordinator that is away.
	Absent State = "absent"
	// Joining: it is no member of its group yet, or no longer.
	Joining State = "joining"
	// Draining: it ends what it has begun, and takes nothing new.
	Draining State = "draining"
)

// Well says whether the state is one in which nothing is to be done.
func (s State) Well() bool { return s == Working || s == Joining || s == Draining }

// stateOf returns the state and since when it lasts.
func stateOf(s consumer.Snapshot) (State, time.Time) {
	switch st := s.Status; {
	case st.Stopping:
		return Draining, st.Since.UTC()
	case st.Unreached != "":
		return NoKafka, st.Since.UTC()
	case st.Draining:
		return Draining, st.Since.UTC()
	case !st.Live && st.Absent != "":
		return Absent, st.Since.UTC()
	case !st.Live:
		return Joining, st.Since.UTC()
	case isPaused(s):
		return Pausing, st.Paused.Since.UTC()
	case st.Stalled != nil:
		return Stalled, st.Stalled.Since.UTC()
	default:
		return Working, st.Since.UTC()
	}
}

// isPaused says whether no calls are made. While lists pause, they are.
func isPaused(s consumer.Snapshot) bool {
	return s.Status.Paused != nil && s.Status.Paused.Reason != consumer.PauseLists
}

// sentenceOf says in words what the replica of a report is doing.
func sentenceOf(s consumer.Snapshot, r *Report) string {
	since := func(t time.Time) string {
		if t.IsZero() {
			return ""
		}
		return fmt.Sprintf(" since %s (%s)", t.Format(time.RFC3339), Roughly(r.At.Sub(t)))
	}
	switch r.State {
	case Draining:
		why := "it opens its partitions anew, or joins its group again, after that"
		if s.Status.Stopping {
			why = "it was told to stop"
		}
		return fmt.Sprintf("Draining%s: %s. %s under way, nothing new begins.", since(r.Since), why, Count(int64(s.Unfinished.Calling), "call is", "calls are"))
	case NoKafka:
		return sentence("No Kafka" + since(r.Since) + ": " + s.Status.Unreached)
	case Absent:
		return sentence("No working member of its group" + since(r.Since) + ": " + s.Status.Absent)
	case Joining:
		again := ""
		if s.Status.Generation > 0 {
			again = " again"
		}
		return fmt.Sprintf("Joining its group%s%s.", again, since(r.Since))
	case Pausing:
		return "Paused" + since(r.Since) + ": " + pauseText(r.Paused, r.At)
	case Stalled:
		return sentence("Stands still" + since(r.Since) + ": " + s.Status.Stalled.Why)
	case Working:
	}
	return workText(s, r)
}

// pauseText says why there is a pause, and when it is looked after again.
func pauseText(p *Paused, now time.Time) string {
	why, known := map[string]string{
		string(consumer.PauseHalt):   "the API refuses the service's own credential, plan or configuration",
		string(consumer.PauseOutage): "most calls fail, or all do, so the fault is not the events' own",
		string(consumer.PauseDenied): "one call after the other lacks the administrator's permission",
		string(consumer.PauseLists):  "accounts' lists of conversations can't be read",
	}[p.Reason]
	if !known {
		why = p.Reason
	}
	if p.LastError != "" {
		why += " (" + p.LastError + ")"
	}
	switch left := p.NextProbe.Sub(now); {
	case p.NextProbe.IsZero():
		return why + ". A probe is under way."
	case left < time.Second:
		return why + ". The next probe is due now."
	default:
		return why + ". The next probe is due in " + Roughly(left) + "."
	}
}

// workText says what a replica does that works.
func workText(s consumer.Snapshot, r *Report) string {
	var text strings.Builder
	switch left := r.Unfinished.Total; {
	case s.Status.Partitions == 0:
		text.WriteString("Works, and owns no partition: there are as many other replicas as partitions.")
	case left == 0:
		text.WriteString("Works: nothing is left to do.")
	default:
		fmt.Fprintf(&text, "Works: %s unfinished", Count(left, "event is", "events are"))
		if r.Rates.Known {
			fmt.Fprintf(&text, ", %s end a second", Number(r.Rates.Ended))
		}
		fmt.Fprintf(&text, ". Time to empty: %s.", r.Empty.Text)
	}
	if p := r.Paused; p != nil {
		text.WriteString(" Events that need their account's list wait since " + p.Since.Format(time.RFC3339) + ": " + pauseText(p, r.At))
	}
	if t := s.Status.Throttled; t != nil {
		text.WriteString(" The API, or what stands before it, says that calls are too fast: " + throttleText(t, r) + ".")
	}
	if s.Status.QuotaFallback {
		text.WriteString(" The shared budget fails, so it keeps to its share of the quota.")
	}
	return text.String()
}

// throttleText says what is done about throttled answers.
func throttleText(t *consumer.Throttle, r *Report) string {
	if t.Until.After(r.At) {
		return "it wants none until " + t.Until.UTC().Format(time.RFC3339) + " (" + Roughly(t.Until.Sub(r.At)) + ")"
	}
	return Number(r.Quota.Share) + " a second are made at most, for now"
}

// sentence ends a text with a full stop.
func sentence(text string) string { return strings.TrimRight(text, ". ") + "." }

// Rates are numbers a second, from the last minute, or as much of it as there is in the present generation.
type Rates struct {
	// Ended are events that have ended, Arriving those that were published, as far as the ends of partitions tell.
	Ended    float64 `json:"ended"`
	Arriving float64 `json:"arriving"`
	// Calls and Failed are calls of the last ten seconds, and those of them that did not delete.
	Calls  float64 `json:"calls"`
	Failed float64 `json:"failed"`
	// Known is false where there has not been time to measure.
	Known bool `json:"known"`
}

// Empty says when nothing will be left to do, as far as that can be told.
type Empty struct {
	Known   bool    `json:"known"`
	Seconds float64 `json:"seconds"`
	// Text says it in words, and why it is not known.
	Text string `json:"text"`
}

// TimeToEmpty tells how long so many events last at such rates.
func TimeToEmpty(left int64, r Rates, paused bool) Empty {
	unknown := func(why string) Empty { return Empty{Text: "unknown, " + why} }
	net := r.Ended - r.Arriving
	switch {
	case left == 0:
		return Empty{Known: true, Text: "nothing is left"}
	case paused:
		return unknown("calls are paused")
	case !r.Known:
		return unknown("it has not been measured yet")
	case r.Ended <= 0:
		return unknown("nothing has ended in the last minute")
	case float64(left) <= keepsUp*r.Ended:
		return Empty{Known: true, Seconds: float64(left) / r.Ended, Text: "moments, it keeps up with what is published"}
	case -net > steady*r.Ended:
		return unknown("since more is published than ends, by " + Number(-net) + " a second")
	case net <= steady*r.Ended:
		return unknown("since as much is published as ends")
	}
	seconds := float64(left) / net
	return Empty{Known: true, Seconds: seconds, Text: "about " + Roughly(time.Duration(cmp.Or(min(seconds, longest), 1)*float64(time.Second)))}
}

// notOwned is the time to empty where nothing is known of what is left.
func notOwned() Empty { return Empty{Text: "unknown, since no partition is owned now"} }

const (
	// keepsUp is for how many seconds' work a backlog is none.
	keepsUp = 3
	// steady is the part of the rate below which a difference says nothing.
	steady = 0.01
	// longest bounds a time to empty, in seconds: ten years.
	longest = 10 * 365 * 86400
)
