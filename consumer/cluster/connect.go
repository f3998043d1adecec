package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"time"
)

const (
	// dialTimeout bounds the making of a TCP connection, silence the wait for each part of an answer until the connection is
	// ready, openTimeout all of that: a broker may answer byte by byte.
	dialTimeout = 5 * time.Second
	silence     = 5 * time.Second
	openTimeout = 15 * time.Second
	// headStart is how long a broker may take before the next one is tried as well.
	headStart = time.Second
)

// anyBroker is the address that stands for whichever of the brokers answers first. No host has a space in its name. kafka-go
// itself takes the first address that accepts a connection, and a frozen process accepts connections.
const anyBroker = "any broker:0"

// Connect makes a connection that is ready for requests, with deadlines: over TLS and logged in, as far as the Config says so. The
// broker has answered on it. Errors are a [*RefusedError], a [*BrokerError] or, if none of the brokers answers, an
// [*UnreachableError].
func (c Config) Connect(ctx context.Context, network, address string) (net.Conn, error) {
	c = c.WithMemory()
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	if address == anyBroker {
		return c.connectAny(ctx, network)
	}
	conn, err := c.connectTo(ctx, network, address, false)
	c.learn(ctx, address, err)
	return conn, err
}

// attempt is the outcome of one attempt to connect.
type attempt struct {
	address string
	conn    net.Conn
	err     error
}

// connectAny connects to whichever broker answers first. It tries one broker, and the next one as soon as that has failed or has
// had its head start.
func (c Config) connectAny(ctx context.Context, network string) (net.Conn, error) {
	ctx, cancel := context.WithCancel(ctx)
	order := c.memory.turn(time.Now())
	results := make(chan attempt, len(order))
	race := race{order: order}
	start := func(address string) {
		go func() {
			conn, err := c.connectTo(ctx, network, address, true)
			results <- attempt{address, conn, err}
		}()
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	defer func() {
		cancel()
		go dismiss(results, race.underWay())
	}()
	for !race.lost() {
		select {
		case <-timer.C:
			if address, ok := race.next(); ok {
				start(address)
				timer.Reset(min(headStart, openTimeout/2/time.Duration(len(order))))
			}
		case one := <-results:
			if one.err == nil {
				c.learnRace(ctx, race.overtaken(one.address))
				c.learn(ctx, one.address, nil)
				race.ended(one)
				return one.conn, nil
			}
			c.learn(ctx, one.address, one.err)
			race.ended(one)
			timer.Reset(0)
		case <-ctx.Done():
			if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return nil, ctx.Err()
			}
			for _, address := range race.pending() {
				err := &BrokerError{Broker: address, Err: errSilent}
				c.learn(ctx, address, err)
				race.failed = append(race.failed, attempt{address: address, err: err})
			}
			return nil, race.err()
		}
	}
	return nil, race.err()
}

// dismiss closes the connections of a race that has been won.
func dismiss(results <-chan attempt, n int) {
	for range n {
		if late := <-results; late.conn != nil {
			_ = late.conn.Close()
		}
	}
}

// race is the state of the attempts to connect to any of the brokers. It only decides.
type race struct {
	order  []string
	begun  int
	failed []attempt
	over   map[string]bool
}

// next returns the broker to try next.
func (r *race) next() (address string, ok bool) {
	if r.begun == len(r.order) {
		return "", false
	}
	r.begun++
	return r.order[r.begun-1], true
}

// ended notes the end of an attempt.
func (r *race) ended(one attempt) {
	if r.over == nil {
		r.over = make(map[string]bool)
	}
	r.over[one.address] = true
	if one.err != nil {
		r.failed = append(r.failed, one)
	}
}

func (r *race) underWay() int { return r.begun - len(r.over) }

func (r *race) lost() bool { return len(r.failed) == len(r.order) }

// pending returns the brokers that have been tried and have not answered.
func (r *race) pending() []string {
	return slices.DeleteFunc(slices.Clone(r.order[:r.begun]), func(address string) bool { return r.over[address] })
}

// overtaken returns those of the pending brokers that were tried before the winner.
func (r *race) overtaken(winner string) []string {
	pending := r.pending()
	return pending[:slices.Index(pending, winner)]
}

// err is why the race is lost. A refusal says more than a broker that is away.
func (r *race) err() error {
	var all []error
	for _, one := range r.failed {
		if refused, ok := errors.AsType[*RefusedError](one.err); ok {
			return refused
		}
		all = append(all, one.err)
	}
	return &UnreachableError{Errs: all}
}

// UnreachableError says that none of the brokers answers.
type UnreachableError struct {
	// Errs are the reasons, one for each broker.
	Errs []error
}

func (e *UnreachableError) Error() string {
	texts := make([]string, len(e.Errs))
	for i, err := range e.Errs {
		texts[i] = err.Error()
	}
	if len(texts) == 1 {
		return texts[0]
	}
	return fmt.Sprintf("none of %d brokers answers: %s", len(texts), strings.Join(texts, "; "))
}

// Unwrap returns the reasons.
func (e *UnreachableError) Unwrap() []error { return e.Errs }

// learn remembers how an attempt has ended, unless nobody waited for the end.
func (c Config) learn(ctx context.Context, address string, err error) {
	if err != nil && ctx.Err() != nil && !errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return
	}
	c.memory.learn(address, err, time.Now())
}

// errOvertaken is why a broker is tried last that has not answered in time.
var errOvertaken = errors.New("has not answered while another one has")

// learnRace remembers the brokers that another one has overtaken.
func (c Config) learnRace(ctx context.Context, slow []string) {
	for _, address := range slow {
		if c.memory.learn(address, errOvertaken, time.Now()) && c.Logger != nil {
			c.Logger.LogAttrs(ctx, slog.LevelWarn, "a broker does not answer: using another one of the list", slog.String("broker", address))
		}
	}
}
