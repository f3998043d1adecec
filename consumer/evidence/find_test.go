package evidence_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"convdel/consumer/evidence"
	"convdel/consumer/mention"
	"convdel/internal/testkit/rawbatch"
	"convdel/schema"
)

func idsOf(events []*evidence.Event) []string {
	var ids []string
	for _, e := range events {
		ids = append(ids, e.ID)
	}
	return ids
}

// TestFindBySelector: each selector finds the events it names and no others, with what has become of them.
func TestFindBySelector(t *testing.T) {
	t.Parallel()
	atDesk(t, func(d *desk) {
		erased := asks("alice", "carol")
		erased.ErasureID = "R-1"
		bob, back := asks("alice", "bob"), asks("bob", "alice")
		first := d.publish(0, bob)
		time.Sleep(time.Hour)
		second := d.publish(1, erased)
		third := d.publish(2, back)
		other := d.publish(2, asks("dave", "erin"))
		d.end(first, schema.OutcomeDeleted, &bob)
		d.end(first, schema.OutcomeDeleted, &bob) // the service was killed in between
		d.end(other, schema.OutcomeDeleted, nil)
		conv := conversation("alice", "bob")
		for name, c := range map[string]struct {
			q    evidence.Query
			want []string
		}{
			"record":       {evidence.Query{Records: []string{second, first}}, []string{second, first}},
			"account":      {evidence.Query{Account: "alice"}, []string{first, second, third}},
			"since":        {evidence.Query{Account: "alice", Since: time.Now().Add(-time.Minute)}, []string{second, third}},
			"event ID":     {evidence.Query{EventID: "id-bob-alice"}, []string{third}},
			"erasure":      {evidence.Query{ErasureID: "R-1"}, []string{second}},
			"conversation": {evidence.Query{Conversation: &conv, EveryPartition: true}, []string{first}},
			"two":          {evidence.Query{Account: "alice", ErasureID: "R-1"}, []string{second}},
			"nothing":      {evidence.Query{Account: "alic"}, nil},
		} {
			for kind, r := range map[string]*evidence.Reader{"outcomes": d.reader(), "none": d.reader(withoutOutcomes)} {
				events, totals := d.find(r, c.q)
				if got := idsOf(events); !slices.Equal(got, c.want) || totals.Mentioned+totals.Unjudged+totals.Disputed != 0 {
					t.Errorf("%s, %s: %v, want %v, totals %+v", name, kind, got, c.want, totals)
				}
			}
		}
		got := d.one(d.reader(), first)
		if !got.Ruling.Deleted() || !got.Ruling.Proven || got.Ruling.Basis != evidence.ByOutcome || got.Ruling.Attempts != 1 || got.Event == nil || got.Event.ID != bob.ID || len(got.Outcomes) != 1 {
			t.Errorf("first: %+v", got)
		}
		if open := d.one(d.reader(), second); open.Ruling.Final() || open.Commit != evidence.CommitNone {
			t.Errorf("second: %+v", open)
		}
	})
}

// TestFindReadsTheKeysPartitionFirst: a conversation is looked for where publishers put it, and everywhere if it is not there.
func TestFindReadsTheKeysPartitionFirst(t *testing.T) {
	t.Parallel()
	atDesk(t, func(d *desk) {
		r := d.reader(withoutOutcomes)
		conv := conversation("alice", "bob")
		own := int32(kgo.StickyKeyPartitioner(nil).ForTopic(topic).Partition(&kgo.Record{Key: []byte(conv.Key())}, 3))
		elsewhere := d.publish((own+1)%3, asks("alice", "bob"))
		events, totals := d.find(r, evidence.Query{Conversation: &conv})
		if got := idsOf(events); !slices.Equal(got, []string{elsewhere}) || totals.OnlyPartition != nil {
			t.Errorf("elsewhere: %v, %+v", got, totals)
		}
		here := d.publish(own, asks("alice", "bob"))
		events, totals = d.find(r, evidence.Query{Conversation: &conv})
		if got := idsOf(events); !slices.Equal(got, []string{here}) || totals.OnlyPartition == nil || *totals.OnlyPartition != int(own) || totals.Records != 1 {
			t.Errorf("in the key's partition: %v, %+v", got, totals)
		}
		events, totals = d.find(r, evidence.Query{Conversation: &conv, EveryPartition: true})
		if len(events) != 2 || totals.OnlyPartition != nil {
			t.Errorf("everywhere: %v, %+v", idsOf(events), totals)
		}
	})
}

// TestFindIsLenientWithWhatIsNoEvent: a record that can't be decoded is found by what it holds, marked, and counted where nobody can
// tell.
func TestFindIsLenientWithWhatIsNoEvent(t *testing.T) {
	t.Parallel()
	atDesk(t, func(d *desk) {
		bad := schema.Record{Key: []byte("k"), Value: []byte(`{"From_Account":"alice","Type":"1","To_Account":"bob"}`)}
		id := d.put(0, bad)
		d.put(1, schema.Record{Value: []byte("\x1f\x8bzipped")})
		d.put(1, schema.Record{Key: []byte("k"), Value: []byte("nothing of it")})
		d.bury(dead(id, schema.ClassUndecodable), bad)
		d.commit(0, 1)
		conv := conversation("alice", "bob")
		for _, q := range []evidence.Query{{Account: "alice"}, {Conversation: &conv, EveryPartition: true}, {Account: "bob"}} {
			events, totals := d.find(d.reader(), q)
			if len(events) != 1 || events[0].ID != id || events[0].Mention != mention.Field || totals.Mentioned != 1 || totals.Unjudged != 1 {
				t.Fatalf("%+v: %v, %+v", q, idsOf(events), totals)
			}
			if r := events[0].Ruling; r.How != "undecodable" || r.Basis != evidence.ByLetter {
				t.Errorf("ruling %+v", r)
			}
		}
	})
}

// TestWhereTheRecordIsGone: an outcome and a dead letter tell of events whose records the topic no longer has, and say so.
func TestWhereTheRecordIsGone(t *testing.T) {
	t.Parallel()
	atDesk(t, func(d *desk) {
		e, f := asks("alice", "bob"), asks("alice", "carol")
		one, two := d.publish(0, e), d.publish(0, f)
		three := d.publish(0, asks("alice", "dave"))
		d.end(one, schema.OutcomeDeleted, &e)
		d.bury(dead(two, schema.ClassExhausted), source(t, f))
		d.commit(0, 3)
		d.trim(0, 3)
		events, _ := d.find(d.reader(), evidence.Query{Account: "alice"})
		if got := idsOf(events); len(got) != 2 || !slices.Contains(got, one) || !slices.Contains(got, two) {
			t.Fatalf("found %v", got)
		}
		for _, e := range events {
			if e.Source != evidence.Removed || e.Event == nil || len(e.Notes) != 1 || !strings.Contains(e.Notes[0], "no longer in the topic") {
				t.Errorf("%+v, %+v", e, e.Notes)
			}
		}
		if got := d.one(d.reader(), three).Ruling; got.How != evidence.Unknown || got.Proven {
			t.Errorf("nothing tells of the third: %+v", got)
		}
	})
}

// TestForgedEvidence: an outcome or a dead letter of another event that bears a record's ID does not count for it.
func TestForgedEvidence(t *testing.T) {
	t.Parallel()
	atDesk(t, func(d *desk) {
		e, stranger := asks("alice", "bob"), asks("mallory", "bob")
		id := d.publish(0, e)
		d.end(id, schema.OutcomeDeleted, &stranger)
		d.bury(dead(id, schema.ClassExhausted), source(t, stranger))
		events, totals := d.find(d.reader(), evidence.Query{Account: "alice"})
		if len(events) != 1 || events[0].Ruling.Final() || totals.Disputed != 2 || len(events[0].Notes) != 2 {
			t.Errorf("%+v, %+v", events[0], totals)
		}
		events, totals = d.find(d.reader(), evidence.Query{Account: "mallory"})
		if len(events) != 0 || totals.Disputed == 0 {
			t.Errorf("found %v for the stranger, %+v", idsOf(events), totals)
		}
		// The same conversation under another event ID, and an outcome of a time long before the record.
		another := e
		another.ID = "another"
		id = d.publish(1, e)
		d.end(id, schema.OutcomeDeleted, &another)
		d.end(id, schema.OutcomeDeleted, &e, func(o *schema.Outcome) { o.Ended = o.Ended.Add(-25 * time.Hour) })
		if got := d.one(d.reader(), id); got.Ruling.Final() || len(got.Notes) != 2 {
			t.Errorf("%+v", got)
		}
		// A record that asks for an account with another's erasure ID is an event of its own, and hides nothing.
		e.ErasureID, stranger.ErasureID = "R-9", "R-9"
		own, forged := d.publish(2, e), d.publish(2, stranger)
		d.end(forged, schema.OutcomeDeleted, &stranger)
		events, _ = d.find(d.reader(), evidence.Query{ErasureID: "R-9"})
		if got := idsOf(events); !slices.Equal(got, []string{own, forged}) || events[0].Ruling.Final() || !events[1].Ruling.Deleted() {
			t.Errorf("erasure: %v", got)
		}
	})
}

// TestAnotherGroupsOutcomes: what another service has done with the topic says nothing of this one.
func TestAnotherGroupsOutcomes(t *testing.T) {
	t.Parallel()
	atDesk(t, func(d *desk) {
		e := asks("alice", "bob")
		id := d.publish(0, e)
		d.end(id, schema.OutcomeDeleted, &e, func(o *schema.Outcome) { o.Group = "staging" })
		events, totals := d.find(d.reader(), evidence.Query{Records: []string{id}})
		if events[0].Ruling.Final() || totals.OtherGroups != 1 {
			t.Errorf("%+v, %+v", events[0].Ruling, totals)
		}
		// Its operators settle its dead letters, not this group's.
		for _, kind := range []schema.OutcomeKind{schema.OutcomeExhausted, schema.OutcomeReplayed, schema.OutcomeDiscarded} {
			d.end(id, kind, &e, func(o *schema.Outcome) { o.Group = "staging" })
			if got := d.one(d.reader(), id); got.Ruling.Final() || len(got.Outcomes) > 0 {
				t.Errorf("%s by another group: %+v", kind, got.Ruling)
			}
		}
	})
}

// TestFindSaysWhereDeadLettersAreElsewhere: with the wrong dead-letter topic, events would look deleted.
func TestFindSaysWhereDeadLettersAreElsewhere(t *testing.T) {
	t.Parallel()
	atDesk(t, func(d *desk) {
		id := d.publish(0, asks("alice", "bob"))
		d.commit(0, 1)
		_, _, err := d.reader(func(c *evidence.Config) { c.DeadLetterTopic = ends }).Find(d.t.Context(), evidence.Query{Records: []string{id}})
		if err == nil || !strings.Contains(err.Error(), "has its dead letters in "+letters) {
			t.Errorf("error %v", err)
		}
	})
}

// TestADeadLetterOfABatch: it stands for every event in the batch, none of which can be read.
func TestADeadLetterOfABatch(t *testing.T) {
	t.Parallel()
	atDesk(t, func(d *desk) {
		batch := rawbatch.Of(time.Now().UnixMilli(), rawbatch.Plain(0, []byte("a"), 0), nil, nil)
		batch.Records = append(batch.Records, bytes.Repeat([]byte{0xff}, 40)...)
		if err := rawbatch.Send(d.t.Context(), d.client, topic, 0, batch.Bytes()); err != nil {
			d.t.Fatal(err)
		}
		second := topic + "/0/1"
		d.commit(0, 3)
		if got := d.one(d.reader(), second); got.Source != evidence.Unreadable || got.Ruling.How != evidence.Unknown {
			t.Errorf("without a dead letter: %+v", got)
		}
		l := dead(topic+"/0/1", schema.ClassUndecodable)
		l.Batch = &schema.Batch{First: 1, Last: 2}
		d.bury(l, schema.Record{Value: []byte("raw")})
		for _, id := range []string{second, topic + "/0/2"} {
			if got := d.one(d.reader(), id); got.Ruling.How != "undecodable" || got.Ruling.Basis != evidence.ByLetter {
				t.Errorf("%s: %+v", id, got.Ruling)
			}
		}
	})
}
