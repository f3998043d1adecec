package status

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"convdel/consumer"
)

// Answer is what has become of asking a replica: a report, or why there is none.
type Answer struct {
	URL    string  `json:"url"`
	Report *Report `json:"report,omitempty"`
	Error  string  `json:"error,omitempty"`
}

// Fleet is what several replicas say, added up, or what Kafka says where none of them answers.
type Fleet struct {
	At       time.Time `json:"at"`
	Replicas []Answer  `json:"replicas"`
	// Sentence says what they do in words.
	Sentence   string           `json:"sentence"`
	Quota      Quota            `json:"quota"`
	Rates      Rates            `json:"rates"`
	Unfinished int64            `json:"unfinished"`
	Empty      Empty            `json:"time_to_empty"`
	Partitions []FleetPartition `json:"partitions"`
	Oldest     []Event          `json:"oldest"`
	// DeadLetters are those that the replicas have written since their starts.
	DeadLetters []Letters `json:"dead_letters"`
	// Notes say what is missing or odd.
	Notes []string `json:"notes,omitempty"`
	Kafka *Kafka   `json:"kafka,omitempty"`
}

// FleetPartition is a partition, with the replica that owns it.
type FleetPartition struct {
	Partition

	// Replica is the URL of the owner, empty if Kafka was asked.
	Replica string `json:"replica,omitempty"`
}

// Kafka is what the brokers say of the group.
type Kafka struct {
	Group string `json:"group"`
	// State is Kafka's word for the group's state. Members is -1 if it is not known.
	State   string `json:"state,omitempty"`
	Members int    `json:"members"`
	// DeadLetters is how many offsets the dead-letter topic has: settled letters may be among them. It is -1 if it is not known.
	DeadLetters int64 `json:"dead_letters_at_most"`
	// Error says why the brokers were of no use.
	Error string `json:"error,omitempty"`
}

// Answered says whether a replica or Kafka has answered.
func (f *Fleet) Answered() bool {
	return f.Kafka != nil && f.Kafka.Error == "" || slices.ContainsFunc(f.Replicas, func(a Answer) bool { return a.Report != nil })
}

// FleetOf adds up what replicas have answered.
func FleetOf(answers []Answer, at time.Time) Fleet {
	f := Fleet{At: at.UTC(), Replicas: answers, Partitions: []FleetPartition{}, Oldest: []Event{}, DeadLetters: []Letters{}}
	states := map[State]int{}
	groups := map[string]bool{}
	letters := map[Letters]int64{}
	well, owning, known := 0, 0, true
	for _, a := range answers {
		if a.Report == nil {
			f.Notes = append(f.Notes, "no answer from "+a.URL+": "+a.Error)
			continue
		}
		r := a.Report
		states[r.State]++
		groups[r.Replica.Group+" "+r.Replica.Topic] = true
		well++
		if r.Unfinished.Known {
			owning++
		} else {
			f.Notes = append(f.Notes, a.URL+" owns no partition now, so more may be left")
		}
		f.add(r)
		known = known && (r.Rates.Known || len(r.Partitions) == 0)
		for _, l := range r.DeadLetters {
			letters[Letters{Class: l.Class, Code: l.Code}] += l.Letters
		}
		f.Oldest = append(f.Oldest, r.Oldest...)
	}
	f.Rates.Known = known && well > 0
	f.partitions(answers)
	f.finish(letters)
	if f.Empty = longestOf(answers); owning == 0 {
		f.Empty = notOwned()
	}
	if len(groups) > 1 {
		f.Notes = append(f.Notes, "these replicas are of different groups or topics: the sums say little")
	}
	f.Sentence = fleetSentence(states, len(answers), &f)
	return f
}

// longestOf is the longest of the replicas' own times to empty, since no replica does what another one has left. It is unknown if one of
// them is.
func longestOf(answers []Answer) Empty {
	all, longest, unknown := 0, TimeToEmpty(0, Rates{}, false), []Answer{}
	for _, a := range answers {
		if a.Report == nil {
			continue
		}
		all++
		switch own := a.Report.empty(); {
		case !own.Known:
			unknown = append(unknown, a)
		case own.Seconds > longest.Seconds:
			longest = own
		}
	}
	if len(unknown) == 0 {
		return longest
	}
	text := unknown[0].Report.empty().Text
	if all > 1 {
		text += " at " + unknown[0].URL
	}
	if more := int64(len(unknown) - 1); more > 0 {
		text += ", nor is it known of " + Count(more, "other replica", "other replicas")
	}
	return Empty{Text: text}
}

func (r *Report) empty() Empty {
	return TimeToEmpty(r.Unfinished.Total, r.Rates, r.State == Pausing)
}

func (f *Fleet) add(r *Report) {
	f.Quota.Used += r.Quota.Used
	f.Quota.Share += r.Quota.Share
	f.Quota.Limit = max(f.Quota.Limit, r.Quota.Limit)
	f.Quota.Fallback = f.Quota.Fallback || r.Quota.Fallback
	f.Rates.Ended += r.Rates.Ended
	f.Rates.Arriving += r.Rates.Arriving
	f.Rates.Calls += r.Rates.Calls
	f.Rates.Failed += r.Rates.Failed
	f.Unfinished += r.Unfinished.Total
}

// partitions takes each partition once, by its owner: that is the one of the latest generation. During a rebalance two may name it.
func (f *Fleet) partitions(answers []Answer) {
	type owner struct {
		partition FleetPartition
		report    *Report
	}
	owners := map[string]owner{}
	for _, a := range answers {
		if a.Report == nil {
			continue
		}
		for _, p := range a.Report.Partitions {
			key := fmt.Sprintf("%s %s %d", a.Report.Replica.Group, a.Report.Replica.Topic, p.Partition)
			before, twice := owners[key]
			if twice {
				loser := p.Unfinished
				if later(a.Report, before.report) {
					loser = before.partition.Unfinished
				}
				f.Unfinished -= loser
			}
			if !twice || later(a.Report, before.report) {
				owners[key] = owner{FleetPartition{Partition: p, Replica: a.URL}, a.Report}
			}
		}
	}
	for _, o := range owners {
		f.Partitions = append(f.Partitions, o.partition)
	}
	slices.SortFunc(f.Partitions, func(a, b FleetPartition) int {
		return cmp.Or(cmp.Compare(a.Partition.Partition, b.Partition.Partition), cmp.Compare(a.Replica, b.Replica))
	})
}

// later says whether a report is of a later generation, or of the same and made later.
func later(a, than *Report) bool {
	return cmp.Or(cmp.Compare(a.Replica.Generation, than.Replica.Generation), a.At.Compare(than.At)) > 0
}

// finish sorts, bounds and counts what was gathered.
func (f *Fleet) finish(letters map[Letters]int64) {
	f.Unfinished = max(0, f.Unfinished)
	slices.SortStableFunc(f.Oldest, func(a, b Event) int { return cmp.Or(a.Time.Compare(b.Time), cmp.Compare(a.Record, b.Record)) })
	f.Oldest = slices.CompactFunc(f.Oldest, func(a, b Event) bool { return a.Record == b.Record })
	f.Oldest = f.Oldest[:min(len(f.Oldest), MaxOldest)]
	for l, n := range letters {
		l.Letters = n
		f.DeadLetters = append(f.DeadLetters, l)
	}
	slices.SortFunc(f.DeadLetters, func(a, b Letters) int {
		return cmp.Or(cmp.Compare(b.Letters, a.Letters), cmp.Compare(a.Class, b.Class), cmp.Compare(a.Code, b.Code))
	})
}

// fleetSentence says how many replicas do what, and how long it will take.
func fleetSentence(states map[State]int, asked int, f *Fleet) string {
	if len(states) == 0 {
		return "No replica answers."
	}
	answered := 0
	var parts []string
	// A replica of another version may be in a state that this one does not know.
	order := []State{Working, Pausing, Stalled, NoKafka, Absent, Joining, Draining}
	for _, s := range slices.Sorted(maps.Keys(states)) {
		if !slices.Contains(order, s) {
			order = append(order, s)
		}
	}
	for _, s := range order {
		if states[s] > 0 {
			answered += states[s]
			parts = append(parts, fmt.Sprintf("%d %s", states[s], strings.ReplaceAll(string(s), "_k", " K")))
		}
	}
	text := fmt.Sprintf("%d of %s: %s.", answered, Count(int64(asked), "replica answers", "replicas answer"), strings.Join(parts, ", "))
	if f.Empty == notOwned() {
		return text + " How many events are unfinished is not known, since no partition is owned now."
	}
	text += " " + Count(f.Unfinished, "event is", "events are") + " unfinished"
	if f.Unfinished > 0 {
		text += "; time to empty: " + f.Empty.Text
	}
	return text + "."
}

// TakeGroup adds what Kafka knows of the group, where no replica has answered.
func (f *Fleet) TakeGroup(s consumer.GroupState) {
	f.Kafka.State, f.Kafka.Members = s.State, s.Members
	if s.MembersErr != nil {
		f.Kafka.Members = -1
		f.Notes = append(f.Notes, s.MembersErr.Error())
	}
	for i, p := range s.Partitions {
		f.Unfinished += max(0, p.Unfinished)
		f.Partitions = append(f.Partitions, FleetPartition{Partition: Partition{Partition: i, Committed: p.Committed, End: p.End, Unfinished: p.Unfinished}})
	}
	f.Empty = Empty{Text: "unknown, since no replica answers"}
}
