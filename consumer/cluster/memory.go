package cluster

import (
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

const (
	// RefusalPause is the longest pause between two attempts to log in with a broker that refuses the login. The first pause is
	// refusalFirst, and each further one is twice as long.
	RefusalPause = 30 * time.Second
	refusalFirst = time.Second
	// silentFor is how long a broker that has not answered is tried after all others.
	silentFor = 30 * time.Second
)

// memory is a [roster] that several goroutines use.
type memory struct {
	mu sync.Mutex
	roster
}

func newMemory(brokers []string) *memory {
	var once []string // an address that is listed twice is one broker
	for _, address := range brokers {
		if !slices.Contains(once, address) {
			once = append(once, address)
		}
	}
	brokers = once
	m := &memory{roster: roster{brokers: brokers, known: make(map[string]standing)}}
	if len(brokers) > 0 {
		m.first = rand.IntN(len(brokers)) //nolint:gosec // it spreads the load
	}
	return m
}

func (m *memory) turn(now time.Time) []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.roster.turn(now)
}

func (m *memory) barred(address string, now time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.roster.barred(address, now)
}

func (m *memory) learn(address string, err error, now time.Time) (fresh bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.roster.learn(address, err, now)
}

// roster is what is known of the brokers. It only decides.
type roster struct {
	brokers []string
	// first is the broker whose turn is the first one.
	first int
	// known has the addresses whose last attempt has failed.
	known map[string]standing
}

// standing is how the last attempt to connect to an address has failed.
type standing struct {
	at  time.Time
	err error
	// pause is how long a broker that refuses the login is left alone; 0 for others.
	pause time.Duration
}

// turn returns the brokers in the order in which they are to be tried. Each time another one is the first, since a broker may
// answer and still be of no use. Those that have not answered lately come last.
func (r *roster) turn(now time.Time) []string {
	var good, bad []string
	for i := range r.brokers {
		address := r.brokers[(r.first+i)%len(r.brokers)]
		if s, failed := r.known[address]; failed && now.Sub(s.at) < silentFor {
			bad = append(bad, address)
		} else {
			good = append(good, address)
		}
	}
	if len(r.brokers) > 0 {
		r.first = (r.first + 1) % len(r.brokers)
	}
	return append(good, bad...)
}

// barred returns the refusal of a broker that is not to be asked again yet; nil if it may be.
func (r *roster) barred(address string, now time.Time) error {
	if s := r.known[address]; s.pause > 0 && now.Sub(s.at) < s.pause {
		return s.err
	}
	return nil
}

// learn notes how an attempt has ended. It returns true if the address has failed, and had not failed just before.
func (r *roster) learn(address string, err error, now time.Time) (fresh bool) {
	was, failed := r.known[address]
	if err == nil {
		delete(r.known, address)
		return false
	}
	s := standing{at: now, err: err}
	if _, refused := errors.AsType[*RefusedError](err); refused {
		s.pause = min(RefusalPause, max(refusalFirst, 2*was.pause))
		if was.pause > 0 && now.Sub(was.at) < was.pause {
			s = was // it was asked before the last refusal came
		}
	}
	r.known[address] = s
	return !failed
}
