package sim

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"convdel/imclient/imtest"
	"convdel/internal/erasure"
	"convdel/schema"
)

const (
	// leaver is the beginning of the names of accounts that are erased, mate that of the others in their conversations.
	leaver = "leaver-"
	mate   = "mate-"
	// deserted is the beginning of the names of accounts that the API does not know.
	deserted = "code-50001-" + mate
)

// leaving is an account that a person erases.
type leaving struct {
	request erasure.Request
	at      time.Duration
	// rate is how many parts are published a second, wait how long a run may take.
	rate int
	wait time.Duration
	// plans says that the first run only plans. The next runs are killed, each in its own way. pause is the time between two runs. again is how
	// many more runs come once the erasure is over, replays that dead letters of the account are replayed before.
	plans, replays bool
	kills          []kill
	pause          time.Duration
	again          int
	// has are the entries of lists when the day begins, those of the account and those of others that bystanders are in.
	has []entryOf
	// messages arrive at their times. restless is how many more arrive while the account's list is read.
	messages []messageOf
	restless int
	// refused is the API's answer to deletes for the account at the beginning of the day, for some time; 0 if it has none.
	refused int
	until   time.Duration
	// blind is when the account's list fails for blindFor; 0 is never.
	blind, blindFor time.Duration

	course course
}

// entryOf is an entry of a list.
type entryOf struct {
	schema.Conversation
	last   time.Duration // of the day; negative before it
	pinned bool
}

// messageOf is a message in a conversation.
type messageOf struct {
	schema.Conversation
	at time.Duration
}

// kill ends a run some time after the step of a kind has begun that is the nth of the run.
type kill struct {
	step  step
	nth   int
	after time.Duration
}

// step is what a run asks its desk for.
type step string

const (
	finding    step = "find"
	listing    step = "list"
	publishing step = "publish"
	awaiting   step = "await"
)

func erasing(sc *scenario) bool { return len(sc.leaving) > 0 }

// drawLeaving draws the accounts that are erased.
func drawLeaving(sc *scenario) {
	d := &drawer{Rand: rngOf(sc, 8), sc: sc}
	if !sc.outcomes || !d.chance(0.75) {
		return
	}
	sc.listLimit = pick(d.Rand, []int{0, 8, 15})
	if sc.pageSize == 0 && sc.revivedCheck == 0 {
		sc.pageSize = pick(d.Rand, []int{0, 0, 3})
	}
	for n := range 1 + d.IntN(2) {
		sc.leaving = append(sc.leaving, d.leaving(n))
	}
}

func (d *drawer) leaving(n int) *leaving {
	v := &leaving{
		at: d.between(time.Second, d.sc.length), rate: pick(d.Rand, []int{50, 50, 10}), wait: pick(d.Rand, []time.Duration{5 * time.Second, 20 * time.Second, time.Minute, 10 * time.Minute}),
		plans: d.chance(0.2), replays: d.chance(0.7), again: pick(d.Rand, []int{0, 1, 1}), pause: d.between(time.Second, 20*time.Second),
	}
	v.request = erasure.Request{
		ID: fmt.Sprintf("R-%d", n), Account: leaver + strconv.Itoa(n), OtherSides: d.chance(0.5), ClearRamble: d.chance(0.5),
	}
	for range d.IntN(6) {
		v.kills = append(v.kills, pick(d.Rand, []kill{
			{step: finding, nth: 1},
			{step: listing, nth: 1},
			{step: listing, nth: 1 + d.IntN(6)},
			{step: publishing, nth: 1},
			{step: publishing, nth: 1},
			{step: publishing, nth: 2},
			{step: awaiting, nth: 1},
			{step: awaiting, nth: 1 + d.IntN(2)},
		}))
		v.kills[len(v.kills)-1].after = pick(d.Rand, []time.Duration{0, d.between(0, 10*time.Millisecond), d.between(0, 200*time.Millisecond), d.between(0, 3*time.Second)})
	}
	if d.chance(0.1) {
		return v // an account without anything
	}
	if d.chance(0.2) {
		v.again = max(v.again, 1)
		v.refused, v.until = 50001+d.IntN(2), pick(d.Rand, []time.Duration{v.at + d.between(0, 30*time.Second), 24 * time.Hour})
	}
	if d.chance(0.4) {
		v.blind, v.blindFor = v.at+d.between(300*time.Millisecond, 4*time.Second), d.between(20*time.Second, time.Minute)
		v.wait = pick(d.Rand, []time.Duration{5 * time.Second, 20 * time.Second})
	}
	if d.chance(0.4) {
		v.restless = 1 + d.IntN(4)
	}
	d.conversations(v, n)
	d.strangers(v)
	return v
}

// conversations draws those of an account. The other side of one of two has an entry, too, and others that stay.
func (d *drawer) conversations(v *leaving, n int) {
	var own []schema.Conversation
	for i := range 1 + d.IntN(30) {
		c := schema.Conversation{From: v.request.Account, Type: schema.C2C, To: fmt.Sprintf("%s%d-%d", mate, n, i)}
		switch p := d.Float64(); {
		case p < 0.25:
			c.Type, c.To = schema.G2C, fmt.Sprintf("@TGS#%d-%d", n, i)
		case p < 0.3:
			c.To = fmt.Sprintf("%s%d-%d", deserted, n, i)
		default:
			if d.chance(0.8) {
				v.has = append(v.has, entryOf{Conversation: schema.Conversation{From: c.To, Type: schema.C2C, To: c.From}, last: -d.between(time.Hour, 100*time.Hour)})
			}
			if d.chance(0.5) {
				v.has = append(v.has, entryOf{Conversation: schema.Conversation{From: c.To, Type: schema.C2C, To: "bystander"}, last: -d.between(time.Hour, 100*time.Hour)})
			}
		}
		own = append(own, c)
		if d.chance(0.1) { // it begins during the day
			v.messages = append(v.messages, messageOf{c, min(d.sc.length, v.at+d.between(-10*time.Second, 20*time.Second))})
			continue
		}
		v.has = append(v.has, entryOf{Conversation: c, last: -d.between(time.Hour, 100*time.Hour), pinned: d.chance(0.1)})
	}
	for range pick(d.Rand, []int{0, 0, 1, 3}) { // to both sides, as messages are
		c, at := pick(d.Rand, own), min(d.sc.length, v.at+d.between(-10*time.Second, time.Minute))
		v.messages = append(v.messages, messageOf{c, at})
		if other, ok := d.otherSide(c); ok {
			v.messages = append(v.messages, messageOf{other, at})
		}
	}
}

// otherSide returns the other side of a conversation of two whose account the API knows.
func (d *drawer) otherSide(c schema.Conversation) (schema.Conversation, bool) {
	return schema.Conversation{From: c.To, Type: schema.C2C, To: c.From}, c.Type == schema.C2C && !strings.HasPrefix(c.To, deserted)
}

// strangers adds records of others that bear the request's ID: another conversation with a part's ID, a conversation of the account with an ID
// that is no part's, and another account's.
func (d *drawer) strangers(v *leaving) {
	if !d.chance(0.4) {
		return
	}
	one := func() schema.Conversation { return pick(d.Rand, v.has).Conversation }
	own := func() schema.Conversation { return pick(d.Rand, v.has).own(v.request.Account) }
	for i := range 1 + d.IntN(4) {
		e := &planned{id: fmt.Sprintf("stranger-%s-%d", v.request.ID, i), at: min(d.sc.length, max(0, v.at+d.between(-20*time.Second, 5*time.Second))), named: true, erasureID: v.request.ID, clearRamble: d.chance(0.5)}
		switch d.IntN(3) {
		case 0:
			e.Conversation, e.eventID = own(), schema.PartID(v.request.ID, own())
		case 1:
			e.Conversation, e.eventID = one(), e.id
		default:
			e.Conversation = schema.Conversation{From: "stranger-" + e.id, Type: schema.C2C, To: "friend"}
			e.eventID = schema.PartID(v.request.ID, e.Conversation)
		}
		if e.To == "bystander" || e.eventID == schema.PartID(v.request.ID, e.Conversation) && strings.Contains(e.From+e.To, leaver) {
			continue // it would be true, or erase what stays
		}
		e.key = []byte(e.Key())
		e.header = []kgo.RecordHeader{{Key: schema.ContentTypeHeader, Value: []byte(schema.ContentTypeStructured)}}
		var err error
		e.value, err = schema.Event{
			Conversation: e.Conversation, ClearRamble: e.clearRamble, ID: e.eventID, Source: "/sim", ErasureID: e.erasureID,
		}.EncodeCloudEvent()
		if err == nil {
			d.sc.events = append(d.sc.events, e)
		}
	}
}

// String describes the erasure.
func (v *leaving) String() string {
	return fmt.Sprintf("%s: %s at %s, %d entries, other sides %t, clear %t, rate %d, runs of %s, %d kills, refused %d, restless %d, blind at %s for %s", v.request.ID, v.request.Account,
		v.at.Round(100*time.Millisecond), len(v.has), v.request.OtherSides, v.request.ClearRamble, v.rate, v.wait, len(v.kills), v.refused, v.restless, v.blind, v.blindFor)
}

// settleIn gives the accounts that are erased, and others, their conversations.
func (w *world) settleIn() {
	for _, v := range w.sc.leaving {
		for _, e := range v.has {
			w.api.sim.AddConversations(e.From, imtest.Conversation{Type: int(e.Type), To: e.To, MsgTime: w.began.Add(e.last), Pinned: e.pinned})
		}
		if v.refused != 0 {
			w.api.sim.Script(imtest.Fault{API: imtest.APIDelete, Account: v.request.Account, Code: v.refused, NotAfter: w.began.Add(v.until)})
		}
		if v.blind > 0 {
			from := w.began.Add(v.blind)
			w.api.sim.Script(imtest.Fault{API: imtest.APIGetList, Account: v.request.Account, HTTPStatus: 503, NotBefore: from, NotAfter: from.Add(v.blindFor)})
		}
	}
}

// leaverMakers are acts in which the lists that erasures read can't be read, and operators who replay their dead letters.
func leaverMakers() []maker {
	lists := func(d *drawer, f imtest.Fault, detail string, most time.Duration) *act {
		f.API, f.AccountPrefix = imtest.APIGetList, pick(d.Rand, []string{leaver, leaver, mate})
		return scripted(d, f, f.AccountPrefix+": "+detail, most)
	}
	return []maker{
		{name: "lists of erased accounts fail", fits: erasing, draw: func(d *drawer) *act {
			o := pick(d.Rand, outages)
			o.fault.Share = pick(d.Rand, []float64{0, 0.5})
			return lists(d, o.fault, o.name, 2*time.Minute)
		}},
		{name: "lists of erased accounts refused", fits: erasing, draw: func(d *drawer) *act {
			code := pick(d.Rand, []int{50003, 60007, 60020, 70009})
			return lists(d, imtest.Fault{Code: code}, strconv.Itoa(code), time.Minute)
		}},
		{name: "operator replays letters of an erasure", fits: erasing, draw: func(d *drawer) *act {
			o := order{all: true, account: pick(d.Rand, d.sc.leaving).request.Account}
			return &act{detail: o.String(), begin: func(w *world) { w.replay(o) }}
		}},
	}
}
