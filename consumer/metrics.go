package consumer

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"convdel/internal/meter"
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

// Code is an error code that the API is known to answer with.
type Code struct {
	Number int
	// Verdict is what it means for the events of a call.
	Verdict Verdict
}

// Metrics counts what a [Consumer] does, for Prometheus. No label has a value that is not known beforehand, but for the partitions that
// the consumer owns.
type Metrics struct {
	set *meter.Set
	// codes are the labels of the known codes.
	codes map[int]string
	// state has the metrics that are computed when they are read.
	state *stateCollector
	// pauses are told by the breakers.
	pauses *pauses

	// deleted is the child of events for deleted events, succeeded the child of calls for code 0. Both are looked up once: a
	// lookup costs more than the count itself.
	deleted, succeeded prometheus.Counter

	events, calls             *prometheus.CounterVec
	callDuration, eventAge    prometheus.Histogram
	coalesced, retries        prometheus.Counter
	callWaiters, listWaiters  prometheus.Gauge
	lastSuccess               prometheus.Gauge
	deadLetters, outcomes     *prometheus.CounterVec
	deadLetterRetries         prometheus.Counter
	outcomeRetries            prometheus.Counter
	outcomesWaiting           prometheus.Gauge
	lists, fetchFailures      *prometheus.CounterVec
	commits, commitFailures   prometheus.Counter
	generations, offsetResets prometheus.Counter
}

// NewMetrics makes the metrics and registers them. Names and labels are the documented ones (docs/metrics.md), prefix convdel_. The codes
// are those that have a label of their own; all others count as "other". It panics, as the Prometheus library does, if reg has the metrics
// already.
func NewMetrics(reg prometheus.Registerer, codes ...Code) *Metrics {
	m := &Metrics{set: meter.New(reg), codes: make(map[int]string, len(codes)), pauses: newPauses()}
	for _, c := range codes {
		m.codes[c.Number] = strconv.Itoa(c.Number)
	}
	m.registerEvents(codes)
	m.registerCalls(codes)
	m.registerKafka()
	m.state = newStateCollector(m.set, m.pauses)
	reg.MustRegister(m.state)
	return m
}

// Described returns what documents say of the metrics.
func (m *Metrics) Described() []meter.Metric { return m.set.Metrics() }

// outcomes are all of them.
func outcomeNames() []string {
	return []string{
		string(OutcomeDeleted), string(OutcomePermanent), string(OutcomeExhausted), string(OutcomeUndecodable), string(OutcomeExpired),
		string(OutcomeRevived),
	}
}

// The labels of codes that are none.
const (
	// codeNone is the label of a call or a list that the API has not answered with a code.
	codeNone = "none"
	// codeOther is the label of all codes that are not known.
	codeOther = "other"
	// codeZero is that of success, and of a dead letter for which the last call had no code.
	codeZero = "0"
	// listDoubt is the label of a list that may lack conversations.
	listDoubt = "doubt"
)

const codesText = "the API's [codes](#codes), `other` for any other one"

func codeLabels(codes []Code) (labels []string) {
	for _, c := range codes {
		labels = append(labels, strconv.Itoa(c.Number))
	}
	return append(labels, codeOther)
}

func (m *Metrics) registerEvents(codes []Code) {
	outcomes := outcomeNames()
	m.events = m.set.CounterVec("events_total",
		"Events that have ended, by outcome. All but deleted are dead letters: convdel deadletters list shows them.",
		meter.Label{Name: "outcome", Values: outcomes})
	m.deleted = m.events.WithLabelValues(string(OutcomeDeleted))
	m.eventAge = m.set.Histogram("event_age_seconds",
		"From the event's time to its end. If it rises, compare convdel_unfinished with the quota: more calls a second, or fewer events, help.",
		[]float64{.01, .02, .05, .1, .2, .5, 1, 2, 5, 10, 30, 60, 300, 1800, 7200, 86400})
	m.coalesced = m.set.Counter("coalesced_total",
		"Events that another event's call for the same conversation answered. If there are many, publishers repeat themselves; nothing to do here.")
	m.retries = m.set.Counter("retries_total",
		"Calls that repeat an earlier one for the same events. If it rises faster than events end, convdel_calls_total says why, by code and reason.")
	m.deadLetters = m.set.CounterVec("dead_letters_total",
		"Dead letters that the broker has acknowledged, by class and the API's code, 0 if there was none. Read docs/dead-letters.md, then convdel deadletters list.",
		meter.Label{Name: "class", Values: outcomes[1:]}, meter.Label{Name: "code", Text: "`0`, " + codesText})
	m.deadLettersFromZero(codes)
	m.deadLetterRetries = m.set.Counter("dead_letter_retries_total",
		"Dead-letter writes that failed and are repeated. If it keeps rising, events can't end: see that the dead-letter topic exists, takes writes and is large enough.")
	m.outcomes = m.set.CounterVec("outcomes_total",
		"Outcomes that the broker has acknowledged, by outcome; 0 without outcome-topic. It follows convdel_events_total.",
		meter.Label{Name: "outcome", Values: outcomes})
	m.outcomesWaiting = m.set.Gauge("outcomes_waiting",
		"Events that have not ended only because the broker has not acknowledged their outcome. If it stays high, see that the outcome topic takes writes.")
	m.outcomeRetries = m.set.Counter("outcome_retries_total",
		"Outcome writes that failed and are repeated. If it keeps rising, events can't end: see that the outcome topic exists and takes writes.")
}

// deadLettersFromZero makes the series that are to be expected: the first dead letter of a kind would be no increase otherwise.
func (m *Metrics) deadLettersFromZero(codes []Code) {
	for _, class := range outcomeNames()[1:] {
		m.deadLetters.WithLabelValues(class, codeZero)
	}
	for _, class := range []Outcome{OutcomePermanent, OutcomeExhausted, OutcomeExpired} {
		m.deadLetters.WithLabelValues(string(class), codeOther)
		for _, c := range codes {
			if (c.Verdict == Permanent) == (class == OutcomePermanent) && (c.Verdict == Permanent || c.Verdict == Transient) {
				m.deadLetters.WithLabelValues(string(class), m.codes[c.Number])
			}
		}
	}
}

// callReasons are the labels of calls that the API itself has not answered with a code.
func callReasons() []string {
	return []string{
		"timeout", "refused", "reset", "unreachable", "dns", "tls", "http_4xx", "http_5xx", "http_other", "not_json", "no_code", "key", "request",
		"stopped", reasonOther,
	}
}

const reasonOther = "other"

func (m *Metrics) registerCalls(codes []Code) {
	labels := codeLabels(codes)
	m.calls = m.set.CounterVec("calls_total",
		"Calls to the API, by the answer's code: 0 success, none if there was no code, with the reason then. docs/metrics.md says what each means and what to do.",
		meter.Label{Name: "code", Text: "`0`, `none`, " + codesText},
		meter.Label{Name: "reason", Values: callReasons(), Text: "empty with a code; otherwise `timeout`, `refused`, `reset` (cut off), `unreachable`, `dns`, `tls`, " +
			"`http_4xx`, `http_5xx`, `http_other`, `not_json`, `no_code` (FAIL without a code), `key` (the secret key can't be used), `request` (the API has " +
			"no form for it), `stopped` (a drain has cut it off), `other` (the log has the error)"})
	m.succeeded = m.calls.WithLabelValues(codeZero, "")
	for _, l := range labels {
		m.calls.WithLabelValues(l, "")
	}
	for _, reason := range callReasons() {
		m.calls.WithLabelValues(codeNone, reason)
	}
	m.callDuration = m.set.Histogram("call_duration_seconds",
		"Duration of one call. If it comes near call-timeout, the API or the way there is slow: ask the vendor, or raise call-timeout.",
		[]float64{.005, .01, .02, .04, .06, .08, .1, .15, .2, .3, .5, 1, 2, 5})
	m.callWaiters = m.set.Gauge("call_waiters",
		"Conversations ready to be called, waiting for the quota or a free connection. More than 0 is usual with a backlog: the quota is the limit then.")
	m.lastSuccess = m.set.Gauge("last_success_timestamp_seconds",
		"When the API last executed a delete; 0 before the first. If it is long ago while convdel_unfinished is not 0, see convdel_paused and /readyz.")
	m.lists = m.set.CounterVec("lists_total",
		"Accounts' lists of conversations that were read, by the code of the answer: 0 success, doubt if the list may lack conversations, none for no answer. 0 without revived-check.",
		meter.Label{Name: "code", Values: append([]string{codeZero, listDoubt, codeNone}, labels...), Text: "`0`, `doubt`, `none`, " + codesText})
	m.listWaiters = m.set.Gauge("list_waiters",
		"Events that wait for their account's list of conversations. If it stays high, convdel_lists_total says how lists are answered.")
}

func (m *Metrics) registerKafka() {
	m.fetchFailures = m.set.CounterVec("fetch_failures_total",
		"Fetches that failed, or brought a batch that can't be read, by reason. docs/partitions.md says what to do about each.",
		meter.Label{Name: "reason", Values: fetchFaults()})
	m.commits = m.set.Counter("commits_total",
		"Offset commits that the broker has accepted. If it stands still while events end, see convdel_commit_failures_total.")
	m.commitFailures = m.set.Counter("commit_failures_total",
		"Offset commits that failed. Some while the group's coordinator moves are usual; if it keeps rising, a restart repeats deletes: see the log, and the group's coordinator.")
	m.generations = m.set.Counter("generations_total",
		"Group generations that this replica has worked in. Each that moves partitions costs about a second of their calls; if it keeps rising, find out which replicas come and go.")
	m.offsetResets = m.set.Counter("offset_resets_total",
		"Partitions whose committed offset was outside the log, or of a topic that is no more. The log says how many events are lost: publish them again.")
}
