package evidence_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kgo"

	"convdel/consumer/evidence"
	"convdel/schema"
)

// waited is the result of a wait.
type waited struct {
	events []*evidence.Event
	err    error
	took   time.Duration
}

// wait waits for events in the background.
func (d *desk) wait(r *evidence.Reader, timeout time.Duration, receipts ...evidence.Receipt) <-chan waited {
	d.t.Helper()
	done := make(chan waited, 1)
	go func() {
		began := time.Now()
		events, _, err := r.Wait(d.t.Context(), receipts, evidence.Waiting{Timeout: timeout, Every: 5 * time.Second})
		done <- waited{events, err, time.Since(began)}
	}()
	return done
}

func receipts(ids ...string) []evidence.Receipt {
	var all []evidence.Receipt
	for _, id := range ids {
		all = append(all, evidence.Receipt{ID: id})
	}
	return all
}

// TestWaitForOutcomes: waiting ends within a look of the last outcome, in the order of the receipts.
func TestWaitForOutcomes(t *testing.T) {
	t.Parallel()
	atDesk(t, func(d *desk) {
		e, f := asks("alice", "bob"), asks("alice", "carol")
		one, two := d.publish(0, e), d.publish(1, f)
		done := d.wait(d.reader(), time.Hour, receipts(two, one, two)...)
		time.Sleep(time.Minute)
		d.end(one, schema.OutcomeDeleted, &e)
		time.Sleep(time.Minute)
		d.end(two, schema.OutcomePermanent, &f)
		got := <-done
		if got.err != nil || got.took < 2*time.Minute || got.took > 2*time.Minute+10*time.Second || len(got.events) != 2 {
			t.Fatalf("%+v", got)
		}
		if a, b := got.events[0], got.events[1]; a.ID != two || a.Ruling.How != "permanent" || b.ID != one || !b.Ruling.Deleted() {
			t.Errorf("%+v, %+v", a.Ruling, b.Ruling)
		}
	})
}

// TestWaitForOffsets: without outcomes, an offset that has ended without a dead letter is a delete, not proven. What has a dead letter is
// none.
func TestWaitForOffsets(t *testing.T) {
	t.Parallel()
	atDesk(t, func(d *desk) {
		e, f := asks("alice", "bob"), asks("alice", "carol")
		one, two, three := d.publish(0, e), d.publish(0, f), d.publish(0, e)
		done := d.wait(d.reader(withoutOutcomes), time.Hour, receipts(one, two, three)...)
		time.Sleep(time.Minute)
		d.commit(0, 0, 1, 2) // the first is still waiting
		time.Sleep(time.Minute)
		d.bury(dead(two, schema.ClassExhausted), source(t, f))
		d.commit(0, 3)
		got := <-done
		if got.err != nil || got.took < 2*time.Minute || got.took > 2*time.Minute+10*time.Second {
			t.Fatalf("%+v", got)
		}
		for i, want := range []evidence.Ruling{
			{How: "deleted", Record: one, Basis: evidence.ByOffset},
			{How: "exhausted", Record: two, Basis: evidence.ByLetter, Proven: true},
			{How: "deleted", Record: three, Basis: evidence.ByOffset},
		} {
			if r := got.events[i].Ruling; r.How != want.How || r.Record != want.Record || r.Basis != want.Basis || r.Proven != want.Proven {
				t.Errorf("%d: %+v, want %+v", i, r, want)
			}
		}
	})
}

// TestWaitForTheOutcomeBehindADeadLetter: a dead letter of a service that records outcomes is no end as long as its outcome is not recorded and the
// offset is open. The next owner of the partition executes the event again, and may delete it.
func TestWaitForTheOutcomeBehindADeadLetter(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		end  func(d *desk, id string, e *schema.Event)
		want evidence.Ruling
	}{
		"deleted by the next owner": {func(d *desk, id string, e *schema.Event) { d.end(id, schema.OutcomeDeleted, e) }, evidence.Ruling{How: "deleted", Basis: evidence.ByOutcome, Proven: true}},
		"recorded late":             {func(d *desk, id string, e *schema.Event) { d.end(id, schema.OutcomePermanent, e) }, evidence.Ruling{How: "permanent", Basis: evidence.ByOutcome, Proven: true}},
		"ended without an outcome":  {func(d *desk, _ string, _ *schema.Event) { d.commit(0, 1) }, evidence.Ruling{How: "permanent", Basis: evidence.ByLetter, Proven: true}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			atDesk(t, func(d *desk) {
				e := asks("alice", "bob")
				id := d.publish(0, e)
				d.commit(0, 0)
				l := dead(id, schema.ClassPermanent)
				l.OutcomeTopic = ends
				d.bury(l, source(t, e))
				if got := d.one(d.reader(), id); got.Ruling.Final() || got.Letter == nil || !strings.Contains(strings.Join(got.Notes, ""), "its outcome is not recorded yet") {
					t.Errorf("found %+v, %q", got.Ruling, got.Notes)
				}
				if short := <-d.wait(d.reader(), time.Minute, receipts(id)...); short.err != nil || short.events[0].Ruling.Final() {
					t.Errorf("when the time is up: %+v, %v", short.events, short.err)
				}
				done := d.wait(d.reader(), time.Hour, receipts(id)...)
				time.Sleep(time.Minute)
				c.end(d, id, &e)
				got := <-done
				if got.err != nil || got.took < time.Minute || got.took > time.Minute+10*time.Second {
					t.Fatalf("%+v", got)
				}
				if r := got.events[0].Ruling; r.How != c.want.How || r.Basis != c.want.Basis || r.Proven != c.want.Proven {
					t.Errorf("%+v, want %+v", r, c.want)
				}
			})
		})
	}
}

// TestWaitFollowsAReplay: an event whose dead letter is replayed while somebody waits for another one ends as the replay does.
func TestWaitFollowsAReplay(t *testing.T) {
	t.Parallel()
	for name, outcomes := range map[string]bool{"outcomes": true, "offsets": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			atDesk(t, func(d *desk) {
				e := asks("alice", "bob")
				r := source(t, e)
				one, other := d.put(0, r), d.publish(1, asks("x", "y"))
				d.commit(1, 0)
				l := dead(one, schema.ClassExhausted)
				end := func(id string, kind schema.OutcomeKind, edit ...func(*schema.Outcome)) {
					if outcomes {
						d.end(id, kind, &e, edit...)
					}
				}
				reader := d.reader()
				if !outcomes {
					reader = d.reader(withoutOutcomes)
				}
				done := d.wait(reader, time.Hour, receipts(one, other)...)
				time.Sleep(time.Minute)
				d.bury(l, r)
				end(one, schema.OutcomeExhausted)
				d.commit(0, 1)
				time.Sleep(time.Minute)
				again := d.replay(2, l, r)
				end(one, schema.OutcomeReplayed, func(o *schema.Outcome) { o.By = "operator" })
				d.settle(one, "operator", "")
				time.Sleep(time.Minute)
				d.commit(1, 1)
				if outcomes {
					f := asks("x", "y")
					d.end(other, schema.OutcomeDeleted, &f)
				}
				time.Sleep(time.Minute)
				end(again, schema.OutcomeDeleted, replayOf(one))
				d.commit(2, 1)
				got := <-done
				if got.err != nil || got.took < 4*time.Minute || got.took > 4*time.Minute+10*time.Second {
					t.Fatalf("%+v", got)
				}
				if r := got.events[0].Ruling; !r.Deleted() || r.Record != again || r.By != "operator" {
					t.Errorf("%+v", r)
				}
			})
		})
	}
}

// TestWaitEndsInTime: what has not ended is not final.
func TestWaitEndsInTime(t *testing.T) {
	t.Parallel()
	atDesk(t, func(d *desk) {
		e := asks("alice", "bob")
		one, two, three := d.publish(0, e), d.publish(1, e), d.publish(1, e)
		d.end(one, schema.OutcomeDeleted, &e)
		d.commit(1, 0, 1) // the last one has ended without an outcome
		got := <-d.wait(d.reader(), 6*time.Minute, receipts(one, two, three)...)
		if got.err != nil || got.took < 6*time.Minute || got.took > 7*time.Minute {
			t.Fatalf("%+v", got)
		}
		if a, b, c := got.events[0].Ruling, got.events[1].Ruling, got.events[2].Ruling; !a.Proven || b.Final() || !c.Deleted() || c.Proven {
			t.Errorf("%+v, %+v, %+v", a, b, c)
		}
	})
}

// TestWaitRefusesReceiptsOfAnotherTopic: of another name, beyond the end, or of a former topic of the same name.
func TestWaitRefusesReceiptsOfAnotherTopic(t *testing.T) {
	t.Parallel()
	atDesk(t, func(d *desk) {
		id := d.publish(0, asks("alice", "bob"))
		conv := conversation("alice", "carol")
		same := conversation("alice", "bob")
		for _, c := range []struct {
			receipt evidence.Receipt
			want    string
		}{
			{evidence.Receipt{ID: "other/0/0"}, "is no record of topic events"},
			{evidence.Receipt{ID: topic + "/3/0"}, "the topic has 3 partitions"},
			{evidence.Receipt{ID: topic + "/0/1"}, "the partition ends at offset 1"},
			{evidence.Receipt{ID: id, Conversation: &conv}, "asks for something else"},
			{evidence.Receipt{ID: id, Conversation: &same, EventID: "x"}, "asks for something else"},
		} {
			got := <-d.wait(d.reader(), time.Hour, c.receipt)
			if _, ok := errors.AsType[*evidence.ReceiptError](got.err); !ok || !strings.Contains(got.err.Error(), c.want) {
				t.Errorf("%+v: %v, want %q", c.receipt, got.err, c.want)
			}
		}
	})
}

// TestWaitForWhatIsNoRecord: nothing will ever be heard of an offset that a transaction's marker or an aborted record has.
func TestWaitForWhatIsNoRecord(t *testing.T) {
	t.Parallel()
	atDesk(t, func(d *desk) {
		e := asks("alice", "bob")
		end := d.transact(e)
		done := d.wait(d.reader(), time.Hour, receipts(topic+"/0/0")...)
		time.Sleep(time.Minute)
		select {
		case got := <-done:
			t.Fatalf("it did not wait for the transaction: %+v", got)
		default:
		}
		end(kgo.TryAbort)
		d.publish(0, e)
		got := <-done
		if got.err != nil || got.took > 2*time.Minute || got.events[0].Ruling.How != evidence.None || got.events[0].Source != evidence.Absent {
			t.Errorf("%+v", got)
		}
		got = <-d.wait(d.reader(), time.Hour, receipts(topic+"/0/1")...) // the marker
		if got.err != nil || got.events[0].Ruling.How != evidence.None {
			t.Errorf("%+v", got)
		}
	})
}

// TestWaitBelievesNoOtherProgramsOffset: an operator who has moved the group has executed nothing.
func TestWaitBelievesNoOtherProgramsOffset(t *testing.T) {
	t.Parallel()
	atDesk(t, func(d *desk) {
		id := d.publish(0, asks("alice", "bob"))
		d.commitAs(0, 1, "")
		got := <-d.wait(d.reader(), time.Hour, receipts(id)...)
		if got.err != nil || got.events[0].Ruling.How != evidence.Unknown || !strings.Contains(strings.Join(got.events[0].Notes, ""), "another program") {
			t.Errorf("%+v", got)
		}
	})
}

// TestWaitInfersNothingFromDeadLettersThatCantBeRead: the one that is missing might be there.
func TestWaitInfersNothingFromDeadLettersThatCantBeRead(t *testing.T) {
	t.Parallel()
	atDesk(t, func(d *desk) {
		id := d.publish(0, asks("alice", "bob"))
		end := d.transactIn(letters, []byte("x"))
		d.commit(0, 1)
		done := d.wait(d.reader(withoutOutcomes), time.Hour, receipts(id)...)
		time.Sleep(time.Minute)
		end(kgo.TryAbort)
		got := <-done
		if got.err != nil || !got.events[0].Ruling.Deleted() || got.took < time.Minute {
			t.Errorf("%+v", got)
		}
	})
}

// TestWaitInfersNothingFromOutcomesThatAreHidden: while a transaction is open in the topic of outcomes, the one that is missing may lie behind it.
func TestWaitInfersNothingFromOutcomesThatAreHidden(t *testing.T) {
	t.Parallel()
	atDesk(t, func(d *desk) {
		e := asks("alice", "bob")
		id := d.publish(0, e)
		for (kafka.Murmur2Balancer{}).Balance(kafka.Message{Key: []byte(id)}, 0, 1, 2) != 0 { // the transaction's partition
			id = d.publish(0, e)
		}
		end := d.transactIn(ends, []byte("x"))
		d.end(id, schema.OutcomeDeleted, &e)
		d.commit(0, 100)
		short := <-d.wait(d.reader(), time.Minute, receipts(id)...)
		if r := short.events[0]; short.err != nil || r.Ruling.Final() || !strings.Contains(strings.Join(r.Notes, ""), "a transaction is open") {
			t.Errorf("%+v, %v", r, short.err)
		}
		done := d.wait(d.reader(), time.Hour, receipts(id)...)
		time.Sleep(time.Minute)
		end(kgo.TryAbort)
		if got := <-done; got.err != nil || !got.events[0].Ruling.Proven || got.took < time.Minute {
			t.Errorf("%+v", got)
		}
	})
}

// TestWaitOutlastsAnOutage: brokers that are away for a while end no wait, and nothing is missed.
func TestWaitOutlastsAnOutage(t *testing.T) {
	t.Parallel()
	atDesk(t, func(d *desk) {
		e := asks("alice", "bob")
		id := d.publish(0, e)
		done := d.wait(d.reader(), time.Hour, receipts(id)...)
		time.Sleep(10 * time.Second)
		d.dial.Sever()
		time.Sleep(5 * time.Minute)
		d.end(id, schema.OutcomeDeleted, &e)
		time.Sleep(5 * time.Minute)
		d.dial.Mend()
		got := <-done
		if got.err != nil || !got.events[0].Ruling.Deleted() || got.took > 12*time.Minute {
			t.Errorf("%+v", got)
		}
	})
}

// TestWaitEndsInAnOutage: what has not been seen to end by then is not final, and no error.
func TestWaitEndsInAnOutage(t *testing.T) {
	t.Parallel()
	atDesk(t, func(d *desk) {
		e := asks("alice", "bob")
		one, two := d.publish(0, e), d.publish(0, e)
		d.end(one, schema.OutcomeDeleted, &e)
		done := d.wait(d.reader(), 5*time.Minute, receipts(one, two)...)
		time.Sleep(time.Minute)
		d.dial.Sever()
		got := <-done
		if got.err != nil || got.took < 5*time.Minute || !got.events[0].Ruling.Proven || got.events[1].Ruling.Final() {
			t.Errorf("%+v", got)
		}
	})
}

// TestWaitBeginsInAnOutage: brokers that are away when it begins end no wait either, as while a partition elects its leader. Receipts of another topic
// are refused once they are back.
func TestWaitBeginsInAnOutage(t *testing.T) {
	t.Parallel()
	atDesk(t, func(d *desk) {
		e := asks("alice", "bob")
		id := d.publish(0, e)
		reader, other, short := d.reader(), d.reader(), d.reader()
		d.dial.Sever()
		done := d.wait(reader, time.Hour, receipts(id)...)
		refused := d.wait(other, time.Hour, receipts(topic+"/0/9")...)
		if got := <-d.wait(short, time.Minute, receipts(id)...); got.err == nil || got.took < time.Minute || got.took > 2*time.Minute {
			t.Errorf("it has seen nothing until its time was up: %+v", got)
		}
		d.end(id, schema.OutcomeDeleted, &e)
		d.dial.Mend()
		if got := <-done; got.err != nil || !got.events[0].Ruling.Deleted() {
			t.Errorf("%+v", got)
		}
		got := <-refused
		if _, ok := errors.AsType[*evidence.ReceiptError](got.err); !ok || got.took > 3*time.Minute {
			t.Errorf("%+v", got)
		}
	})
}

// TestWaitCanBeStopped: by its context.
func TestWaitCanBeStopped(t *testing.T) {
	t.Parallel()
	atDesk(t, func(d *desk) {
		id := d.publish(0, asks("alice", "bob"))
		ctx, cancel := context.WithTimeout(d.t.Context(), time.Minute)
		defer cancel()
		_, _, err := d.reader().Wait(ctx, receipts(id), evidence.Waiting{Timeout: time.Hour, Every: time.Second})
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
	})
}
