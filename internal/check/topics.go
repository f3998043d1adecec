package check

import (
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/segmentio/kafka-go"

	"convdel/consumer"
	"convdel/consumer/inspect"
)

// shortOutage is the shortest retention of the topic of events that draws no warning: an outage from Friday evening to Monday morning.
const shortOutage = 3 * 24 * time.Hour

// TopicEvidence is what is known of a topic.
type TopicEvidence struct {
	Name  string
	Found *inspect.Topic
	Err   error
	// Create says that the service creates a missing topic.
	Create bool
	// User is whose rights they are, as [User] names it.
	User string
}

// missing rules on a topic that was not found.
func (e *TopicEvidence) missing(r *ruling, right string) {
	switch {
	case errors.Is(e.Err, kafka.UnknownTopicOrPartition) && e.Create:
		r.odd("", "%s does not exist; run creates it, since --create-topics is set", e.Name)
	case errors.Is(e.Err, kafka.UnknownTopicOrPartition):
		r.wrong("create it, or let --create-topics do so", "%s does not exist, or its name is misspelt", e.Name)
	case errors.Is(e.Err, kafka.TopicAuthorizationFailed):
		r.wrong(allow(e.User, right, "topic", e.Name), "%s may not be seen by this user", e.Name)
	default:
		detail, fix := Failure(e.Err)
		r.wrong(fix, "%s: %s", e.Name, detail)
	}
}

// common rules on what every topic needs. It returns false if the settings are not known.
func (e *TopicEvidence) common(r *ruling, written bool) (settings bool) {
	t := e.Found
	r.fact("%s: %s, %s", e.Name, countOf(int64(t.Partitions), "partition", "partitions"), countOf(int64(t.Replicas), "replica", "replicas"))
	if len(t.Leaderless) > 0 {
		r.wrong("bring back the brokers that hold them", "partitions without a leader: %s", list(t.Leaderless))
	}
	if t.Replicas == 1 {
		r.odd("give the topic three replicas", "it has one replica: what it holds is lost with that broker's disk")
	}
	if t.SettingsErr != nil {
		detail, _ := Failure(t.SettingsErr)
		r.odd(allow(e.User, "DescribeConfigs", "topic", e.Name), "its settings are not checked: %s", detail)
		return false
	}
	e.durable(r, written)
	return true
}

// durable rules on how many replicas have a record before it counts as written.
func (e *TopicEvidence) durable(r *ruling, written bool) {
	t := e.Found
	if t.Settings["unclean.leader.election.enable"] == "true" {
		r.odd("set unclean.leader.election.enable=false", "a replica that is behind may become leader, which loses records")
	}
	least, err := strconv.Atoi(t.Settings["min.insync.replicas"])
	switch {
	case err != nil:
	case written && least > t.Replicas:
		r.wrong("set min.insync.replicas to less than the number of replicas", "min.insync.replicas is %d of %d replicas: no write succeeds", least, t.Replicas)
	case written && least > t.InSync && len(t.Leaderless) == 0:
		r.wrong("bring back the brokers that hold the other replicas", "%d of %d replicas are in sync, and writes need %d", t.InSync, t.Replicas, least)
	case t.Replicas > 1 && least >= t.Replicas:
		r.odd("set min.insync.replicas to one less than the number of replicas", "min.insync.replicas is %d of %d replicas: no write succeeds while one broker is down", least, t.Replicas)
	case t.Replicas > 1 && least == 1:
		r.odd("set min.insync.replicas=2", "min.insync.replicas is 1: a record may be acknowledged that one broker alone has")
	}
	if t.InSync < t.Replicas && t.InSync >= 1 {
		r.odd("", "%d of %d replicas are in sync", t.InSync, t.Replicas)
	}
}

// EventTopicRow rules on the topic of events.
func EventTopicRow(e TopicEvidence) Row {
	var r ruling
	if e.Found == nil {
		e.missing(&r, "Read")
		return r.row(Topic)
	}
	if e.Found.Rights.Lack(inspect.Read) {
		r.wrong(allow(e.User, "Read", "topic", e.Name), "the user may not read %s", e.Name)
	}
	if !e.common(&r, false) {
		return r.row(Topic)
	}
	s := e.Found.Settings
	if strings.Contains(s["cleanup.policy"], "compact") {
		r.odd("set cleanup.policy=delete", "cleanup.policy is %s: of two events with one key, the earlier may be gone before it is executed", s["cleanup.policy"])
	}
	if kept, ok := millis(s["retention.ms"]); ok && strings.Contains(s["cleanup.policy"], "delete") {
		if kept < shortOutage {
			r.odd("raise retention.ms, to 7 days for instance", "events are kept for %s: a longer outage loses those that are not executed by then", span(kept))
		} else {
			r.fact("events are kept for %s, which is how long an outage may last", span(kept))
		}
	}
	if bytes := s["retention.bytes"]; bytes != "" && bytes != "-1" {
		r.odd("set retention.bytes=-1", "retention.bytes is %s: a long backlog loses events before they are executed", bytes)
	}
	return r.row(Topic)
}

// LetterTopicRow rules on the dead-letter topic. largest is max.message.bytes of the topic of events; empty if unknown.
func LetterTopicRow(e TopicEvidence, largest string) Row {
	var r ruling
	if e.Found == nil {
		e.missing(&r, "Write")
		return r.row(DeadLetterTopic)
	}
	if e.Found.Rights.Lack(inspect.Write) {
		r.wrong(allow(e.User, "Write", "topic", e.Name), "the user may not write to %s", e.Name)
	}
	if !e.common(&r, true) {
		return r.row(DeadLetterTopic)
	}
	s := e.Found.Settings
	switch policy := s["cleanup.policy"]; {
	case policy == "":
	case policy == "compact":
		r.fact("cleanup.policy is compact")
	case s["retention.ms"] == "-1" && !strings.Contains(policy, "compact"):
		r.odd("set cleanup.policy=compact", "cleanup.policy is %s, and nothing is removed: settled letters pile up", policy)
	case s["retention.ms"] != "-1":
		kept, _ := millis(s["retention.ms"])
		r.odd("set cleanup.policy=compact", "cleanup.policy is %s: dead letters are lost after %s", policy, span(kept))
	}
	room, err := strconv.Atoi(s["max.message.bytes"])
	need, err2 := strconv.Atoi(largest)
	switch needed := need + consumer.LetterHeaderBytes; {
	case err != nil || err2 != nil:
	case room < needed:
		r.odd("set max.message.bytes="+strconv.Itoa(needed), "max.message.bytes is %d: dead letters of the largest records (%d) lack their values", room, need)
	default:
		r.fact("max.message.bytes is %d, enough for dead letters of the largest records", room)
	}
	return r.row(DeadLetterTopic)
}

// OutcomeTopicRow rules on the outcome topic.
func OutcomeTopicRow(e TopicEvidence) Row {
	var r ruling
	if e.Found == nil {
		e.missing(&r, "Write")
		return r.row(OutcomeTopic)
	}
	if e.Found.Rights.Lack(inspect.Write) {
		r.wrong(allow(e.User, "Write", "topic", e.Name), "the user may not write to %s", e.Name)
	}
	if !e.common(&r, true) {
		return r.row(OutcomeTopic)
	}
	s := e.Found.Settings
	if policy := s["cleanup.policy"]; strings.Contains(policy, "compact") {
		r.odd("set cleanup.policy=delete", "cleanup.policy is %s: only the last outcome of each event is kept", policy)
	}
	if kept, ok := millis(s["retention.ms"]); ok {
		if kept < consumer.LeastOutcomeRetention {
			r.odd("raise retention.ms, to 90 days for instance", "outcomes are gone after %s", span(kept))
		} else {
			r.fact("outcomes are kept for %s", span(kept))
		}
	}
	if room, err := strconv.Atoi(s["max.message.bytes"]); err == nil && room < consumer.OutcomeBytes {
		r.wrong("set max.message.bytes="+strconv.Itoa(consumer.OutcomeBytes)+" or more", "max.message.bytes is %d: an outcome may not fit, and its event would never end", room)
	}
	return r.row(OutcomeTopic)
}

// millis reads a time in milliseconds. It returns false for no bound, and for none that is known.
func millis(text string) (time.Duration, bool) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 {
		return 0, false
	}
	const most = 1 << 62 / int64(time.Millisecond)
	return time.Duration(min(n, most)) * time.Millisecond, true
}
