package consumer

import (
	"cmp"
	"slices"
	"time"

	"convdel/internal/meter"
)

// codeLabel is the label of a code.
func (m *Metrics) codeLabel(code int) string { return cmp.Or(m.codes[code], codeOther) }

// ended counts the end of an event of an age. trace is the trace that it belongs to, empty for none.
func (m *Metrics) ended(o Outcome, age time.Duration, trace string) {
	counter := m.deleted
	if o != OutcomeDeleted {
		counter = m.events.WithLabelValues(string(o))
	}
	meter.Inc(counter, trace)
	meter.Observe(m.eventAge, max(0, age.Seconds()), trace)
}

// called counts a call. trace is the trace that stands for it, empty for none.
func (m *Metrics) called(a Answer, took time.Duration, trace string) {
	counter := m.succeeded
	switch {
	case a.Code != 0:
		counter = m.calls.WithLabelValues(m.codeLabel(a.Code), "")
	case a.Verdict != Deleted:
		reason := a.Reason
		if !slices.Contains(callReasons(), reason) {
			reason = reasonOther
		}
		counter = m.calls.WithLabelValues(codeNone, reason)
	default:
		m.lastSuccess.Set(seconds(time.Now()))
	}
	meter.Inc(counter, trace)
	meter.Observe(m.callDuration, took.Seconds(), trace)
}

// listed counts a list of conversations.
func (m *Metrics) listed(a ListAnswer) {
	code := codeZero
	switch {
	case a.Failed != nil && a.Failed.Code != 0:
		code = m.codeLabel(a.Failed.Code)
	case a.Failed != nil:
		code = codeNone
	case a.Doubt != "":
		code = listDoubt
	}
	m.lists.WithLabelValues(code).Inc()
}

// deadLettered counts a dead letter that the broker has acknowledged.
func (m *Metrics) deadLettered(ev *event, class Outcome) {
	code := codeZero
	if ev.code != 0 {
		code = m.codeLabel(ev.code)
	}
	meter.Inc(m.deadLetters.WithLabelValues(string(class), code), ev.trace)
}

func (m *Metrics) fetchFailed(err error) { m.fetchFailures.WithLabelValues(fetchFault(err)).Inc() }

// seconds is a time as metrics have it; 0 for the zero time.
func seconds(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMilli()) / 1000
}
