package check

import (
	"errors"
	"fmt"
	"strings"

	"github.com/segmentio/kafka-go"

	"convdel/consumer"
	"convdel/consumer/inspect"
)

// clientName is how members of the service call themselves, assignor how they share the partitions, and formerAssignor how members of versions
// before do. A group takes no member that does not know an assignor of all others.
const (
	clientName     = "convdel"
	assignor       = "convdel"
	formerAssignor = "range"
)

// GroupEvidence is what is known of the group.
type GroupEvidence struct {
	Name, Topic string
	// Found is the group, Beginning where it goes on in the topic, Others the topic's other groups. Each is nil if its error says why it
	// is not known. Beginning and Others are nil without an error if there is no topic to look at.
	Found        *inspect.Group
	Err          error
	Beginning    *consumer.Beginning
	BeginningErr error
	Others       *inspect.Others
	OthersErr    error
	// Start is the setting, Advice what to do if a member would not start.
	Start, Advice string
	User          string
}

// GroupRow rules on the group.
func GroupRow(e GroupEvidence) Row {
	var r ruling
	switch {
	case errors.Is(e.Err, kafka.GroupAuthorizationFailed):
		r.wrong(allow(e.User, "Read", "group", e.Name), "the user may not see group %s", e.Name)
		return r.row(Group)
	case e.Err != nil:
		detail, fix := Failure(e.Err)
		r.wrong(fix, "group %s: %s", e.Name, detail)
		return r.row(Group)
	}
	if e.Found.Rights.Lack(inspect.Read) {
		r.wrong(allow(e.User, "Read", "group", e.Name), "the user may not join group %s and commit its offsets", e.Name)
	}
	e.members(&r)
	switch {
	case e.BeginningErr != nil:
		detail, fix := Failure(e.BeginningErr)
		r.wrong(fix, "where the group begins is not known: %s", detail)
	case e.Beginning == nil:
		r.wrong("see topic", "its offsets are not checked: there is no topic to look at")
	default:
		e.begins(&r)
	}
	e.others(&r)
	return r.row(Group)
}

// members rules on who is in the group.
func (e *GroupEvidence) members(r *ruling) {
	g := e.Found
	if g.Protocol != "" && g.Protocol != "consumer" {
		r.wrong("use another --group", "group %s is that of another kind of program (%q)", e.Name, g.Protocol)
	}
	if g.Protocol == "consumer" && len(g.Members) > 0 && g.Assignor != "" && g.Assignor != assignor && g.Assignor != formerAssignor {
		r.wrong("stop its members, or use another --group", "members of group %s share partitions by %q: run can't join them, unless all know %q as well",
			e.Name, g.Assignor, formerAssignor)
	}
	var strangers []string
	for _, m := range g.Members {
		if m.Client != clientName {
			strangers = append(strangers, fmt.Sprintf("%q at %s", m.Client, m.Host))
		}
	}
	if len(strangers) > 0 {
		const most = 3
		more := ""
		if len(strangers) > most {
			more = fmt.Sprintf(" and %d more", len(strangers)-most)
			strangers = strangers[:most]
		}
		r.odd("stop them: events of partitions that they own are not deleted", "members that are not convdel: %s%s", strings.Join(strangers, ", "), more)
	}
	if g.State == "Dead" {
		r.fact("group %s does not exist yet", e.Name)
	} else {
		r.fact("group %s: %s, %s", e.Name, strings.ToLower(g.State), countOf(int64(len(g.Members)), "member", "members"))
	}
}

// begins rules on where the group goes on.
func (e *GroupEvidence) begins(r *ruling) {
	b := e.Beginning
	if _, taken := errors.AsType[*consumer.GroupTakenError](b.Err); taken {
		r.wrong(e.Advice, "%v", b.Err)
		return
	}
	if b.Adopts {
		r.odd("remove --adopt once all replicas run", "run takes the group over from another app, whose replicas end")
	}
	if b.Err != nil {
		r.wrong(e.Advice, "run would not start: %v", b.Err)
		return
	}
	if !b.HasOffsets {
		e.starts(r)
		return
	}
	e.goesOn(r)
}

// starts rules on a group without any offset.
func (e *GroupEvidence) starts(r *ruling) {
	var ahead, behind int64
	for _, p := range e.Beginning.Partitions {
		ahead += p.End - p.Begin
		behind += p.Begin - p.First
	}
	oldest := ""
	if e.Beginning.Oldest > 0 {
		oldest = ", the oldest record of the topic " + span(e.Beginning.Oldest) + " old"
	}
	text := fmt.Sprintf("no offsets: by --start %s it begins with %s ahead%s", e.Start, countOf(ahead, "record", "records"), oldest)
	if behind > 0 && len(e.Found.Members) > 0 {
		r.wrong("stop them first, or use another --group",
			"run would not start: group %s has members, which have committed nothing of topic %s: where to begin can't be decided beside them", e.Name, e.Topic)
	}
	if behind > 0 {
		r.odd("if those must be executed: --start earliest", "%s, and leaves out %s", text, countOf(behind, "record", "records"))
		return
	}
	r.fact("%s", text)
}

// goesOn rules on a group with offsets.
func (e *GroupEvidence) goesOn(r *ruling) {
	var lag, lost int64
	var without, former, beyond, cut, below []int
	for id, p := range e.Beginning.Partitions {
		from := p.Committed
		switch {
		case from < 0:
			without, from = append(without, id), p.First
		case p.Former:
			former, from = append(former, id), p.First
		case p.Cut:
			cut, from = append(cut, id), p.Begin
		case from > p.End:
			beyond, from = append(beyond, id), p.Begin
		case from < p.First:
			below = append(below, id)
			lost += p.First - from
			from = p.First
		}
		lag += p.End - from
	}
	if len(beyond) > 0 {
		r.odd("set the offsets right while the service is stopped (docs/partitions.md)", "offsets beyond the end of the log: partitions %s begin as --start %s says", list(beyond), e.Start)
	}
	if len(cut) > 0 {
		r.odd("", "the log was cut below what was read: partitions %s go on where it was cut", list(cut))
	}
	if len(below) > 0 {
		r.odd("raise retention.ms of "+e.Topic+"; what is removed can't be executed any more",
			"retention has removed records that were not executed: up to %d, of partitions %s", lost, list(below))
	}
	if len(former) > 0 {
		r.odd("", "offsets of a deleted topic of the same name: partitions %s begin at their first record", list(former))
	}
	if len(without) > 0 {
		r.fact("partitions without an offset, which begin at their first record: %s", list(without))
	}
	r.fact("%s not committed", countOf(lag, "record is", "records are"))
}

// others rules on other groups of the topic.
func (e *GroupEvidence) others(r *ruling) {
	if e.OthersErr != nil {
		detail, _ := Failure(e.OthersErr)
		r.fact("other groups of the topic are not known: %s", detail)
	}
	if e.Others == nil {
		return
	}
	const most = 5
	for i, o := range e.Others.Groups {
		if i == most {
			r.odd("", "%d more groups consume the topic", len(e.Others.Groups)-most)
			break
		}
		switch {
		case o.ByService && o.App != "":
			r.odd("run one service for an app: each event is executed by both", "group %s consumes the topic too: convdel of app %s", o.Group, o.App)
		case o.ByService:
			r.odd("run one service for an app: each event is executed by both", "group %s consumes the topic too: another convdel", o.Group)
		default:
			r.odd("if it deletes conversations as well, stop it: each event is executed by both", "group %s consumes the topic too", o.Group)
		}
	}
	if e.Others.Unseen > 0 {
		r.fact("%s could not be looked at", countOf(int64(e.Others.Unseen), "other group", "other groups"))
	}
}
