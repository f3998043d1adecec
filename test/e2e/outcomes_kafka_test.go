//go:build kafka

package e2e

import (
	"fmt"
	"testing"
	"time"

	"convdel/imclient/imtest"
	"convdel/schema"
)

// unrecorded is a service whose outcome topic requires three in-sync replicas, one of which goes away. Nothing is lost meanwhile: calls go on until
// the events in flight are as many as they may be, no offset of an event without its outcome is committed, and wait does not take it for ended.
type unrecorded struct {
	*stage

	p            *process
	before, good []schema.Event
	first        map[int32]int64
}

// mayWait is how many events the service holds.
const mayWait = 200

// newUnrecorded starts one whose group has its coordinator on a node that stays.
func newUnrecorded(t *testing.T, stays int32) *unrecorded {
	t.Helper()
	u := &unrecorded{stage: newClusterStage(t, 3, imtest.Config{}), before: events("before", 0, 60), good: events("good", 0, mayWait+100)}
	for n := 0; u.coordinator(u.group) != stays; n++ {
		u.group = fmt.Sprintf("%s-%d", u.topic, n)
	}
	u.createOutcomeTopic(3, "min.insync.replicas", "3")
	u.start()
	u.produce(values(t, u.before)...)
	u.await(time.Minute, "every offset committed", u.drained)
	return u
}

func (u *unrecorded) start() {
	u.p = u.recording("--drain-timeout", "3s", "--max-in-flight", "200")
}

// wantUncommitted checks that nothing has been committed since the node went away.
func (u *unrecorded) wantUncommitted(when string) {
	u.tb.Helper()
	for partition, at := range u.committed() {
		if at != u.first[partition] {
			u.tb.Errorf("%s: partition %d: %d committed, although the event at %d has no outcome", when, partition, at, u.first[partition])
		}
	}
}

func (u *unrecorded) whileRefused() {
	u.tb.Helper()
	u.first = u.committed()
	u.produce(values(u.tb, u.good)...)
	u.await(time.Minute, "as many events deleted as may wait", func() bool { return len(u.deleted("good")) == mayWait })
	wait := u.stage.start(nil, append([]string{"wait", "--timeout", "5s", "--id", schema.DeadLetter{Topic: u.topic, Offset: u.first[0]}.ID()}, u.evidenceFlags()...)...)
	const unfinished = 3
	if status := wait.status(time.Minute); status != unfinished {
		u.tb.Errorf("wait: exit status %d\n%s", status, wait.stderr.String())
	}
	if n := len(u.deleted("good")); n != mayWait {
		u.tb.Errorf("%d events deleted, and %d may wait for their outcome", n, mayWait)
	}
	u.await(time.Minute, "a line about outcomes that are not written", func() bool {
		return len(u.p.lines("outcomes not written, will retry: their events have not ended before")) > 0
	})
	u.wantUncommitted("while outcomes are refused")
	u.p.stop()
	u.wantUncommitted("after the stop")
	u.start()
}

func (u *unrecorded) onceTaken() {
	u.tb.Helper()
	u.await(time.Minute, "every offset committed", u.drained)
	u.p.stop()
	again := u.wantDeleted(u.before, u.good)
	u.tb.Logf("%d of %d events done again, whose outcome was not written before the stop", again, len(u.good))
	u.books()
}
