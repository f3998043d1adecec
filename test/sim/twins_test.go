package sim

import (
	"fmt"
	"time"
)

// twinLimit is longer than any fault that can keep a replica from joining.
const twinLimit = 10 * time.Minute

// twinReturns is how often the older one of two replicas with an instance ID may come back: a join that the coordinator carries out late
// fences it as well.
const twinReturns = 4

// twin starts a second replica with the instance ID of one that runs. The older one must end, and say why. If it is no member of the group
// just then, the newer one may be fenced instead.
func (w *world) twin(n int) {
	w.acting.Go(func() {
		s := w.hosts[n]
		old, next := s.second()
		if old == nil {
			return
		}
		w.net.set(func() { old.party.away, old.party.mute = false, false })
		if why := w.outlives(s.instance, old, next); why != "" && w.tap.isStatic(s.instance) {
			w.fail("fenced", "replica %s %s beside another with its instance ID", old.name, why)
		}
		select {
		case <-old.done:
			if w.count("older replicas that were fenced"); old.err == nil && w.tap.isStatic(s.instance) && !old.party.isDead() {
				w.fail("fenced", "replica %s, of whose instance ID there is a newer one, ended without an error", old.name)
			}
		default: // the newer one has ended, perhaps before it joined
			old.cancel()
			<-old.done
			s.replaceFenced(next)
		}
	})
}

// replaceFenced starts another replica if a newer one has been fenced: the older one was not in the group when the newer one joined, and
// has come back later than that.
func (s *host) replaceFenced(r *replica) {
	select {
	case <-r.done:
	default:
		return
	}
	if r.fenced() {
		if !r.contested {
			s.w.fail("fenced", "replica %s was fenced by the older one with its instance ID", r.name)
		}
		s.clear(r)
		s.start()
	}
}

// outlives waits until one of two replicas with an instance ID ends. It says why if the older one does not for too long.
func (w *world) outlives(instance string, old, next *replica) (why string) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	over, back, last := time.Now().Add(twinLimit), 0, ""
	for time.Now().Before(over) {
		select {
		case <-old.done:
			return ""
		case <-next.done:
			return ""
		case <-tick.C:
		}
		now := w.tap.nameOf(memberOf(w.groups.Info(group), instance))
		if now == old.name && last == next.name {
			back++
		}
		if back > twinReturns {
			return fmt.Sprintf("has joined again %d times", back)
		}
		last = now
	}
	return fmt.Sprintf("runs for %s", twinLimit)
}

// second starts another replica beside the one that runs, which the host then forgets.
func (s *host) second() (old, next *replica) {
	s.turn <- struct{}{}
	defer func() { <-s.turn }()
	old = s.replica()
	if old == nil || old.former || s.instance == "" {
		return nil, nil
	}
	s.running.Lock()
	defer s.running.Unlock()
	s.count++
	absent := old.absent()
	s.current = s.w.launch(fmt.Sprintf("%d.%d", s.number, s.count), apiPort+100*s.number+s.count, s.member)
	s.current.contested = absent
	return old, s.current
}
