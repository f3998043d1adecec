package desk

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v4"

	"convdel/imclient"
	"convdel/internal/erasure"
	"convdel/schema"
)

// codeNotImported is what some of the API's calls answer for an account that it does not know, 50001 what this one does.
const (
	codeNoAccount   = 50001
	codeNotImported = 70107
)

// errNoTime says that the time for lists is up.
var errNoTime = errors.New("the time is up")

// laterList is an account whose list is read again at a time. It has failed before.
type laterList struct {
	due    time.Time
	wait   *backoff.ExponentialBackOff
	failed *erasure.Listing
}

// List reads an account's list. That of the request's account is read until the time is up, since nothing can be done without it. Another
// account's list that fails holds up nothing: the same listing is returned until it is due again.
func (d *Desk) List(ctx context.Context, account string) (*erasure.Listing, error) {
	if account == d.cfg.Account {
		return d.ownList(ctx, account)
	}
	last := d.later[account]
	if last != nil && time.Now().Before(last.due) {
		again := *last.failed
		again.Calls = 0
		return &again, nil
	}
	reading := d.read(ctx, account)
	quiet, err := reading.further(d) //nolint:contextcheck // the list has it
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	result := reading.result
	if !result.Failed {
		delete(d.later, account)
		return result, nil
	}
	if err != nil { // another account's list alone: the own one was read with the same credential
		d.cfg.Trouble(Listing, err)
	}
	if last == nil {
		last = &laterList{wait: listBackOff()}
		d.later[account] = last
	}
	last.due, last.failed = time.Now().Add(max(quiet, last.wait.NextBackOff())), result
	return result, nil
}

// ownList reads the list of the request's account. A call that fails is made again until the time is up; then the list is not complete.
func (d *Desk) ownList(ctx context.Context, account string) (*erasure.Listing, error) {
	reading := d.read(ctx, account)
	for wait := listBackOff(); ; {
		quiet, err := reading.further(d) //nolint:contextcheck // the list has it
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		pause := max(quiet, wait.NextBackOff())
		if err != nil || !reading.result.Failed || !time.Now().Add(pause).Before(d.cfg.Deadline) {
			return reading.result, err
		}
		if err := waitUntil(ctx, time.Now().Add(pause)); err != nil {
			return nil, err
		}
	}
}

func listBackOff() *backoff.ExponentialBackOff {
	return backoff.NewExponentialBackOff(backoff.WithMaxElapsedTime(0), backoff.WithMaxInterval(30*time.Second))
}

// listReading is a list that is being read.
type listReading struct {
	list   *imclient.List
	result *erasure.Listing
}

func (d *Desk) read(ctx context.Context, account string) *listReading {
	return &listReading{
		result: &erasure.Listing{Account: account, Began: time.Now()},
		list: d.lists.Conversations(ctx, imclient.ListRequest{
			Account: account, Flags: d.cfg.Flags, Permit: func(ctx context.Context) error {
				if !time.Now().Before(d.cfg.ReadUntil) {
					return errNoTime // a list may have a thousand slow pages
				}
				return d.pace.wait(ctx, 1)
			},
		}),
	}
}

// further reads until the list ends or a call fails. It returns the error of a list that another call won't mend. Otherwise it returns how
// long the API wants to be left alone.
func (r *listReading) further(d *Desk) (time.Duration, error) {
	before := r.list.Counts().Calls
	for c := range r.list.All() {
		r.result.Entries = append(r.result.Entries, erasure.Entry{
			Conversation: schema.Conversation{From: r.result.Account, Type: schema.ConversationType(c.Type), To: c.To}, LastMessage: c.MsgTime,
		})
	}
	counts := r.list.Counts()
	d.calls += counts.Calls - before
	r.result.Calls, r.result.Unknown = counts.Calls, counts.Unknown
	if err := r.list.Err(); err != nil {
		return d.judge(err, r.result)
	}
	r.result.Failed, r.result.Doubt = false, r.list.Doubt()
	return 0, nil
}

// judge takes in that a call for a list has failed.
func (d *Desk) judge(err error, result *erasure.Listing) (time.Duration, error) {
	result.Failed, result.Doubt = true, "a call has failed: "+err.Error()
	if errors.Is(err, errNoTime) {
		result.Doubt = err.Error()
		return 0, nil
	}
	api, isAPI := errors.AsType[*imclient.APIError](err)
	if isAPI && (api.Code == codeNoAccount || api.Code == codeNotImported) {
		result.NoAccount, result.Entries, result.Failed = err.Error(), nil, false
		return 0, nil
	}
	switch imclient.ClassOf(err) {
	case imclient.Permanent, imclient.Halt:
		return 0, fmt.Errorf("list of conversations: %w", err)
	case imclient.Throttled, imclient.Transient:
	}
	d.cfg.Trouble(Listing, err)
	if isAPI {
		return api.RetryAfter, nil
	}
	if network, ok := errors.AsType[*imclient.NetworkError](err); ok {
		return network.RetryAfter, nil
	}
	return 0, nil
}
