package sim

import (
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"convdel/schema"
)

// possession is who the coordinator says owns a partition from a time on: a replica's name; empty if nobody does or it is not known.
type possession struct {
	at    time.Time
	owner string
}

// possessions returns who has owned each partition, from the coordinator's evidence.
func (w *world) possessions() map[int32][]possession {
	all := map[int32][]possession{}
	for _, a := range w.groups.History(group) {
		now := map[int32]string{}
		for id, assignment := range a.To {
			for _, p := range partitionsOf(assignment) {
				now[p] = w.tap.names[id]
			}
		}
		for p := range w.kafka.PartitionInfos(topic) {
			all[int32(p)] = append(all[int32(p)], possession{a.At, now[int32(p)]})
		}
	}
	return all
}

// partitionsOf reads an assignment.
func partitionsOf(assignment []byte) (all []int32) {
	a := kmsg.NewConsumerMemberAssignment()
	if len(assignment) == 0 || a.ReadFrom(assignment) != nil {
		return nil
	}
	for _, t := range a.Topics {
		if t.Topic == topic {
			all = append(all, t.Partitions...)
		}
	}
	return all
}

// ownerAt returns who the partition belongs to at a time, and since when.
func ownerAt(all []possession, at time.Time) (now possession) {
	for _, p := range all {
		if p.at.After(at) {
			break
		}
		if p.owner != now.owner {
			now = p
		}
	}
	return now
}

// judgeOwners checks that no two replicas work on a partition at once. It looks at calls for conversations of a single record.
//
// Once a replica that owns a partition has begun to call for it, another one begins no call for it. On gentle days, and before the
// first fault that allows work to be done again, it has not even a call under way.
func (l *ledger) judgeOwners() {
	of := map[schema.Conversation]int32{}
	for _, e := range l.entries {
		if e.alone && !e.replay && l.replays[e.id] == 0 {
			of[e.Conversation] = e.r.Partition
		}
	}
	calls := map[int32][]*call{}
	for _, c := range l.w.api.took() {
		if p, ok := of[c.Conversation]; ok && len(l.calls[c.Conversation]) > 0 {
			calls[p] = append(calls[p], c)
		}
	}
	owners := l.w.possessions()
	for p, made := range calls {
		for i, c := range made {
			l.judgeShared(p, made[:i], c)
			l.judgeOwned(p, owners[p], made[:i], c)
		}
	}
}

// ownersSlack covers a call that was sent just before it had to be stopped.
const ownersSlack = 10 * time.Millisecond

// judgeOwned looks for the owner's own calls before a call of another replica.
func (l *ledger) judgeOwned(p int32, owners []possession, before []*call, c *call) {
	now := ownerAt(owners, c.at)
	if now.owner == "" || now.owner == c.by || c.at.Sub(now.at) < ownersSlack {
		return
	}
	for _, other := range slices.Backward(before) {
		if other.at.Before(now.at) {
			return
		}
		if other.by == now.owner && c.at.Sub(other.at) > ownersSlack {
			l.w.fail("owner", "at %s replica %s calls for %v of partition %d, which is %s's since %s, and %s has called for %v at %s",
				l.w.clock(c.at), c.by, c.Conversation, p, now.owner, l.w.clock(now.at), other.by, other.Conversation, l.w.clock(other.at))
			return
		}
	}
}

// judgeShared looks for calls of other replicas that are under way.
func (l *ledger) judgeShared(p int32, before []*call, c *call) {
	for _, other := range slices.Backward(before) {
		if c.at.Sub(other.at) > l.w.sc.callTimeout {
			return
		}
		underWay := other.ended.IsZero() || other.ended.After(c.at)
		if !underWay || other.by == c.by || l.w.during(func(a *act) bool { return a.redo > 0 || a.doubt }, l.w.began, c.at) {
			continue
		}
		l.w.fail("owner", "at %s replica %s calls for %v of partition %d while a call of %s for %v is under way, since %s",
			l.w.clock(c.at), c.by, c.Conversation, p, other.by, other.Conversation, l.w.clock(other.at))
		return
	}
}

// longestSilence is far more than the time between two heartbeats of a member.
const longestSilence = 1500 * time.Millisecond

// judgeBeats checks on gentle days that a member sends heartbeats for as long as it commits.
func (l *ledger) judgeBeats() {
	if !l.w.sc.gentle || len(l.w.tap.own) == 0 {
		return
	}
	last := map[string]time.Time{}
	for _, c := range l.w.tap.commits {
		last[c.by] = c.at
	}
	for by, beats := range l.w.tap.beats {
		if !l.w.tap.own[by] {
			continue
		}
		beats = append(slices.Clone(beats), last[by])
		for i, at := range beats[1:] {
			if silent := at.Sub(beats[i]); silent > longestSilence {
				l.w.fail("beats", "replica %s sends no heartbeat for %s from %s on", by, silent, l.w.clock(beats[i]))
			}
		}
	}
}

// settledSlack is what a group may take beyond a session until all partitions have an owner again.
const settledSlack = 2 * time.Second

// awaitOwners waits until the coordinator has given each partition to a replica that runs, and fails if that takes too long.
func (w *world) awaitOwners() {
	began := time.Now()
	limit := w.sc.members.session + settledSlack
	if w.sc.changes {
		limit = max(w.sc.members.session, formerTimeout) + settledSlack
	}
	w.acting.Go(func() {
		for why := w.unowned(); why != ""; why = w.unowned() {
			if time.Since(began) > limit {
				if w.tap.isOwn() {
					w.fail("calm", "%s after the last fault %s", limit, why)
				}
				return
			}
			time.Sleep(100 * time.Millisecond)
		}
	})
}

// unowned says why not all partitions have an owner that runs; empty if they have.
func (w *world) unowned() string {
	info := w.groups.Info(group)
	if info.State != "Stable" {
		return "the group is " + info.State
	}
	running := map[string]bool{}
	for _, s := range w.hosts {
		if r := s.replica(); r != nil {
			running[r.name] = true
		}
	}
	owned := map[int32]bool{}
	for _, m := range info.Members {
		for _, p := range partitionsOf(m.Assignment) {
			owned[p] = running[w.tap.nameOf(m.ID)]
		}
	}
	for _, p := range w.kafka.PartitionInfos(topic) {
		if int(p.Partition) < int(w.sc.partitions) && !owned[p.Partition] {
			return fmt.Sprintf("partition %d has no owner that runs", p.Partition)
		}
	}
	return ""
}
