package membership

import (
	"encoding/binary"
	"time"
)

// earlier is a replica of a version that uses kafka-go's ConsumerGroup: any trouble ends its generation, then it drains, then it
// joins again, and heartbeats pause meanwhile.
type earlier struct {
	p          *process
	memberID   string
	generation int32
	round      int
	draining   bool
	stopping   bool
}

func (w *world) startEarlier(name string) *process {
	p := &process{w: w, name: name, held: map[int]bool{}}
	p.old = &earlier{p: p}
	w.procs = append(w.procs, p)
	w.note("%s starts", name)
	p.old.join()
	return p
}

// ask makes a request, and drops its answer if the round is over.
func (e *earlier) ask(r Request, answer func(Answer)) {
	e.round++
	round, w := e.round, e.p.w
	on := func(a Answer) {
		if e.round == round && !e.p.dead && !e.p.ended {
			e.round++
			answer(a)
		}
	}
	w.carry(e.p, r, 2*time.Second, on)
	_, isJoin := r.(Join)
	timeout := 2 * time.Second
	if isJoin {
		timeout = rebalance + 5*time.Second
	}
	w.after(timeout, func() { on(Answer{Err: errNoMember}) })
}

func (e *earlier) join() {
	w := e.p.w
	w.joins++
	w.note("%s: join %q", e.p.name, e.memberID)
	// Version 1 without the claims of version 1, as kafka-go writes it.
	metadata := binary.BigEndian.AppendUint16(nil, 1)
	metadata = binary.BigEndian.AppendUint32(metadata, 1)
	metadata = append(metadata, 0, 1, 't', 0xff, 0xff, 0xff, 0xff)
	e.ask(Join{MemberID: e.memberID, Session: session, Rebalance: rebalance, Protocols: []Protocol{{Range, metadata}}}, func(a Answer) {
		switch {
		case a.Code == memberIDRequired:
			e.memberID = a.MemberID
			e.join()
		case a.Code != 0 || a.Err != nil:
			e.failed(a)
		default:
			e.memberID, e.generation = a.MemberID, a.Generation
			s := Sync{MemberID: e.memberID, Generation: a.Generation, Protocol: a.Protocol}
			if a.LeaderID == e.memberID {
				s.Assignments = assignments("t", Range, a.Members, w.topic)
			}
			e.sync(s)
		}
	})
}

func (e *earlier) failed(a Answer) {
	if a.Code != rebalanceInProgress {
		e.p.w.carry(e.p, Leave{MemberID: e.memberID}, time.Second, func(Answer) {})
		e.memberID = ""
	}
	e.p.w.after(time.Second, e.next)
}

func (e *earlier) next() {
	if e.p.dead || e.p.ended {
		return
	}
	if e.stopping {
		e.p.w.carry(e.p, Leave{MemberID: e.memberID}, time.Second, func(Answer) {})
		e.p.ended = true
		return
	}
	e.join()
}

func (e *earlier) sync(s Sync) {
	e.ask(s, func(a Answer) {
		if a.Code != 0 || a.Err != nil {
			e.failed(a)
			return
		}
		share, err := readAssignment("t", a.Assignment)
		if err != nil {
			e.p.w.fault("%v", err)
		}
		e.p.w.note("%s: works on %v", e.p.name, share.partitions)
		for _, q := range share.partitions {
			e.p.gains(q)
		}
		e.draining = false
		e.beat()
	})
}

// beat sends heartbeats until one fails. While it drains they are commits, which do not fail in a rebalance.
func (e *earlier) beat() {
	w := e.p.w
	w.after(time.Second, func() {
		if e.p.dead || e.p.ended || len(e.p.held) == 0 && e.draining {
			return
		}
		e.ask(Heartbeat{MemberID: e.memberID, Generation: e.generation}, func(a Answer) {
			if a.Code == illegalGeneration || a.Code == unknownMember {
				e.p.held = map[int]bool{} // fenced
			}
			if (a.Code != 0 || a.Err != nil || e.stopping) && !e.draining {
				e.drain()
			}
			if a.Err != nil && e.draining && len(e.p.held) > 0 || a.Err == nil && (a.Code == 0 || e.draining) {
				e.beat()
			}
		})
	})
}

func (e *earlier) drain() {
	e.draining = true
	for q := range e.p.held {
		e.p.held[q] = true
	}
	e.p.w.after(e.p.w.upTo(3*time.Second), func() {
		e.p.held = map[int]bool{}
		e.round++
		e.next()
	})
}
