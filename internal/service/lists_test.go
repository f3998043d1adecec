package service

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"testing"
	"time"

	"convdel/consumer"
	"convdel/imclient"
	"convdel/imclient/imtest"
	"convdel/schema"
)

// reader returns what reads lists from a simulator.
func reader(t *testing.T) (*imtest.Server, *lister) {
	t.Helper()
	sim, err := imtest.Start(imtest.Config{SDKAppID: 7, Identifier: "admin", SecretKey: secretKey, PageSize: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sim.Close)
	client, err := imclient.New(imclient.Config{Endpoint: sim.URL, SDKAppID: 7, Identifier: "admin", SecretKey: imclient.StaticKey(secretKey)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.CloseIdleConnections)
	return sim, &lister{client: client}
}

// TestListsShowWhatTheConsumerNeeds: types, times, permits for each page; no empty conversations, which have no message to lose.
func TestListsShowWhatTheConsumerNeeds(t *testing.T) {
	t.Parallel()
	sim, lists := reader(t)
	at := time.Unix(1_800_000_000, 0)
	sim.SetConversations("alice", imtest.Conversation{Type: 1, To: "bob", MsgTime: at}, imtest.Conversation{Type: 2, To: "@TGS#1", MsgTime: at.Add(-time.Hour)},
		imtest.Conversation{Type: 1, To: "carol", MsgTime: at.Add(-2 * time.Hour), Pinned: true}, imtest.Conversation{Type: 1, To: "empty"})
	shown := map[schema.Conversation]time.Time{}
	permits, sent := 0, 0
	request := consumer.ListRequest{
		Account: "alice", Permit: func(context.Context) error { permits++; return nil }, Sent: func() { sent++ },
		Show: func(c schema.Conversation, last time.Time) bool { shown[c] = last; return true },
	}
	if answer := lists.Read(t.Context(), request); answer.Failed != nil || answer.Doubt != "" {
		t.Errorf("answer %+v", answer)
	}
	want := map[schema.Conversation]time.Time{
		{From: "alice", Type: schema.C2C, To: "bob"}: at, {From: "alice", Type: schema.G2C, To: "@TGS#1"}: at.Add(-time.Hour),
		{From: "alice", Type: schema.C2C, To: "carol"}: at.Add(-2 * time.Hour),
	}
	if !maps.EqualFunc(shown, want, time.Time.Equal) {
		t.Errorf("shown: %v", shown)
	}
	if permits < 2 || sent != permits {
		t.Errorf("%d permits, %d requests", permits, sent)
	}
	request.Show = func(schema.Conversation, time.Time) bool { return false }
	if answer := lists.Read(t.Context(), request); answer.Failed != nil || answer.Doubt == "" {
		t.Errorf("a list that is not read to its end: %+v", answer)
	}
	no := errors.New("no")
	request.Permit = func(context.Context) error { return no }
	if answer := lists.Read(t.Context(), request); answer.Failed == nil || !errors.Is(answer.Failed.Err, no) {
		t.Errorf("a list without permits: %+v", answer)
	}
}

// TestListsThatFail: only that there is no such account is final. Everything else in the request is the service's own.
func TestListsThatFail(t *testing.T) {
	t.Parallel()
	_, lists := reader(t)
	for code, want := range map[int]consumer.Verdict{
		50001: consumer.Permanent, 50002: consumer.Transient, 50003: consumer.Transient, 50004: consumer.Transient,
		60007: consumer.Throttled, 60020: consumer.Halt,
	} {
		answer := lists.Read(t.Context(), consumer.ListRequest{
			Account: fmt.Sprint("code-", code), Permit: func(context.Context) error { return nil }, Sent: func() {},
			Show: func(schema.Conversation, time.Time) bool { return true },
		})
		if answer.Failed == nil || answer.Failed.Verdict != want || answer.Failed.Code != code {
			t.Errorf("code %d: %+v", code, answer.Failed)
		}
	}
}
