package consumer_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"convdel/consumer"
	"convdel/internal/testkit/rawbatch"
	"convdel/schema"
)

const testOutcomes = "events.outcome"

// outcomesWorld makes a world with an outcome topic.
func outcomesWorld(partitions int32) worldOptions {
	return worldOptions{partitions: partitions, kafka: []kfake.Opt{kfake.SeedTopics(3, testOutcomes)}}
}

// withOutcomes turns outcomes on.
func withOutcomes(c *consumer.Config) { c.OutcomeTopic = testOutcomes }

// refuseOutcomes makes the outcome topic take nothing until the fault is removed.
func (w *world) refuseOutcomes() *kfake.FaultHandle {
	return w.kafka.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: testOutcomes, Err: kerr.NotEnoughReplicas, Count: -1})
}

// outcomes reads the outcome topic. It returns the newest outcome of each id, and how many records there are.
func (w *world) outcomes() (byID map[string]schema.Outcome, records int) {
	w.t.Helper()
	byID = make(map[string]schema.Outcome)
	all := w.readAll(testOutcomes)
	for _, r := range all {
		o, err := schema.DecodeOutcome(r.Key, r.Value)
		if err != nil {
			w.t.Fatalf("%s: %v", r.Value, err)
		}
		byID[o.ID()] = o
	}
	return byID, len(all)
}

// guardOutcomes fails the test if an offset is committed whose event has no outcome yet.
func (w *world) guardOutcomes() (check func()) {
	var mu sync.Mutex
	type commit struct {
		partition int32
		offset    int64
		outcomes  int64
	}
	var commits []commit
	w.kafka.ControlKey(int16(kmsg.OffsetCommit), func(req kmsg.Request) (kmsg.Response, error, bool) {
		w.kafka.KeepControl()
		r, _ := req.(*kmsg.OffsetCommitRequest)
		var written int64
		for _, p := range w.kafka.PartitionInfos(testOutcomes) {
			written += p.HighWatermark
		}
		mu.Lock()
		defer mu.Unlock()
		for _, t := range r.Topics {
			for _, p := range t.Partitions {
				commits = append(commits, commit{p.Partition, p.Offset, written})
			}
		}
		return nil, nil, false
	})
	return func() {
		mu.Lock()
		defer mu.Unlock()
		if len(commits) == 0 {
			w.t.Error("nothing was committed")
		}
		latest := make(map[int32]int64)
		for _, c := range commits {
			latest[c.partition] = max(latest[c.partition], c.offset)
			var committed int64
			for _, offset := range latest {
				committed += offset
			}
			if committed > c.outcomes {
				w.t.Fatalf("%d records are committed, and only %d outcomes are written", committed, c.outcomes)
			}
		}
	}
}

// TestPromise11_EveryEndHasItsOutcome: each record has one outcome, which says how, when and after how many calls it ended, and a
// dead letter names the topic.
func TestPromise11_EveryEndHasItsOutcome(t *testing.T) {
	t.Parallel()
	inWorld(t, outcomesWorld(2), func(w *world) {
		t := w.t
		check := w.guardOutcomes()
		w.api.set(50*time.Millisecond, mixedAnswer)
		w.publishNumbered(2, 300)
		began := time.Now()
		r := w.start(withOutcomes)
		w.awaitDrained(5 * time.Minute)
		check()
		outcomes, records := w.outcomes()
		kinds := make(map[schema.OutcomeKind]int)
		for id, o := range outcomes {
			kinds[o.Kind]++
			user := -1
			if o.Event == nil || o.Event.To != "friend" {
				t.Fatalf("%s has the conversation %v", id, o.Event)
			}
			_, _ = fmt.Sscanf(o.Event.From, "user%d", &user)
			want := map[int]schema.Outcome{
				1: {Kind: schema.OutcomePermanent, Code: 50001, Attempts: 1}, 2: {Kind: schema.OutcomeExhausted, Code: 50004, Attempts: 6},
				3: {Kind: schema.OutcomeDeleted, Attempts: 4},
			}[user%10]
			if want.Kind == "" {
				want = schema.Outcome{Kind: schema.OutcomeDeleted, Attempts: 1}
			}
			if o.Kind != want.Kind || o.Code != want.Code || o.Attempts != want.Attempts || o.Shared || o.Group != testGroup {
				t.Errorf("%s of user %d: %+v, want %+v", id, user, o, want)
			}
			if o.FirstAttempt.Before(began) || o.Ended.Before(o.FirstAttempt.Add(50*time.Millisecond)) || o.Ended.After(time.Now()) {
				t.Errorf("%s: first attempt %s, ended %s", id, o.FirstAttempt, o.Ended)
			}
		}
		if records != 600 || len(outcomes) != 600 || kinds[schema.OutcomeDeleted] != 480 || kinds[schema.OutcomePermanent] != 60 || kinds[schema.OutcomeExhausted] != 60 {
			t.Errorf("%d outcomes in %d records: %v", len(outcomes), records, kinds)
		}
		for _, l := range w.letters() {
			if l.OutcomeTopic != testOutcomes || l.OutcomeHidesAccounts {
				t.Errorf("letter %s names the outcome topic %q, without accounts %t", l.ID(), l.OutcomeTopic, l.OutcomeHidesAccounts)
			}
			if _, ok := outcomes[l.ID()+":"+string(l.Class)]; !ok {
				t.Errorf("letter %s has no outcome", l.ID())
			}
		}
		if err := testutil.GatherAndCompare(r.registry, strings.NewReader(`
			# HELP convdel_outcomes_total Outcomes that the broker has acknowledged, by outcome; 0 without outcome-topic. It follows convdel_events_total.
			# TYPE convdel_outcomes_total counter
			convdel_outcomes_total{outcome="deleted"} 480
			convdel_outcomes_total{outcome="exhausted"} 60
			convdel_outcomes_total{outcome="expired"} 0
			convdel_outcomes_total{outcome="permanent"} 60
			convdel_outcomes_total{outcome="revived"} 0
			convdel_outcomes_total{outcome="undecodable"} 0
			# HELP convdel_outcomes_waiting Events that have not ended only because the broker has not acknowledged their outcome. If it stays high, see that the outcome topic takes writes.
			# TYPE convdel_outcomes_waiting gauge
			convdel_outcomes_waiting 0
		`), "convdel_outcomes_total", "convdel_outcomes_waiting"); err != nil {
			t.Error(err)
		}
	})
}

// letters reads the dead letters.
func (w *world) letters() (all []schema.DeadLetter) {
	w.t.Helper()
	for _, r := range w.deadLetters() {
		headers := make([]schema.Header, len(r.Headers))
		for i, h := range r.Headers {
			headers[i] = schema.Header{Key: h.Key, Value: h.Value}
		}
		d, err := schema.ParseDeadLetter(headers)
		if err != nil {
			w.t.Fatal(err)
		}
		all = append(all, d)
	}
	return all
}

// TestPromise11_OutcomesSayWhatTheEventSaid: the CloudEvents attributes, the erasure and the dead letter that was replayed are in the
// outcome; a record that is no event has neither those nor a conversation.
func TestPromise11_OutcomesSayWhatTheEventSaid(t *testing.T) {
	t.Parallel()
	inWorld(t, outcomesWorld(1), func(w *world) {
		t := w.t
		e := schema.Event{Conversation: conversation(1), ClearRamble: true, ID: "id-1", Source: "/accounts", ErasureID: "R-1", Time: time.Now()}
		structured, err := e.EncodeWhole()
		if err != nil {
			t.Fatal(err)
		}
		w.publish(0, structured, []byte("garbage"), eventValue(2), eventValue(2))
		w.produce(replayOf(3, 0))
		w.start(withOutcomes, func(c *consumer.Config) { c.MaxEventAge = time.Hour })
		w.awaitDrained(time.Minute)
		w.produce(&kgo.Record{Topic: testTopic, Value: eventValue(4), Timestamp: time.Now().Add(-2 * time.Hour)})
		w.awaitDrained(time.Minute)
		outcomes, _ := w.outcomes()
		of := func(offset int, kind schema.OutcomeKind) schema.Outcome {
			t.Helper()
			o, ok := outcomes[fmt.Sprintf("%s/0/%d:%s", testTopic, offset, kind)]
			if !ok {
				t.Fatalf("no outcome %s of offset %d", kind, offset)
			}
			return o
		}
		if o := of(0, schema.OutcomeDeleted); o.EventID != e.ID || o.EventSource != e.Source || o.ErasureID != e.ErasureID ||
			o.Event.Conversation != e.Conversation || !o.Event.ClearRamble || o.ReplayOf != "" || o.Shared {
			t.Errorf("of the CloudEvent: %+v", o)
		}
		if o := of(1, schema.OutcomeUndecodable); o.Event != nil || o.EventID != "" || o.Attempts != 0 || !o.FirstAttempt.IsZero() {
			t.Errorf("of garbage: %+v", o)
		}
		if a, b := of(2, schema.OutcomeDeleted), of(3, schema.OutcomeDeleted); !a.Shared || !b.Shared || a.Attempts != 1 || len(w.api.made()) != 3 {
			t.Errorf("of two events that one call answered: %+v and %+v", a, b)
		}
		if o := of(4, schema.OutcomeDeleted); o.ReplayOf != testTopic+"/0/1000003" {
			t.Errorf("of a replay: %+v", o)
		}
		if o := of(5, schema.OutcomeExpired); o.Event == nil || o.Event.From != "user4" || o.Attempts != 0 || o.Code != 0 {
			t.Errorf("of an old event: %+v", o)
		}
	})
}

// TestPromise11_OutcomesWithoutAccounts: with the setting, no account is anywhere in the outcome topic, and dead letters say so to those
// who settle them.
func TestPromise11_OutcomesWithoutAccounts(t *testing.T) {
	t.Parallel()
	inWorld(t, outcomesWorld(1), func(w *world) {
		t := w.t
		w.api.set(time.Millisecond, mixedAnswer)
		w.publish(0, eventValues(0, 10)...)
		w.start(withOutcomes, func(c *consumer.Config) { c.OutcomesHideAccounts = true })
		w.awaitDrained(5 * time.Minute)
		for _, r := range w.readAll(testOutcomes) {
			if text := string(r.Value); strings.Contains(text, "user") || strings.Contains(text, "friend") || strings.Contains(text, "conversation\"") {
				t.Errorf("an outcome names an account: %s", text)
			}
		}
		if outcomes, _ := w.outcomes(); len(outcomes) != 10 {
			t.Errorf("%d outcomes, want 10", len(outcomes))
		}
		letters := w.letters()
		if len(letters) != 2 || !letters[0].OutcomeHidesAccounts || !letters[1].OutcomeHidesAccounts {
			t.Errorf("dead letters: %+v", letters)
		}
	})
}

// TestPromise11_ABatchThatCanNotBeReadHasOneOutcome, of the ID of its dead letter.
func TestPromise11_ABatchThatCanNotBeReadHasOneOutcome(t *testing.T) {
	t.Parallel()
	inWorld(t, outcomesWorld(1), func(w *world) {
		t := w.t
		w.publish(0, eventValue(0))
		w.send(0, brokenBatch())
		w.publish(0, eventValue(1))
		w.start(withOutcomes)
		w.awaitDrained(time.Minute)
		outcomes, _ := w.outcomes()
		letters := w.letters()
		if len(letters) != 1 || letters[0].Batch == nil {
			t.Fatalf("dead letters: %+v", letters)
		}
		o, ok := outcomes[letters[0].ID()+":undecodable"]
		if !ok || o.Event != nil || len(outcomes) != int(w.kafka.PartitionInfos(testTopic)[0].HighWatermark)-int(letters[0].Batch.Last-letters[0].Batch.First) {
			t.Errorf("of the batch %+v: %+v; %d outcomes in all", letters[0].Batch, o, len(outcomes))
		}
	})
}

// TestPromise2_OutcomeTopicRefusesForTenMinutes: calls go on until max-in-flight is full, no offset is committed whose outcome is
// missing, and nothing is done again when the topic takes outcomes once more.
func TestPromise2_OutcomeTopicRefusesForTenMinutes(t *testing.T) {
	t.Parallel()
	inWorld(t, outcomesWorld(2), func(w *world) {
		t := w.t
		check := w.guardOutcomes()
		const most, n = 400, 500
		w.api.set(50*time.Millisecond, mixedAnswer)
		refused := w.refuseOutcomes()
		w.publishNumbered(2, n/2)
		r := w.start(withOutcomes, func(c *consumer.Config) { c.MaxInFlight = most })
		w.await(time.Minute, "max-in-flight full of ended events", func() bool { return r.Unfinished().Outcomes > most*9/10 })
		time.Sleep(10 * time.Minute)
		u := r.Unfinished()
		if u.Total() != most || u.Outcomes < most*9/10 || u.DeadLetters != 0 {
			t.Errorf("at work: %+v, want %d events whose outcome is missing", u, most)
		}
		if got := r.metric("convdel_outcomes_waiting"); int(got) != u.Outcomes {
			t.Errorf("the metric has %v waiting, of %d", got, u.Outcomes)
		}
		for p, offset := range w.committed() {
			if offset > 0 {
				t.Errorf("partition %d: %d committed", p, offset)
			}
		}
		stalled := r.Status().Stalled
		if stalled == nil || !strings.Contains(stalled.Why, "outcomes are not written to their topic") {
			t.Errorf("stalled: %+v", stalled)
		}
		refused.Remove()
		w.awaitDrained(5 * time.Minute)
		check()
		if outcomes, records := w.outcomes(); len(outcomes) != n || records != n {
			t.Errorf("%d outcomes in %d records, want %d", len(outcomes), records, n)
		}
		for c, times := range w.api.deletes() {
			if times > 1 {
				t.Errorf("%v is deleted %d times", c, times)
			}
		}
	})
}

// TestPromise2_OutcomesWaitForTheirLetters: while dead letters are refused, no outcome says that there is one.
func TestPromise2_OutcomesWaitForTheirLetters(t *testing.T) {
	t.Parallel()
	inWorld(t, outcomesWorld(1), func(w *world) {
		t := w.t
		refused := w.refuseLetters()
		w.publish(0, []byte("garbage"), eventValue(1))
		w.start(withOutcomes)
		time.Sleep(time.Minute)
		outcomes, _ := w.outcomes()
		if _, deleted := outcomes[testTopic+"/0/1:deleted"]; !deleted || len(outcomes) != 1 {
			t.Errorf("while the letter is refused: %v", outcomes)
		}
		refused.Remove()
		w.awaitDrained(time.Minute)
		if outcomes, _ := w.outcomes(); len(outcomes) != 2 {
			t.Errorf("in the end: %v", outcomes)
		}
	})
}

// TestPromise2_LostAcknowledgementsOfOutcomes: outcomes that were appended without an answer are written again with the same id, and no
// event is done again.
func TestPromise2_LostAcknowledgementsOfOutcomes(t *testing.T) {
	t.Parallel()
	inWorld(t, outcomesWorld(1), func(w *world) {
		t := w.t
		check := w.guardOutcomes()
		w.kafka.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: testOutcomes, Err: kerr.NotEnoughReplicasAfterAppend, Count: 20})
		w.publish(0, eventValues(0, 100)...)
		w.start(withOutcomes)
		w.awaitDrained(5 * time.Minute)
		check()
		w.wantDeletedOnce(0, 100)
		outcomes, records := w.outcomes()
		if len(outcomes) != 100 || records <= 100 {
			t.Errorf("%d outcomes in %d records", len(outcomes), records)
		}
	})
}

// TestPromise2_OutcomesAreWrittenToAllReplicas: an outcome that one broker alone has acknowledged can be lost with it.
func TestPromise2_OutcomesAreWrittenToAllReplicas(t *testing.T) {
	t.Parallel()
	inWorld(t, outcomesWorld(1), func(w *world) {
		t := w.t
		var written, weak atomic.Int64
		w.kafka.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
			w.kafka.KeepControl()
			p, _ := req.(*kmsg.ProduceRequest)
			if p.Topics[0].Topic == testOutcomes || p.Topics[0].TopicID == w.kafka.TopicInfo(testOutcomes).TopicID {
				written.Add(1)
				if p.Acks != -1 {
					weak.Add(1)
				}
			}
			return nil, nil, false
		})
		w.publish(0, eventValues(0, 100)...)
		w.start(withOutcomes)
		w.awaitDrained(time.Minute)
		if written.Load() == 0 || weak.Load() > 0 {
			t.Errorf("%d requests, %d of which did not ask for all replicas", written.Load(), weak.Load())
		}
	})
}

// TestPromise11_KilledBeforeTheCommit: an event whose outcome is written and whose offset is not committed comes again. Its second
// outcome is the same CloudEvent.
func TestPromise11_KilledBeforeTheCommit(t *testing.T) {
	t.Parallel()
	inWorld(t, outcomesWorld(1), func(w *world) {
		t := w.t
		w.publish(0, eventValue(0))
		first := w.start(withOutcomes)
		w.awaitDrained(time.Minute)
		uncommitted := w.kafka.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Err: kerr.CoordinatorLoadInProgress, Count: -1})
		w.publish(0, append(eventValues(1, 20), []byte("garbage"))...)
		w.await(time.Minute, "all outcomes", func() bool { outcomes, _ := w.outcomes(); return len(outcomes) == 21 })
		before, _ := w.outcomes()
		first.kill()
		uncommitted.Remove()
		w.start(withOutcomes)
		w.awaitDrained(5 * time.Minute)
		after, records := w.outcomes()
		if records != 41 || len(after) != 21 {
			t.Errorf("%d outcomes in %d records, want 21 in 41", len(after), records)
		}
		for id := range before {
			if _, ok := after[id]; !ok {
				t.Errorf("%s is missing", id)
			}
		}
	})
}

// TestPromise6_DrainWaitsForOutcomes: a stop waits for outcomes under way, so that no event is done twice. If the topic takes none
// within the drain timeout, the stop leaves the events to the next owner.
func TestPromise6_DrainWaitsForOutcomes(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		refused time.Duration
		calls   int
	}{
		{"a topic that is back in time", 5 * time.Second, 1},
		{"a topic that is not", time.Minute, 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			inWorld(t, outcomesWorld(1), func(w *world) {
				t := w.t
				check := w.guardOutcomes()
				refused := w.refuseOutcomes()
				w.publish(0, append(eventValues(0, 20), []byte("garbage"))...)
				first := w.start(withOutcomes, func(c *consumer.Config) { c.DrainTimeout = 20 * time.Second })
				w.await(time.Minute, "calls made", func() bool { return first.Unfinished().Outcomes == 21 })
				time.AfterFunc(test.refused, refused.Remove)
				took := first.stop()
				want := consumer.Unfinished{}
				if test.calls == 2 {
					want.Outcomes = 21
				}
				if got := first.Unfinished(); got != want || took > 30*time.Second {
					t.Errorf("after %s the stop has left %+v, want %+v", took, got, want)
				}
				time.Sleep(time.Minute)
				w.start(withOutcomes)
				w.awaitDrained(5 * time.Minute)
				check()
				for n := range 20 {
					if got := w.api.deletes()[conversation(n)]; got != test.calls {
						t.Errorf("conversation %d deleted %d times, want %d", n, got, test.calls)
					}
				}
				if outcomes, _ := w.outcomes(); len(outcomes) != 21 {
					t.Errorf("%d outcomes", len(outcomes))
				}
			})
		})
	}
}

// TestPromise8_OutcomesThatWaitGiveTheirBytesBack: events with large records whose outcomes wait leave the bytes in flight to others.
func TestPromise8_OutcomesThatWaitGiveTheirBytesBack(t *testing.T) {
	t.Parallel()
	inWorld(t, outcomesWorld(1), func(w *world) {
		refused := w.refuseOutcomes()
		for n := range 200 {
			w.publish(0, fmt.Appendf(nil, `{"From_Account":"user%d","Type":1,"To_Account":"friend","P":%q}`, n, strings.Repeat("x", 8000)))
		}
		r := w.start(withOutcomes, func(c *consumer.Config) { c.MaxInFlightBytes = 64 << 10 })
		w.await(2*time.Minute, "every event deleted", func() bool { return w.deleted(0, 200) == 200 && r.Unfinished().Outcomes == 200 })
		refused.Remove()
		w.awaitDrained(time.Minute)
		w.wantDeletedOnce(0, 200)
	})
}

// TestOutcomesRefusedForTheirSize: where a topic takes no large batches, outcomes are written one by one.
func TestOutcomesRefusedForTheirSize(t *testing.T) {
	t.Parallel()
	inWorld(t, outcomesWorld(1), func(w *world) {
		setTopicConfig(w.t, w, testOutcomes, "max.message.bytes", "900")
		w.api.set(0, nil)
		w.publish(0, eventValues(0, 100)...)
		w.start(withOutcomes, func(c *consumer.Config) { c.CallsPerSecond = 0 })
		w.awaitDrained(5 * time.Minute)
		w.wantDeletedOnce(0, 100)
		if outcomes, _ := w.outcomes(); len(outcomes) != 100 {
			w.t.Errorf("%d outcomes", len(outcomes))
		}
	})
}

// TestOutcomeTopicAtTheStart: a missing topic ends the start or is made, and settings by which outcomes would be lost are warned of.
func TestOutcomeTopicAtTheStart(t *testing.T) {
	t.Parallel()
	inWorld(t, outcomesWorld(1), func(w *world) {
		t := w.t
		missing := w.start(func(c *consumer.Config) { c.OutcomeTopic = "not.there" })
		<-missing.done
		if missing.err == nil || !strings.Contains(missing.err.Error(), "not.there") {
			t.Errorf("Run returned %v, want an error about not.there", missing.err)
		}
		missing.err = nil
		setTopicConfig(t, w, testOutcomes, "cleanup.policy", "compact")
		setTopicConfig(t, w, testOutcomes, "retention.ms", "3600000")
		setTopicConfig(t, w, testOutcomes, "max.message.bytes", "900")
		warnings := []string{"keeps only the last one of each event", "outcomes will be gone soon", "an outcome may not fit"}
		odd := w.start(withOutcomes)
		w.await(time.Minute, "a generation", func() bool { return strings.Contains(w.log.String(), "generation begins") })
		for _, text := range warnings {
			if !strings.Contains(w.log.String(), text) {
				t.Errorf("no warning that says %q", text)
			}
		}
		odd.stop()
		before := len(w.log.String())
		w.start(func(c *consumer.Config) { c.OutcomeTopic, c.CreateTopics = "made", true })
		w.publish(0, eventValue(1))
		w.awaitDrained(time.Minute)
		if n := len(w.readAll("made")); n != 1 {
			t.Errorf("%d outcomes in the topic that was made", n)
		}
		for _, text := range warnings {
			if strings.Contains(w.log.String()[before:], text) {
				t.Errorf("a warning that says %q, of a topic that the service has made", text)
			}
		}
		if info := w.kafka.TopicInfo("made"); info == nil || *info.Configs["retention.ms"] != "7776000000" || *info.Configs["cleanup.policy"] != "delete" {
			t.Errorf("made with %+v", info)
		}
	})
}

// TestOutcomeTopicIsAnother: the three topics differ.
func TestOutcomeTopicIsAnother(t *testing.T) {
	t.Parallel()
	for _, topic := range []string{testTopic, testDLT} {
		_, err := consumer.New(consumer.Config{Topic: testTopic, DeadLetterTopic: testDLT, OutcomeTopic: topic})
		if err == nil || !slices.ContainsFunc(strings.Split(err.Error(), "\n"), func(line string) bool { return strings.Contains(line, "OutcomeTopic is the same as") }) {
			t.Errorf("%s: %v", topic, err)
		}
	}
}

// brokenBatch is a batch of three offsets of which only the first can be read.
func brokenBatch() []byte {
	event := func(delta int64, n int) []byte { return rawbatch.Plain(delta, eventValue(n), 0) }
	b := rawbatch.Of(now(), event(0, 100), event(1, 101), event(2, 102))
	b.Records = append(event(0, 100), bytes.Repeat([]byte{0xff}, 40)...)
	return b.Bytes()
}
