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

// List reads an account's list. A call that fails is made again until the time is up; then the list is not complete.
func (d *Desk) List(ctx context.Context, account string) (*erasure.Listing, error) {
	result := &erasure.Listing{Began: time.Now()}
	list := d.lists.Conversations(ctx, imclient.ListRequest{
		Account: account, Flags: d.cfg.Flags, Permit: func(ctx context.Context) error { return d.pace.wait(ctx, 1) },
	})
	wait := backoff.NewExponentialBackOff(backoff.WithMaxElapsedTime(0), backoff.WithMaxInterval(30*time.Second))
	for {
		for c := range list.All() { //nolint:contextcheck // the list has it
			result.Entries = append(result.Entries, erasure.Entry{
				Conversation: schema.Conversation{From: account, Type: schema.ConversationType(c.Type), To: c.To}, LastMessage: c.MsgTime,
			})
		}
		err := list.Err()
		counts := list.Counts()
		result.Calls, result.Unknown = counts.Calls, counts.Unknown
		if err == nil {
			d.calls += counts.Calls
			result.Doubt = list.Doubt()
			return result, nil
		}
		again, err := d.judge(ctx, err, result)
		pause := max(again, wait.NextBackOff())
		if err != nil || result.NoAccount != "" || !time.Now().Add(pause).Before(d.cfg.Deadline) {
			d.calls += counts.Calls
			return result, err
		}
		if err := waitUntil(ctx, time.Now().Add(pause)); err != nil {
			return nil, err
		}
	}
}

// judge returns the error of a list that another call won't mend. Otherwise it returns how long the API wants to be left alone.
func (d *Desk) judge(ctx context.Context, err error, result *erasure.Listing) (time.Duration, error) {
	if ctx.Err() != nil {
		return 0, ctx.Err()
	}
	result.Doubt = "a call has failed: " + err.Error()
	api, isAPI := errors.AsType[*imclient.APIError](err)
	if isAPI && (api.Code == codeNoAccount || api.Code == codeNotImported) {
		result.NoAccount, result.Entries = err.Error(), nil
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
