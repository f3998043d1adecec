package consumer_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"convdel/consumer"
)

// TestTransactionsAndHoles reads a log of committed, aborted and open transactions between plain
// records: what was rolled back is not executed, and the markers' offsets are no events.
func TestTransactionsAndHoles(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{}, func(w *world) {
		t := w.t
		ctx := t.Context()
		transactional := w.newClient(kgo.TransactionalID("upstream"))
		defer transactional.Close()
		transaction := func(from, to int, commit kgo.TransactionEndTry) {
			if err := transactional.BeginTransaction(); err != nil {
				t.Fatal(err)
			}
			for _, v := range eventValues(from, to) {
				if err := transactional.ProduceSync(ctx, &kgo.Record{Topic: testTopic, Value: v}).FirstErr(); err != nil {
					t.Fatal(err)
				}
			}
			w.publish(0, eventValue(1000+from)) //nolint:contextcheck // somebody else's, in the midst of the transaction
			if err := transactional.EndTransaction(ctx, commit); err != nil {
				t.Fatal(err)
			}
		}
		for n := 0; n < 100; n += 10 {
			transaction(n, n+10, kgo.TransactionEndTry(n%20 == 0))
		}
		w.start()
		w.awaitDrained(time.Minute)
		deletes := w.api.deletes()
		for n := range 100 {
			want := 0
			if n%20 < 10 {
				want = 1
			}
			if got := deletes[conversation(n)]; got != want {
				t.Errorf("event %d of a transaction: deleted %d times, want %d", n, got, want)
			}
			if n%10 == 0 && deletes[conversation(1000+n)] != 1 {
				t.Errorf("plain event %d deleted %d times", 1000+n, deletes[conversation(1000+n)])
			}
		}
		if n := len(w.deadLetters()); n != 0 {
			t.Errorf("%d dead letters: markers are no events", n)
		}
	})
}

// TestCompactedLog reads a log of which compaction has removed most records, at its beginning, in
// its midst and at the ends of batches.
func TestCompactedLog(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{}, func(w *world) {
		t := w.t
		setTopicConfig(t, w, testTopic, "cleanup.policy", "compact")
		setTopicConfig(t, w, testTopic, "min.cleanable.dirty.ratio", "0")
		for round := range 20 {
			var batch []*kgo.Record
			for k := range 10 {
				batch = append(batch, &kgo.Record{Topic: testTopic, Key: fmt.Append(nil, "key", (round*7+k*3)%40), Value: eventValue(round*10 + k)})
			}
			w.produce(batch...)
			time.Sleep(time.Second)
		}
		w.kafka.Compact()
		left := w.readAll(testTopic)
		if len(left) >= 150 {
			t.Fatalf("compaction left %d of 200 records: the test needs holes", len(left))
		}
		w.start()
		w.awaitDrained(time.Minute)
		deletes := w.api.deletes()
		for _, r := range left {
			var n int
			if _, err := fmt.Sscanf(string(r.Value), `{"From_Account":"user%d"`, &n); err != nil {
				t.Fatal(err)
			}
			if deletes[conversation(n)] != 1 {
				t.Errorf("offset %d deleted %d times", r.Offset, deletes[conversation(n)])
			}
		}
		if len(deletes) != len(left) {
			t.Errorf("%d conversations deleted, the log has %d", len(deletes), len(left))
		}
	})
}

func setTopicConfig(t *testing.T, w *world, topic, key, value string) {
	t.Helper()
	_, err := kadm.NewClient(w.client).AlterTopicConfigs(t.Context(), []kadm.AlterConfig{{Name: key, Value: &value}}, topic)
	if err != nil {
		t.Fatal(err)
	}
}

// TestRetentionCutsTheLog: records that retention has removed before the start are said to be lost,
// and the rest is read.
func TestRetentionCutsTheLog(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{}, func(w *world) {
		t := w.t
		w.publish(0, eventValues(0, 10)...)
		w.start().drainAndStop(t)
		w.publish(0, eventValues(10, 100)...)
		if err := w.kafka.DeleteRecords(testTopic, 0, 50); err != nil {
			t.Fatal(err)
		}
		r := w.start()
		w.awaitDrained(time.Minute)
		w.wantDeletedOnce(0, 10)
		w.wantDeletedOnce(50, 100)
		if got := r.counter("convdel_offset_resets_total"); got != 1 {
			t.Errorf("%v offset resets counted, want 1", got)
		}
		if !strings.Contains(w.log.String(), "offsets_lost=40") {
			t.Error("the log does not say that 40 offsets were lost")
		}
	})
}

// drainAndStop waits until all is done and ends the replica.
func (r *replica) drainAndStop(t *testing.T) {
	t.Helper()
	r.w.awaitDrained(time.Minute)
	r.stop()
}

// counter reads a metric without labels.
func (r *replica) counter(name string) float64 {
	families, err := r.registry.Gather()
	if err != nil {
		r.w.t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetCounter().GetValue()
		}
	}
	return 0
}

// TestTopicRecreated deletes the topic and makes it anew, while nobody looks and under a running
// replica: the new log is read from its start, whether it ends before the old position or behind it. By
// the time a running replica knows, it may have committed offsets of the one as the other's.
func TestTopicRecreated(t *testing.T) {
	t.Parallel()
	for _, running := range []bool{false, true} {
		for _, fresh := range []int{50, 300} {
			t.Run(fmt.Sprintf("running=%t,fresh=%d", running, fresh), func(t *testing.T) {
				t.Parallel()
				inWorld(t, worldOptions{}, func(w *world) {
					w.publish(0, eventValues(0, 100)...)
					r := w.start()
					w.awaitDrained(time.Minute)
					if !running {
						r.stop()
					}
					w.recreateTopic()
					w.publish(0, eventValues(200, 200+fresh)...)
					if !running {
						w.start()
					}
					w.await(2*time.Minute, "the new log deleted", func() bool {
						return w.deleted(0, 100) == 100 && w.deleted(200, 200+fresh) == fresh
					})
					w.awaitDrained(time.Minute)
					w.wantDeletedOnce(0, 100)
					if !running || fresh < 100 { // otherwise the end of the new log was taken for that of the old
						w.wantDeletedOnce(200, 200+fresh)
					}
				})
			})
		}
	}
}

// TestOffsetsOfAFormerTopic: offsets that were committed of a topic that is no more do not count for the one that has
// its name, even if no broker has removed them.
func TestOffsetsOfAFormerTopic(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{}, func(w *world) {
		t := w.t
		w.publish(0, eventValues(0, 100)...)
		w.start()
		w.awaitDrained(time.Minute)
		w.replicas[0].stop()
		former := w.kafka.GroupInfo(testGroup).Commits[testTopic][0]
		w.recreateTopic()
		w.publish(0, eventValues(200, 500)...)
		offsets := kadm.Offsets{}
		offsets.Add(kadm.Offset{Topic: testTopic, At: former.Offset, LeaderEpoch: -1, Metadata: former.Metadata})
		if err := kadm.NewClient(w.client).CommitAllOffsets(t.Context(), testGroup, offsets); err != nil {
			t.Fatal(err)
		}
		r := w.start()
		w.awaitDrained(time.Minute)
		w.wantDeletedOnce(200, 500)
		if n := r.counter("convdel_offset_resets_total"); n != 1 {
			t.Errorf("%v resets of offsets in the metrics", n)
		}
	})
}

// recreateTopic deletes the topic and makes it anew, with one partition.
func (w *world) recreateTopic() {
	w.t.Helper()
	if err := w.kafka.DeleteTopic(testTopic); err != nil {
		w.t.Fatal(err)
	}
	if err := w.kafka.CreateTopic(testTopic, 1, nil); err != nil {
		w.t.Fatal(err)
	}
	w.renewClient()
}

// deleted is how many conversations of users from to to have been deleted.
func (w *world) deleted(from, to int) (n int) {
	deletes := w.api.deletes()
	for user := from; user < to; user++ {
		if deletes[conversation(user)] > 0 {
			n++
		}
	}
	return n
}

// TestPartitionsAdded: new partitions are found and read.
func TestPartitionsAdded(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{partitions: 2}, func(w *world) {
		t := w.t
		w.publish(1, eventValues(0, 50)...)
		w.start()
		w.awaitDrained(time.Minute)
		if _, err := kadm.NewClient(w.client).CreatePartitions(t.Context(), 2, testTopic); err != nil {
			t.Fatal(err)
		}
		w.renewClient()
		time.Sleep(10 * time.Second)
		w.publish(3, eventValues(50, 100)...)
		w.await(2*time.Minute, "events of the new partition deleted", func() bool { return len(w.api.deletes()) == 100 })
		w.awaitDrained(time.Minute)
	})
}

// TestDuplicatesShareCalls: 1,000 events of one conversation cost a handful of calls, never two at a
// time, each event ends, and the roaming messages go if any event asks for it.
func TestDuplicatesShareCalls(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{partitions: 2}, func(w *world) {
		t := w.t
		for n := range 1000 {
			value := eventValue(1)
			if n == 777 {
				value = []byte(strings.Replace(string(value), `"ClearRamble":0`, `"ClearRamble":1`, 1))
			}
			w.publish(int32(n%2), value)
		}
		r := w.start()
		w.awaitDrained(time.Minute)
		calls := w.api.made()
		if len(calls) > 8 {
			t.Errorf("%d calls for 1,000 duplicates", len(calls))
		}
		cleared := false
		for _, c := range calls {
			cleared = cleared || c.clearRamble
		}
		if !cleared || w.api.most > 1 {
			t.Errorf("roaming messages cleared: %t; calls at once for the conversation: %d", cleared, w.api.most)
		}
		if r.ended() != 1000 {
			t.Errorf("%v events ended", r.ended())
		}
	})
}

// TestEventsDuringACallGetTheirOwn: an event that arrives while its conversation is being called
// is not answered by that call, which may have been executed before the event happened.
func TestEventsDuringACallGetTheirOwn(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{}, func(w *world) {
		t := w.t
		w.api.set(2*time.Second, nil)
		w.publish(0, eventValue(1))
		w.start()
		w.await(10*time.Second, "the first call", func() bool { return len(w.api.made()) == 1 })
		time.Sleep(time.Second)
		w.publish(0, eventValue(1), eventValue(1))
		w.awaitDrained(time.Minute)
		if n := len(w.api.made()); n != 2 || w.api.most != 1 {
			t.Errorf("%d calls, %d at once; want 2, one after the other", n, w.api.most)
		}
	})
}

// TestRebalanceWhileWaitingForRetry: what waits for its next attempt goes to the next owner.
func TestRebalanceWhileWaitingForRetry(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{partitions: 2}, func(w *world) {
		w.guardCommits()
		w.api.set(50*time.Millisecond, func(consumer.Call, int) consumer.Answer { return verdict(consumer.Transient, 50004) })
		w.publishNumbered(2, 40)
		w.start(func(c *consumer.Config) { c.RetryInitial, c.RetryMax = 20*time.Second, time.Minute })
		time.Sleep(5 * time.Second)
		w.api.set(50*time.Millisecond, nil)
		w.start()
		w.awaitDrained(2 * time.Minute)
		for p := range 2 {
			w.wantDeletedOnce(numberAt(int32(p), 0), numberAt(int32(p), 40))
		}
	})
}

// TestLetterThatDoesNotFit: a dead letter that the broker refuses for its size, in whatever form, is kept and tried
// again, alone, and holds up no other letter.
func TestLetterThatDoesNotFit(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{}, func(w *world) {
		t := w.t
		const codec, codecs = 22, 7
		refused := w.kafka.Fault(kfake.Fault{
			Keys: []kmsg.Key{kmsg.Produce}, Topic: testDLT, Err: kerr.MessageTooLarge, Count: -1,
			When: func(r kmsg.Request) bool {
				p, _ := r.(*kmsg.ProduceRequest)
				batch := p.Topics[0].Partitions[0].Records
				return batch[codec]&codecs != 0 || bytes.Contains(batch, []byte("events/0/20")) // none but that letter is compressed
			},
		})
		var values [][]byte
		for n := range 50 {
			values = append(values, fmt.Append(nil, "garbage ", n))
		}
		w.publish(0, values...)
		w.start()
		w.await(time.Minute, "49 dead letters", func() bool { return len(w.letterKeys()) == 49 })
		time.Sleep(time.Minute)
		if c := w.committed()[0]; c != 20 {
			t.Errorf("committed %d, want 20: that record has not ended", c)
		}
		refused.Remove()
		w.awaitDrained(2 * time.Minute)
		if n := len(w.letterKeys()); n != 50 {
			t.Errorf("%d dead letters, want 50", n)
		}
	})
}

// TestBrokerRefusesMetadata: without room for the list of finished offsets, plain offsets are committed.
func TestBrokerRefusesMetadata(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{}, func(w *world) {
		w.kafka.Fault(kfake.Fault{
			Keys: []kmsg.Key{kmsg.OffsetCommit}, Topic: testTopic, Err: kerr.OffsetMetadataTooLarge, Count: -1,
			When: func(r kmsg.Request) bool {
				c, _ := r.(*kmsg.OffsetCommitRequest)
				for _, t := range c.Topics {
					for _, p := range t.Partitions {
						if p.Metadata != nil && *p.Metadata != "" {
							return true
						}
					}
				}
				return false
			},
		})
		w.api.set(50*time.Millisecond, func(c consumer.Call, before int) consumer.Answer {
			if c.Conversation == conversation(0) && before < 4 {
				return verdict(consumer.Transient, 50004)
			}
			return verdict(consumer.Deleted, 0)
		})
		w.publish(0, eventValues(0, 300)...)
		w.start()
		w.awaitDrained(time.Minute)
		w.wantDeletedOnce(0, 300)
	})
}

// TestOldEventsExpire: with max-event-age, an event that is too old, or becomes so while it waits, is
// not executed.
func TestOldEventsExpire(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{}, func(w *world) {
		t := w.t
		w.api.set(50*time.Millisecond, func(c consumer.Call, _ int) consumer.Answer {
			if c.Conversation == conversation(2) {
				return verdict(consumer.Transient, 50004)
			}
			return verdict(consumer.Deleted, 0)
		})
		w.publish(0, eventValue(0))
		time.Sleep(time.Hour)
		w.publish(0, eventValue(1), eventValue(2))
		w.start(func(c *consumer.Config) { c.MaxEventAge, c.MaxAttempts = time.Minute, 100 })
		w.awaitDrained(5 * time.Minute)
		deletes := w.api.deletes()
		if deletes[conversation(0)] != 0 || deletes[conversation(1)] != 1 {
			t.Errorf("deletes: %v", deletes)
		}
		for _, l := range w.deadLetters() {
			if header(l, "dlt-class") != "expired" {
				t.Errorf("dead letter %s of class %s", l.Key, header(l, "dlt-class"))
			}
		}
		if n := len(w.letterKeys()); n != 2 {
			t.Errorf("%d dead letters, want 2", n)
		}
	})
}

// TestLostMemberStopsCalling: a replica that no longer reaches Kafka makes no call after its session
// is over, when another member may own its partitions.
func TestLostMemberStopsCalling(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{partitions: 2}, func(w *world) {
		t := w.t
		for p := range int32(2) {
			w.publish(p, eventValues(int(p)*2000, int(p)*2000+2000)...)
		}
		r := w.start()
		time.Sleep(4 * time.Second)
		r.net.sever()
		cut := time.Now()
		time.Sleep(time.Minute)
		for _, c := range w.api.made() {
			if late := c.began.Sub(cut); late > 10*time.Second {
				t.Fatalf("call %s after the connection was lost; the session lasts 12 s", late)
			}
		}
		r.net.mend()
		w.awaitDrained(2 * time.Minute)
		if n := len(w.api.deletes()); n != 4000 {
			t.Errorf("%d conversations deleted", n)
		}
	})
}

// mend lets a severed network be used again.
func (s *severable) mend() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dead = false
}

// TestMissingTopicFailsTheStart, unless topics are to be created.
func TestMissingTopicFailsTheStart(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{}, func(w *world) {
		t := w.t
		r := w.start(func(c *consumer.Config) { c.DeadLetterTopic = "not.there" })
		<-r.done
		var topic *consumer.TopicError
		if !errors.As(r.err, &topic) || topic.Topic != "not.there" {
			t.Errorf("Run returned %v, want a TopicError of not.there", r.err)
		}
		r.err = nil
		w.start(func(c *consumer.Config) { c.DeadLetterTopic, c.CreateTopics = "not.there", true })
		w.publish(0, []byte("garbage"))
		w.awaitDrained(time.Minute)
		if info := w.kafka.TopicInfo("not.there"); info == nil {
			t.Error("the dead-letter topic was not created")
		}
		if n := len(w.readAll("not.there")); n != 1 {
			t.Errorf("%d dead letters", n)
		}
	})
}

// TestStopBeforeKafkaIsThere: a replica that waits for brokers stops at once.
func TestStopBeforeKafkaIsThere(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{}, func(w *world) {
		t := w.t
		r := w.start(func(c *consumer.Config) {
			c.Cluster.Dial = (&severable{dial: w.network.DialContext, dead: true}).DialContext
		})
		time.Sleep(time.Minute)
		if took := r.stop(); took > time.Second {
			t.Errorf("stop took %s", took)
		}
	})
}

// TestLetterTopicIsChecked: settings by which dead letters would be lost are warned of at the start.
func TestLetterTopicIsChecked(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{}, func(w *world) {
		t := w.t
		setTopicConfig(t, w, testDLT, "max.message.bytes", "1000")
		warnings := []string{"removes records by age", "would not fit as dead letters"}
		w.start()
		w.await(time.Minute, "a generation", func() bool { return strings.Contains(w.log.String(), "generation begins") })
		for _, text := range warnings {
			if !strings.Contains(w.log.String(), text) {
				t.Errorf("no warning that says %q", text)
			}
		}
		setTopicConfig(t, w, testDLT, "max.message.bytes", "2000000")
		setTopicConfig(t, w, testDLT, "cleanup.policy", "compact")
		before := len(w.log.String())
		w.start()
		time.Sleep(time.Minute)
		for _, text := range warnings {
			if strings.Contains(w.log.String()[before:], text) {
				t.Errorf("a warning that says %q, of a topic that is well", text)
			}
		}
	})
}

// TestTopicGone: while the topic is not there, generations follow each other at a bearable pace.
func TestTopicGone(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{}, func(w *world) {
		t := w.t
		r := w.start()
		w.await(time.Minute, "a generation", func() bool { return r.Status().Live })
		if err := w.kafka.DeleteTopic(testTopic); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Minute)
		if n := r.counter("convdel_generations_total"); n > 130 {
			t.Errorf("%v generations in two minutes without the topic", n)
		}
	})
}
