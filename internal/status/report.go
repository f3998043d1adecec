// Package status says what a replica is doing, in a form for people and programs: the body of /status, and what the page at / and
// convdel status show.
//
// It only decides: what a replica knows comes in as a [consumer.Snapshot], and the time with it. Nothing here waits, locks or asks anybody.
package status

import (
	"time"

	"convdel/consumer"
	"convdel/internal/notable"
)

// MaxOldest is how many of the oldest unfinished events are shown.
const MaxOldest = 20

// Report is the body of /status. Times are in UTC.
type Report struct {
	At      time.Time `json:"at"`
	Replica Replica   `json:"replica"`
	// State is a word for what the replica is doing, Sentence says it in words, with since when, why, and until when.
	State    State     `json:"state"`
	Since    time.Time `json:"since,omitzero"`
	Sentence string    `json:"sentence"`
	Paused   *Paused   `json:"paused,omitempty"`
	Quota    Quota     `json:"quota"`
	Rates    Rates     `json:"rates"`
	// Unfinished are the events that have not ended, Empty is when there will be none.
	Unfinished Unfinished  `json:"unfinished"`
	Empty      Empty       `json:"time_to_empty"`
	Partitions []Partition `json:"partitions"`
	// Oldest are the oldest unfinished events in memory, at most MaxOldest.
	Oldest []Event `json:"oldest"`
	// Ended are the events that have ended since the start, by outcome. DeadLetters are the dead letters of that time, by class and code.
	Ended       map[string]int64 `json:"ended"`
	DeadLetters []Letters        `json:"dead_letters"`
	Log         []Line           `json:"log"`
	// Settings are those that differ from their defaults. Secrets are not among them.
	Settings []Setting `json:"settings"`
	// AccountsHidden says that accounts are left out, in the texts of errors, too.
	AccountsHidden bool `json:"accounts_hidden"`
}

// Replica says which replica of which group it is.
type Replica struct {
	Version    string    `json:"version"`
	Commit     string    `json:"commit"`
	Started    time.Time `json:"started"`
	Group      string    `json:"group"`
	Topic      string    `json:"topic"`
	SDKAppID   int       `json:"sdkappid"`
	Generation int       `json:"generation"`
}

// Paused is why no calls are made.
type Paused struct {
	Reason    string    `json:"reason"`
	Since     time.Time `json:"since"`
	LastError string    `json:"last_error,omitempty"`
	// NextProbe is absent while a probe is under way.
	NextProbe time.Time `json:"next_probe,omitzero"`
}

// Quota is in calls a second: Used in the last seconds, this replica's Share, and the Limit of all replicas together, 0 for none.
type Quota struct {
	Used  float64 `json:"used"`
	Share float64 `json:"share"`
	Limit float64 `json:"limit"`
	// Fallback says that the shared budget fails, and the replica keeps to its share.
	Fallback bool `json:"fallback,omitempty"`
}

// Unfinished are events that have not ended. Unread counts each offset that was not read, though there may be holes.
type Unfinished struct {
	// Known is false while the replica is no member of the group: what is left is not its own to know then.
	Known       bool  `json:"known"`
	Total       int64 `json:"total"`
	Unread      int64 `json:"unread"`
	Ready       int   `json:"ready"`
	Waiting     int   `json:"waiting"`
	Calling     int   `json:"calling"`
	DeadLetters int   `json:"dead_letters"`
	Outcomes    int   `json:"outcomes"`
}

// Partition is how far a partition has come.
type Partition struct {
	Partition int `json:"partition"`
	// Committed is the group's offset, End the end of the log when it was last seen; -1 where unknown.
	Committed  int64 `json:"committed"`
	End        int64 `json:"end"`
	Unfinished int64 `json:"unfinished"`
	// Oldest is the time of the oldest unfinished event.
	Oldest time.Time `json:"oldest,omitzero"`
}

// Event is an unfinished event.
type Event struct {
	Record string    `json:"record"`
	Time   time.Time `json:"time"`
	State  string    `json:"state"`
	// Attempts is how many failed calls count against it.
	Attempts  int       `json:"attempts"`
	Code      int       `json:"code,omitempty"`
	LastError string    `json:"last_error,omitempty"`
	Due       time.Time `json:"due,omitzero"`
	// Conversation is absent where accounts are hidden.
	Conversation string `json:"conversation,omitempty"`
}

// Letters are the dead letters of a class and code.
type Letters struct {
	Class   string `json:"class"`
	Code    string `json:"code"`
	Letters int64  `json:"letters"`
}

// Line is a notable line of the log.
type Line struct {
	Time    time.Time `json:"time"`
	Level   string    `json:"level"`
	Message string    `json:"message"`
	Attrs   []Setting `json:"attrs,omitempty"`
}

// Setting is a name and its value.
type Setting struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Source is what a report is made from beside the snapshot.
type Source struct {
	Replica  Replica
	Settings []Setting
	Lines    []notable.Line
	History  *History
	// Accounts says that accounts are shown. Clean makes the text of an error fit to be shown.
	Accounts bool
	Clean    func(string) string
}

// Of makes the report of a snapshot.
func Of(s consumer.Snapshot, from Source) Report {
	r := Report{
		At: s.At.UTC(), Replica: from.Replica, Rates: from.History.Rates(SampleOf(s)), Unfinished: unfinishedOf(s),
		Quota: Quota{Share: s.Share, Limit: s.Limit, Fallback: s.Status.QuotaFallback}, Settings: from.Settings, AccountsHidden: !from.Accounts,
		Partitions: []Partition{}, Oldest: []Event{}, DeadLetters: []Letters{}, Log: []Line{}, Ended: map[string]int64{},
	}
	r.Replica.Generation = s.Status.Generation
	r.Quota.Used = r.Rates.Calls
	if p := s.Status.Paused; p != nil {
		r.Paused = &Paused{Reason: string(p.Reason), Since: p.Since.UTC(), LastError: from.text(p.Err), NextProbe: p.NextProbe.UTC()}
	}
	if r.Empty = TimeToEmpty(r.Unfinished.Total, r.Rates, isPaused(s)); !r.Unfinished.Known {
		r.Empty = notOwned()
	}
	r.State, r.Since = stateOf(s)
	r.Sentence = sentenceOf(s, &r)
	for _, p := range s.Partitions {
		r.Partitions = append(r.Partitions, Partition{p.Partition, p.Committed, p.End, p.Unfinished, p.Oldest.UTC()})
	}
	for _, e := range s.Oldest {
		r.Oldest = append(r.Oldest, from.event(e))
	}
	for o, n := range s.Counts.Ended {
		r.Ended[string(o)] = n
	}
	for _, l := range s.Counts.Letters {
		r.DeadLetters = append(r.DeadLetters, Letters{string(l.Class), l.Code, l.Letters})
	}
	for _, l := range from.Lines {
		r.Log = append(r.Log, lineOf(l))
	}
	return r
}
