package consumer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"convdel/consumer/cluster"
	"convdel/schema"
)

// Config says what a [Consumer] reads, whom it calls and within which bounds.
// The zero value of a field means its default where one is named.
type Config struct {
	// Cluster is where Kafka is and how to log in.
	Cluster cluster.Config
	// Topic is read to the end and beyond; Group owns its offsets. Both are required.
	Topic, Group string
	// InstanceID makes this replica a static member of the group: if it comes back within SessionTimeout, it has its partitions again
	// without a rebalance. No other replica of the group may have it. 1 to 249 letters, digits, dots, underscores or hyphens.
	// Default: none.
	InstanceID string
	// SessionTimeout is for how long the group keeps the partitions of a replica that it hears nothing of. 6 to 45 s, and within
	// the bounds of the brokers. Default 12 s.
	SessionTimeout time.Duration
	// DeadLetterTopic takes what can't be deleted. Required, never equal to Topic.
	DeadLetterTopic string
	// OutcomeTopic is where the end of every event is recorded, as a [schema.Outcome], before the event counts as ended. It differs
	// from Topic and DeadLetterTopic. Default: ends are not recorded.
	OutcomeTopic string
	// OutcomesHideAccounts leaves the conversations out of what is recorded there.
	OutcomesHideAccounts bool
	// CreateTopics makes Run create missing topics with NewPartitions partitions (default 6) and the
	// brokers' default replication; the dead-letter topic is created compacted, the outcome topic so that it keeps records for 90 days.
	// Otherwise a missing topic fails the start.
	CreateTopics  bool
	NewPartitions int
	// API performs the deletes. Required.
	API API
	// Start is where a group without any committed offset begins. Default: at the first record if the oldest is younger
	// than [RecentAge].
	Start Start
	// App names what API deletes in, the SDKAppID: commits carry it, and a group whose offsets carry another app or another
	// dead-letter topic fails the start, unless the app is the one that Adopt names. Default: not checked.
	App, Adopt string

	// CallsPerSecond is the quota of the whole group: no sliding second sees more calls.
	// 0 turns the limiter off, which only a simulator can bear.
	CallsPerSecond int
	// ShareByPartitions gives this replica the part of CallsPerSecond that its partitions
	// are of the topic's; false gives it all, which fits a single replica.
	ShareByPartitions bool
	// Budget hands out the departures of all who share the quota, other groups included; the part
	// by ShareByPartitions then is what this replica uses while Budget fails. Default: none.
	Budget Budget
	// MaxCalls bounds the calls under way at once. Default: CallsPerSecond × CallTimeout, what a
	// full quota of calls that all time out amounts to, and 64 without a limiter.
	MaxCalls int
	// CallTimeout is how long API may take for one call: it sizes MaxCalls and the drain. Default 5 s.
	CallTimeout time.Duration

	// MaxAttempts is the number of calls that an event may use up before it is a dead letter. Default 6.
	MaxAttempts int
	// RetryInitial and RetryMax bound the exponential backoff between attempts. Defaults 500 ms, 30 s.
	RetryInitial, RetryMax time.Duration

	// MaxInFlight bounds the events in memory, waiting or calling. Default 2000.
	MaxInFlight int
	// MaxInFlightBytes bounds their keys, values and headers. Default 16 MiB. A single larger
	// event is taken alone.
	MaxInFlightBytes int64
	// MaxBatchBytes is what a batch may decompress to; what is beyond it can't be read. Default 64 MiB.
	MaxBatchBytes int64
	// MaxRecordBytes is what a record may have in bytes, 64 for each header included; of a larger one only a dead letter
	// without its value is made. Default 8 MiB.
	MaxRecordBytes int64
	// MaxEventAge sends older events to the dead letters, class expired, uncalled. Default 0: off.
	MaxEventAge time.Duration
	// RevivedCheck has an older event executed only if Lists shows no message in its conversation since. Otherwise it becomes a dead
	// letter, class revived, uncalled. Default 0: off.
	RevivedCheck time.Duration
	// Lists reads accounts' lists of conversations. Required with RevivedCheck. They have a quota of their own: as many calls as
	// CallsPerSecond, shared by ShareByPartitions alone.
	Lists Lists
	// DrainTimeout bounds how long a stop, or a partition that is given up, waits for calls under way and for
	// dead letters and outcomes being written. Default 15 s.
	DrainTimeout time.Duration

	// Recheck, if not nil, is received from when something has changed that may have been the reason of
	// a pause, a renewed credential say: the next probe is made at once.
	Recheck <-chan struct{}

	// Logger receives what operators need to know. Required.
	Logger *slog.Logger
	// Metrics counts what happens. Required; see [NewMetrics].
	Metrics *Metrics
	// Traces makes a span of each event and of each call. Default: none.
	Traces Traces
}

// API performs deletes. It must be safe for concurrent use and must honour ctx.
type API interface {
	// Delete performs one call and says how it went. It never retries by itself: each call
	// has been granted by the limiter, one by one.
	Delete(ctx context.Context, call Call) Answer
}

// Lists reads accounts' lists of conversations. It must be safe for concurrent use and must honour ctx.
type Lists interface {
	// Read reads the list of an account from its beginning to its end. It never makes a call again by itself.
	Read(ctx context.Context, r ListRequest) ListAnswer
}

// ListRequest is a list to read.
type ListRequest struct {
	// Account is whose list it is.
	Account string
	// Permit must be called before each call. It waits until the call may be made; if it fails, none may. Sent must be called once the
	// request has left for the API, if Lists can tell. Neither is nil.
	Permit func(ctx context.Context) error
	Sent   func()
	// Show must be called with each conversation of the list, and the time of its last message in whole seconds, zero if the API does
	// not name it. It returns false if there is no room for more: then the reading may end. Never nil.
	Show func(c schema.Conversation, last time.Time) bool
}

// ListAnswer is the outcome of reading a list.
type ListAnswer struct {
	// Failed is the answer to the call that has ended the reading. Nil if the list was read to its end.
	// Permanent says that the API has no such account; all other faults may pass.
	Failed *Answer
	// Doubt says why the list may lack conversations although no call has failed; empty if it lacks none.
	Doubt string
}

// Budget is what several replicas take their calls from, such as package redisbudget's. One goroutine uses it.
type Budget interface {
	// Reserve takes the next departures, at most n, that nobody has taken yet, and returns each as
	// the time from now until then, ascending. None at all says that there is none to be had now: again is how long
	// to wait before asking anew. Reserve of 0 tells whether the budget can be reached. It must honour ctx,
	// which ends soon: a late answer is a failure.
	Reserve(ctx context.Context, n int) (departures []time.Duration, again time.Duration, err error)
}

// Call is one conversation to delete.
type Call struct {
	schema.Conversation
	// ClearRamble asks to clear roaming messages too.
	ClearRamble bool
	// Sent must be called once the request has left for the API, if it can tell: the limiter
	// counts the call from that moment. Never nil.
	Sent func()
}

// Verdict is what an [Answer] means for the events behind the call.
type Verdict int

// The verdicts. The zero value is none of them, so that a forgotten one is noticed.
const (
	// Deleted ends the events: the conversation is gone.
	Deleted Verdict = iota + 1
	// Permanent ends the events as dead letters: no repetition can help (50001, 50002, 50003).
	Permanent
	// Transient uses up an attempt; the events wait and try again.
	Transient
	// Throttled uses up no attempt; the limiter slows down, and makes no call for the time Quiet.
	Throttled
	// Halt says that the service's own credential, plan or configuration is at fault. It uses up no
	// attempt; calls pause until a probe succeeds.
	Halt
	// Again uses up no attempt: what was wrong (an expired signature) has been mended already.
	Again
)

// Answer is the outcome of one call.
type Answer struct {
	Verdict Verdict
	// Code is the API's error code, 0 for success and where the API itself has not answered: no answer, a timeout, an HTTP
	// status, something other than JSON.
	Code int
	// Reason says in one word why the API itself has not answered, for metrics: timeout, refused, reset, unreachable, dns, tls, http_4xx,
	// http_5xx, http_other, not_json, no_code, key, request or stopped. Any other word counts as other.
	Reason string
	// Quiet is for how long the API wants no call at all after a Halt or a Throttled answer, 0 if it does not say so.
	Quiet time.Duration
	// Unavailable says that a Throttled answer is that of an API that takes no calls at all. If all answers are, that is an
	// outage, and calls pause.
	Unavailable bool
	// Denied says that a Permanent answer is one of missing permission, which is usually the
	// service's and not the event's.
	Denied bool
	// Err says what went wrong, free of secrets. Nil for Deleted.
	Err error
}

var errNoVerdict = errors.New("the API's answer carries no verdict")

// withVerdict makes an answer without a verdict a failure that says so.
func (a Answer) withVerdict() Answer {
	if a.Verdict < Deleted || a.Verdict > Again {
		return Answer{Verdict: Transient, Err: errNoVerdict}
	}
	return a
}

// ConfigError names a field of [Config] that can't be used as it is.
type ConfigError struct {
	Field, Reason string
}

func (e *ConfigError) Error() string { return fmt.Sprintf("consumer config: %s %s", e.Field, e.Reason) }

// withDefaults returns the configuration with every default filled in, or a joined error of
// one [ConfigError] per unusable field.
func (c Config) withDefaults() (Config, error) {
	setDefault(&c.CallTimeout, 5*time.Second)
	setDefault(&c.NewPartitions, 6)
	setDefault(&c.MaxAttempts, 6)
	setDefault(&c.RetryInitial, 500*time.Millisecond)
	setDefault(&c.RetryMax, 30*time.Second)
	setDefault(&c.MaxInFlight, 2000)
	setDefault(&c.MaxInFlightBytes, 16<<20)
	setDefault(&c.MaxBatchBytes, 64<<20)
	setDefault(&c.MaxRecordBytes, min(8<<20, c.MaxBatchBytes))
	setDefault(&c.DrainTimeout, 15*time.Second)
	setDefault(&c.SessionTimeout, 12*time.Second)
	setDefault(&c.Cluster.Logger, c.Logger)
	c.Cluster = c.Cluster.WithMemory()
	if c.MaxCalls == 0 {
		c.MaxCalls = 64
		if c.CallsPerSecond > 0 {
			c.MaxCalls = max(1, int(float64(c.CallsPerSecond)*c.CallTimeout.Seconds()))
		}
		c.MaxCalls = min(c.MaxCalls, c.MaxInFlight)
	}
	return c, c.validate()
}

// topics are those that the consumer reads or writes.
func (c Config) topics() []string {
	topics := []string{c.Topic, c.DeadLetterTopic}
	if c.OutcomeTopic != "" {
		topics = append(topics, c.OutcomeTopic)
	}
	return topics
}

// leastRecordBytes is the least bound on a record: no event is larger, nor are the headers of a dead letter.
const leastRecordBytes = 64 << 10

// isWord says whether a text can be a word of a commit's metadata.
func isWord(text string) bool {
	return len(text) <= 64 && !strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' })
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

func (c Config) validate() error {
	var errs []error
	check := func(ok bool, field, reason string) {
		if !ok {
			errs = append(errs, &ConfigError{Field: field, Reason: reason})
		}
	}
	check(len(c.Cluster.Brokers) > 0, "Cluster.Brokers", "is empty")
	check(c.Topic != "", "Topic", "is empty")
	check(c.Group != "", "Group", "is empty")
	check(c.InstanceID == "" || cluster.IsName(c.InstanceID), "InstanceID", "is not 1 to 249 letters, digits, dots, underscores or hyphens")
	check(c.SessionTimeout >= leastSession && c.SessionTimeout <= mostSession, "SessionTimeout", "is not 6 to 45 s")
	check(c.DeadLetterTopic != "", "DeadLetterTopic", "is empty")
	check(c.DeadLetterTopic != c.Topic, "DeadLetterTopic", "is the same as Topic")
	check(c.OutcomeTopic == "" || c.OutcomeTopic != c.Topic, "OutcomeTopic", "is the same as Topic")
	check(c.OutcomeTopic == "" || c.OutcomeTopic != c.DeadLetterTopic, "OutcomeTopic", "is the same as DeadLetterTopic")
	check(c.API != nil, "API", "is nil")
	check(c.Logger != nil, "Logger", "is nil")
	check(c.Metrics != nil, "Metrics", "is nil")
	check(c.NewPartitions > 0, "NewPartitions", "is negative")
	check(c.CallsPerSecond >= 0, "CallsPerSecond", "is negative")
	check(c.CallTimeout > 0, "CallTimeout", "is negative")
	check(c.MaxCalls > 0, "MaxCalls", "is negative")
	check(c.MaxAttempts > 0, "MaxAttempts", "is negative")
	check(c.RetryInitial > 0, "RetryInitial", "is negative")
	check(c.RetryMax >= c.RetryInitial, "RetryMax", "is below RetryInitial")
	check(c.MaxInFlight > 0, "MaxInFlight", "is negative")
	check(c.MaxInFlightBytes > 0, "MaxInFlightBytes", "is negative")
	check(c.MaxRecordBytes >= leastRecordBytes, "MaxRecordBytes", "is below 64 KiB")
	check(c.MaxBatchBytes >= c.MaxRecordBytes, "MaxBatchBytes", "is below MaxRecordBytes")
	check(isWord(c.App), "App", "has spaces, control characters or more than 64 bytes")
	check(isWord(c.Adopt), "Adopt", "has spaces, control characters or more than 64 bytes")
	check(c.MaxEventAge >= 0, "MaxEventAge", "is negative")
	check(c.RevivedCheck >= 0, "RevivedCheck", "is negative")
	check(c.RevivedCheck == 0 || c.Lists != nil, "Lists", "is nil, and RevivedCheck is set")
	check(c.DrainTimeout > 0, "DrainTimeout", "is negative")
	return errors.Join(errs...)
}
