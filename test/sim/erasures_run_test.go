package sim

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"convdel/consumer/evidence"
	"convdel/imclient"
	"convdel/internal/erasure"
	"convdel/internal/erasure/desk"
	"convdel/internal/publish"
	"convdel/schema"
)

const (
	eraser     = "erasure " // the beginning of the names of erasures
	eraserPort = 8700       // the first one's port of the API
	// These are those of `convdel erase`.
	readPatience = 10 * time.Second
	listPause    = 2 * time.Second
	lingerLooks  = 3
	listFlags    = 63
)

// course is what has become of an erasure.
type course struct {
	mu   sync.Mutex
	runs []*run
	over bool
	// pages is how many pages of the account's list were made.
	pages int
}

// run is one run of the command.
type run struct {
	v     *leaving
	name  string
	began time.Time
	// looked is when the run has last begun to look at outcomes.
	looked time.Time
	// published are the parts that the run wanted to publish, with the time.
	published []published
	// state is how it ended, ended when; empty if it was killed, or failed.
	state  erasure.State
	ended  time.Time
	result erasure.Result
	// left are the other sides that the API still had then.
	left map[schema.Conversation]bool
}

type published struct {
	schema.Event
	at time.Time
}

// erase is a person who erases an account: again and again with the same request, until it is over.
func (w *world) erase(ctx context.Context, v *leaving, port int) {
	name := eraser + v.request.ID
	w.api.serve(w, name, port)
	rest(ctx, time.Until(w.began.Add(v.at)))
	for n, more := 1, v.again; ; n++ {
		r := &run{v: v, name: fmt.Sprintf("%s.%d", name, n), began: time.Now()}
		v.course.mu.Lock()
		v.course.runs = append(v.course.runs, r)
		v.course.mu.Unlock()
		if w.runErasure(ctx, r, n, port) {
			if more--; more < 0 {
				break
			}
			if v.refused != 0 && v.replays {
				rest(ctx, time.Until(w.began.Add(min(v.until, w.sc.length))))
				w.replayNow(order{all: true, account: v.request.Account}) //nolint:contextcheck // another person does
			}
		}
		if rest(ctx, v.pause); ctx.Err() != nil {
			break
		}
	}
	v.course.mu.Lock()
	defer v.course.mu.Unlock()
	v.course.over = ctx.Err() == nil
}

// rest waits until ctx ends at most.
func rest(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(max(0, d))
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// erased returns true once all erasures are over.
func (w *world) erased() bool {
	return !slices.ContainsFunc(w.sc.leaving, func(v *leaving) bool {
		v.course.mu.Lock()
		defer v.course.mu.Unlock()
		return !v.course.over
	})
}

// runErasure runs the command until it ends, or is killed. What a killed one does afterwards has no effect. It returns true if the request is
// verified, or has exceptions.
func (w *world) runErasure(ctx context.Context, r *run, n, port int) (over bool) {
	ctx, cancel := context.WithCancel(ctx)
	clerk := &watched{w: w, run: r, party: w.net.party(r.name, nil), killed: make(chan struct{}), done: make(chan struct{}), cancel: cancel, lists: map[string]shownAt{}, steps: map[step]int{}}
	if plans := v1(r.v.plans); n <= plans {
		clerk.plans = true
	} else if n -= plans; n <= len(r.v.kills) {
		clerk.kill = &r.v.kills[n-1]
	}
	w.erasing.Go(func() {
		defer close(clerk.done)
		defer cancel()
		res, err := w.goOn(ctx, clerk, port)
		if clerk.party.isDead() {
			return
		}
		w.note("%s: %s, %d parts, %d exceptions, %d left, %v, %v", r.name, res.State, len(res.Parts), len(res.Exceptions), len(res.Residue), slices.Concat(res.Doubts, res.Failures), err)
		if err == nil {
			w.count("erasure " + string(res.State))
			r.state, r.ended, r.result = res.State, time.Now(), res
			w.judgeEnd(clerk)
		}
	})
	select {
	case <-clerk.done:
		return r.state == erasure.Verified || r.state == erasure.Exceptions
	case <-clerk.killed:
		return false
	}
}

func v1(yes bool) int {
	if yes {
		return 1
	}
	return 0
}

// goOn is one run of the command, as `convdel erase` is.
func (w *world) goOn(ctx context.Context, clerk *watched, port int) (erasure.Result, error) {
	v := clerk.run.v
	cluster := w.cluster(clerk.party)
	client, err := imclient.New(imclient.Config{
		Endpoint: "http://" + fmtAddress(port), SDKAppID: sdkAppID, Identifier: admin, SecretKey: w.key, DialContext: clerk.party.dial,
	})
	if err != nil {
		return erasure.Result{}, err
	}
	defer client.CloseIdleConnections()
	where := evidence.Config{Cluster: cluster, Topic: topic, Group: group, DeadLetterTopic: deadLetters, OutcomeTopic: outcomes}
	known, err := desk.CheckGroup(ctx, where, sdkAppID)
	if err != nil {
		return erasure.Result{}, err
	}
	_, err = desk.CheckGroup(ctx, where, sdkAppID+1)
	if _, refused := errors.AsType[*desk.OtherAppError](err); known && err == nil || refused && !known {
		w.fail("foreign", "%s of another app: %v, the group's is known %t", clerk.run.name, err, known)
	}
	reader, err := evidence.Open(ctx, where)
	if err != nil {
		return erasure.Result{}, err
	}
	defer reader.Close()
	writer := publish.NewWriter(cluster, topic)
	defer func() { _ = writer.Close() }()
	deadline := time.Now().Add(v.wait)
	clerk.Desk = desk.New(desk.Config{
		Topic: topic, RequestID: v.request.ID, Account: v.request.Account, Rate: v.rate, Flags: listFlags,
		Deadline: deadline, ReadUntil: time.Now().Add(max(v.wait, readPatience)), Trouble: func(desk.Task, error) {},
	}, reader, client, writer)
	if clerk.plans {
		return erasure.Plan(ctx, clerk, &v.request)
	}
	return erasure.Run(ctx, clerk, &v.request, erasure.Options{Deadline: deadline, Pause: listPause, Looks: lingerLooks})
}

// watched is a desk whose steps are seen. At one of them its run is killed.
type watched struct {
	erasure.Desk

	w     *world
	run   *run
	party *party
	plans bool
	kill  *kill
	// killed and done are closed when the run was killed, and when it has ended.
	killed, done chan struct{}
	cancel       context.CancelFunc
	steps        map[step]int
	// lists are the last lists that were read, by account.
	lists map[string]shownAt
}

// shownAt is what a list had to show when the reading of it began.
type shownAt struct {
	at      time.Time
	entries map[schema.Conversation]time.Time
}

// begin begins a step, and kills the run if it is time to.
func (c *watched) begin(s step) {
	c.steps[s]++
	if c.kill == nil || c.kill.step != s || c.kill.nth != c.steps[s] {
		return
	}
	after := c.kill.after
	c.w.erasing.Go(func() {
		over := time.NewTimer(after)
		defer over.Stop()
		select {
		case <-c.done:
			return
		case <-over.C:
		}
		c.w.note("%s is killed, %s after the beginning of %s", c.run.name, after, s)
		c.w.count("erasure killed after the beginning of " + string(s))
		c.party.sever()
		c.cancel()
		close(c.killed)
	})
}

// Find is that of [erasure.Desk].
func (c *watched) Find(ctx context.Context) ([]erasure.Record, error) {
	c.begin(finding)
	c.run.looked = time.Now()
	return c.Desk.Find(ctx)
}

// List is that of [erasure.Desk].
func (c *watched) List(ctx context.Context, account string) (*erasure.Listing, error) {
	c.begin(listing)
	shown := shownAt{time.Now(), c.w.listed(account)}
	list, err := c.Desk.List(ctx, account)
	if list != nil && !list.Began.Before(shown.at) { // otherwise it is one that was read before
		c.lists[account] = shown
	}
	return list, err
}

// Publish is that of [erasure.Desk].
func (c *watched) Publish(ctx context.Context, events []schema.Event) ([]erasure.Record, error) {
	c.begin(publishing)
	if !c.party.isDead() {
		for _, e := range events {
			c.run.published = append(c.run.published, published{e, time.Now()})
		}
		c.judgePublished(events)
	}
	return c.Desk.Publish(ctx, events)
}

// Await is that of [erasure.Desk].
func (c *watched) Await(ctx context.Context, pending []erasure.Record) ([]erasure.Record, error) {
	c.begin(awaiting)
	c.run.looked = time.Now()
	return c.Desk.Await(ctx, pending)
}
