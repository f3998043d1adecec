//go:build kafka

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"convdel/internal/testkit"
	"convdel/schema"
)

// outcomeTopic is where the stage's services record outcomes.
func (s *stage) outcomeTopic() string { return s.topic + ".outcome" }

// createOutcomeTopic creates it, with the settings given as name and value in turn.
func (s *stage) createOutcomeTopic(partitions int32, settings ...string) {
	s.tb.Helper()
	config := make(map[string]*string)
	for i := 0; i < len(settings); i += 2 {
		config[settings[i]] = &settings[i+1]
	}
	made, err := s.admin.CreateTopic(s.tb.Context(), partitions, -1, config, s.outcomeTopic())
	if err != nil || made.Err != nil {
		s.tb.Fatal(err, made.Err)
	}
	s.tb.Cleanup(func() { _, _ = s.admin.DeleteTopics(context.Background(), s.outcomeTopic()) })
	s.await(30*time.Second, "leaders of the outcome topic", func() bool { return s.leads(s.outcomeTopic(), partitions) })
}

// recording starts a service that records outcomes.
func (s *stage) recording(flags ...string) *process {
	s.tb.Helper()
	return s.service(append([]string{"--outcome-topic", s.outcomeTopic(), "--calls-per-second", "1000"}, flags...)...)
}

// killRecording kills a service that records outcomes, and takes it out of the group, so that the next one need not wait for its session to end.
func (s *stage) killRecording(p *process) {
	s.tb.Helper()
	p.kill()
	leave := kmsg.NewPtrLeaveGroupRequest()
	leave.Group = s.group
	for _, id := range s.members() {
		m := kmsg.NewLeaveGroupRequestMember()
		m.MemberID = id
		leave.Members = append(leave.Members, m)
	}
	left, err := leave.RequestWith(s.tb.Context(), s.client)
	if err == nil {
		err = kerr.ErrorForCode(left.ErrorCode)
	}
	if err != nil {
		s.tb.Fatal(err)
	}
}

// evidenceFlags locate the evidence.
func (s *stage) evidenceFlags() []string {
	return []string{
		"--brokers", strings.Join(s.brokers, ","), "--topic", s.topic, "--dead-letter-topic", s.dlt, "--group", s.group,
		"--outcome-topic", s.outcomeTopic(),
	}
}

// status waits for a command's end, and returns its exit status.
func (p *process) status(limit time.Duration) int {
	p.tb.Helper()
	select {
	case <-p.done:
	case <-time.After(limit):
		p.tb.Fatalf("%v has not ended in %s:\n%s", p.cmd.Args, limit, p.stderr.String())
	}
	return p.cmd.ProcessState.ExitCode()
}

// ended says whether the process has.
func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// row is what tests read of a row of events find and wait.
type row struct {
	ID, State, Outcome, Evidence string
	Proven                       bool
	Conversation                 struct {
		From string `json:"From_Account"`
	}
}

// rowsOf reads the rows in an output that has other lines, too, by ID.
func rowsOf(tb testing.TB, output string) map[string]row {
	tb.Helper()
	rows := make(map[string]row)
	for line := range strings.Lines(output) {
		if !strings.HasPrefix(line, "{") {
			continue
		}
		var r row
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			tb.Fatalf("%q: %v", line, err)
		}
		rows[r.ID] = r
	}
	return rows
}

// find returns the rows of events find.
func (s *stage) find(selector ...string) map[string]row {
	s.tb.Helper()
	args := append([]string{"events", "find", "--format", "ndjson"}, s.evidenceFlags()...)
	return rowsOf(s.tb, s.command(time.Minute, append(args, selector...)...))
}

// records reads all records of a topic.
func (s *stage) records(topic string) []*kgo.Record {
	s.tb.Helper()
	ctx, cancel := context.WithTimeout(s.tb.Context(), 30*time.Second)
	defer cancel()
	all, err := testkit.ReadTopic(ctx, s.client, topic)
	if err != nil {
		s.tb.Fatal(err)
	}
	return all
}

// idOf is the ID of a record.
func idOf(r *kgo.Record) string {
	return schema.DeadLetter{Topic: r.Topic, Partition: int(r.Partition), Offset: r.Offset}.ID()
}

// books compares the topic of events with that of outcomes: each record has an outcome, each outcome has its record and asks for the same.
// It returns the events by their record's ID, and when the first outcome of each was written.
func (s *stage) books() (asked map[string]schema.Event, first map[string]time.Time) {
	s.tb.Helper()
	asked, first = make(map[string]schema.Event), make(map[string]time.Time)
	for _, r := range s.records(s.topic) {
		event, err := schema.Decode(r.Value, testkit.Headers(r))
		if err != nil {
			s.tb.Errorf("%s: %v", idOf(r), err)
		}
		asked[idOf(r)] = event
	}
	for _, r := range s.records(s.outcomeTopic()) {
		o, err := schema.DecodeOutcome(r.Key, r.Value)
		if err != nil {
			s.tb.Errorf("%s: %v", idOf(r), err)
			continue
		}
		id := o.Record()
		event, ok := asked[id]
		if !ok || !bytes.Equal(r.Key, []byte(id)) || o.Event == nil || o.Event.Conversation != event.Conversation || o.EventID != event.ID || o.ErasureID != event.ErasureID {
			s.tb.Errorf("outcome %+v, and its record is %+v", o, event)
		}
		if first[id].IsZero() || r.Timestamp.Before(first[id]) {
			first[id] = r.Timestamp
		}
	}
	for id := range asked {
		if first[id].IsZero() {
			s.tb.Errorf("%s has no outcome", id)
		}
	}
	return asked, first
}

// imFlags locate the simulator.
func (s *stage) imFlags() []string {
	return []string{"--im-endpoint", s.sim.URL, "--im-sdkappid", strconv.Itoa(sdkAppID), "--im-identifier", admin}
}
