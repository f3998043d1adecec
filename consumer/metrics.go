package consumer

import (
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Outcome is how an event ended, and the label of convdel_events_total.
type Outcome string

// The outcomes. All but OutcomeDeleted are dead letters; their text is the letter's class.
const (
	OutcomeDeleted     Outcome = "deleted"
	OutcomePermanent   Outcome = "permanent"
	OutcomeExhausted   Outcome = "exhausted"
	OutcomeUndecodable Outcome = "undecodable"
	OutcomeExpired     Outcome = "expired"
	OutcomeRevived     Outcome = "revived"
)

// Metrics counts what a [Consumer] does, for Prometheus.
type Metrics struct {
	// deleted is the child of events for deleted events, succeeded the child of calls for code 0. Both are looked up once: a
	// lookup costs more than the count itself.
	deleted, succeeded prometheus.Counter

	events, calls     *prometheus.CounterVec
	callDuration      prometheus.Histogram
	callWaiters       prometheus.Gauge
	coalesced         prometheus.Counter
	inFlight          prometheus.Gauge
	retries           prometheus.Counter
	eventAge          prometheus.Histogram
	lag               *prometheus.GaugeVec
	deadLetters       *prometheus.CounterVec
	deadLetterRetries prometheus.Counter
	outcomes          *prometheus.CounterVec
	outcomesWaiting   prometheus.Gauge
	outcomeRetries    prometheus.Counter
	limiter           atomic.Pointer[limiter]
	commits           prometheus.Counter
	generations       prometheus.Counter
	offsetResets      prometheus.Counter
	paused            *prometheus.GaugeVec
	fetchFailures     *prometheus.CounterVec
	lists             *prometheus.CounterVec
	listWaiters       prometheus.Gauge
}

// NewMetrics makes the metrics and registers them. Names and labels are the documented ones, prefix
// convdel_. It panics, as the Prometheus library does, if reg has them already.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Namespace: "convdel", Name: name, Help: help})
		reg.MustRegister(c)
		return c
	}
	counterVec := func(name, help, label string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "convdel", Name: name, Help: help}, []string{label})
		reg.MustRegister(c)
		return c
	}
	gauge := func(name, help string) prometheus.Gauge {
		g := prometheus.NewGauge(prometheus.GaugeOpts{Namespace: "convdel", Name: name, Help: help})
		reg.MustRegister(g)
		return g
	}
	histogram := func(name, help string, buckets []float64) prometheus.Histogram {
		h := prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: "convdel", Name: name, Help: help, Buckets: buckets})
		reg.MustRegister(h)
		return h
	}
	m := &Metrics{
		events: counterVec("events_total", "Events that have ended, by outcome.", "outcome"),
		calls:  counterVec("calls_total", "Calls to the API, by the answer's code: 0 success, none for no answer.", "code"),
		callDuration: histogram("call_duration_seconds", "Duration of one call.",
			[]float64{.005, .01, .02, .04, .06, .08, .1, .15, .2, .3, .5, 1, 2, 5}),
		callWaiters: gauge("call_waiters", "Conversations ready to be called, waiting for the quota or a free connection."),
		coalesced:   counter("coalesced_total", "Events that another event's call for the same conversation answered."),
		inFlight:    gauge("in_flight", "Events in memory, waiting or calling."),
		retries:     counter("retries_total", "Calls that repeat an earlier one for the same events."),
		eventAge: histogram("event_age_seconds", "From the event's time to its end.",
			[]float64{.01, .02, .05, .1, .2, .5, 1, 2, 5, 10, 30, 60, 300, 1800, 7200, 86400}),
		deadLetters:       counterVec("dead_letters_total", "Dead letters that the broker has acknowledged, by class.", "class"),
		deadLetterRetries: counter("dead_letter_retries_total", "Dead-letter writes that failed and are repeated."),
		outcomes:          counterVec("outcomes_total", "Outcomes that the broker has acknowledged, by outcome.", "outcome"),
		outcomesWaiting:   gauge("outcomes_waiting", "Events that have not ended only because the broker has not acknowledged their outcome."),
		outcomeRetries:    counter("outcome_retries_total", "Outcome writes that failed and are repeated."),
		fetchFailures:     counterVec("fetch_failures_total", "Fetches that failed, or brought a batch that can't be read, by reason.", "reason"),
		lists:             counterVec("lists_total", "Accounts' lists of conversations that were read, by the code of the answer: 0 success, doubt if the list may lack conversations, none for no answer.", "code"),
		listWaiters:       gauge("list_waiters", "Events that wait for their account's list of conversations."),
		commits:           counter("commits_total", "Offset commits that the broker has accepted."),
		generations:       counter("generations_total", "Group generations that this replica has worked in."),
		offsetResets:      counter("offset_resets_total", "Partitions whose committed offset was outside the log, or of a topic that is no more."),
	}
	m.paused = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Namespace: "convdel", Name: "paused", Help: "1 while no calls are made, by reason; lists: while events wait that need their account's list.",
	}, []string{"reason"})
	m.beginAtZero()
	m.lag = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Namespace: "convdel", Name: "lag", Help: "Offsets between the committed one and the end of the log, by owned partition.",
	}, []string{"partition"})
	quota := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Namespace: "convdel", Name: "quota_calls_per_second",
		Help: "This replica's share of the quota now, less what throttled answers have taken; 0 without partitions.",
	}, m.pace)
	fallback := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Namespace: "convdel", Name: "quota_fallback",
		Help: "1 while the shared budget fails, or has just come back, and this replica keeps to its share; else 0.",
	}, m.fallback)
	reg.MustRegister(m.lag, m.paused, quota, fallback)
	return m
}

// beginAtZero makes the labels that are known: the first one of a kind would be no increase otherwise.
func (m *Metrics) beginAtZero() {
	for _, reason := range []PauseReason{PauseHalt, PauseOutage, PauseDenied, PauseLists} {
		m.pausedFor(reason, false)
	}
	m.deleted, m.succeeded = m.events.WithLabelValues(string(OutcomeDeleted)), m.calls.WithLabelValues("0")
	m.outcomes.WithLabelValues(string(OutcomeDeleted))
	for _, o := range []Outcome{OutcomePermanent, OutcomeExhausted, OutcomeUndecodable, OutcomeExpired, OutcomeRevived} {
		m.deadLetters.WithLabelValues(string(o))
		m.outcomes.WithLabelValues(string(o))
	}
	for _, code := range []string{"0", "doubt", "none"} {
		m.lists.WithLabelValues(code)
	}
	for _, reason := range fetchFaults() {
		m.fetchFailures.WithLabelValues(reason)
	}
}

func (m *Metrics) pace() float64 {
	if l := m.limiter.Load(); l != nil {
		return l.pace()
	}
	return 0
}

func (m *Metrics) fallback() float64 {
	if l := m.limiter.Load(); l != nil && l.fallsBack() {
		return 1
	}
	return 0
}

func (m *Metrics) ended(o Outcome, age time.Duration) {
	if o == OutcomeDeleted {
		m.deleted.Inc()
	} else {
		m.events.WithLabelValues(string(o)).Inc()
	}
	m.eventAge.Observe(max(0, age.Seconds()))
}

func (m *Metrics) called(a Answer, took time.Duration) {
	switch {
	case a.Code != 0:
		m.calls.WithLabelValues(strconv.Itoa(a.Code)).Inc()
	case a.Verdict == Deleted:
		m.succeeded.Inc()
	default:
		m.calls.WithLabelValues("none").Inc()
	}
	m.callDuration.Observe(took.Seconds())
}

// listed counts a list of conversations.
func (m *Metrics) listed(a ListAnswer) {
	code := "0"
	switch {
	case a.Failed != nil && a.Failed.Code != 0:
		code = strconv.Itoa(a.Failed.Code)
	case a.Failed != nil:
		code = "none"
	case a.Doubt != "":
		code = "doubt"
	}
	m.lists.WithLabelValues(code).Inc()
}

func (m *Metrics) pausedFor(reason PauseReason, yes bool) {
	value := 0.0
	if yes {
		value = 1
	}
	m.paused.WithLabelValues(string(reason)).Set(value)
}

func (m *Metrics) fetchFailed(err error) { m.fetchFailures.WithLabelValues(fetchFault(err)).Inc() }

func (m *Metrics) setLag(partition int, lag int64) {
	m.lag.WithLabelValues(strconv.Itoa(partition)).Set(float64(lag))
}

func (m *Metrics) dropLag(partition int) { m.lag.DeleteLabelValues(strconv.Itoa(partition)) }
