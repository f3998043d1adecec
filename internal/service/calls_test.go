package service

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"convdel/consumer"
	"convdel/imclient"
	"convdel/imclient/imtest"
	"convdel/schema"
)

const secretKey = "secret-key-of-the-tests"

func TestVerdicts(t *testing.T) {
	t.Parallel()
	code := func(n int) error { return &imclient.APIError{Code: n, HTTPStatus: 200} }
	for _, c := range []struct {
		err     error
		verdict consumer.Verdict
		code    int
	}{
		{nil, consumer.Deleted, 0},
		{code(50001), consumer.Permanent, 50001},
		{code(50002), consumer.Permanent, 50002},
		{code(50003), consumer.Permanent, 50003},
		{code(50004), consumer.Transient, 50004},
		{code(50005), consumer.Transient, 50005},
		{code(60007), consumer.Throttled, 60007},
		{code(60020), consumer.Halt, 60020},
		{code(70009), consumer.Halt, 70009},
		{code(70001), consumer.Halt, 70001},
		{code(99999), consumer.Transient, 99999},
		{code(0), consumer.Transient, 0},
		{&imclient.APIError{Code: 70001, HTTPStatus: 200, Renewed: true}, consumer.Again, 70001},
		{fmt.Errorf("wrapped: %w", code(50001)), consumer.Permanent, 50001},
		{&imclient.NetworkError{Reason: "http status 502", HTTPStatus: 502}, consumer.Transient, 0},
		{&imclient.NetworkError{Reason: "http status 503", HTTPStatus: 503}, consumer.Transient, 0},
		{&imclient.NetworkError{Reason: "http status 429", HTTPStatus: 429, Throttled: true}, consumer.Throttled, 0},
		{&imclient.NetworkError{Reason: "http status 503", HTTPStatus: 503, Throttled: true}, consumer.Throttled, 0},
		{&imclient.KeyError{Err: errors.New("empty")}, consumer.Halt, 0},
		{&imclient.RequestError{Field: "Type", Problem: "3"}, consumer.Permanent, 0},
		{context.DeadlineExceeded, consumer.Transient, 0},
	} {
		got := answerOf(c.err)
		if got.Verdict != c.verdict || got.Code != c.code || !errors.Is(got.Err, c.err) {
			t.Errorf("%v: verdict %d, code %d, error %v; want %d, %d", c.err, got.Verdict, got.Code, got.Err, c.verdict, c.code)
		}
	}
}

// TestDoubtfulAnswers: the breaker needs to know whether the permission is missing, and whether the API itself has
// answered, which the code shows.
func TestDoubtfulAnswers(t *testing.T) {
	t.Parallel()
	code := func(n int) error { return &imclient.APIError{Code: n, HTTPStatus: 200} }
	for _, c := range []struct {
		err    error
		code   int
		denied bool
	}{
		{nil, 0, false},
		{code(50001), 50001, false},
		{code(50003), 50003, true},
		{code(50004), 50004, false},
		{code(70107), 70107, false},
		{&imclient.NetworkError{Reason: "http status 502", HTTPStatus: 502}, 0, false},
	} {
		if got := answerOf(c.err); got.Code != c.code || got.Denied != c.denied {
			t.Errorf("%v: code %d, denied %t", c.err, got.Code, got.Denied)
		}
	}
}

func TestLockedSignatureWantsAMinute(t *testing.T) {
	t.Parallel()
	for code, want := range map[int]time.Duration{70050: time.Minute, 70009: 0, 50004: 0} {
		if got := answerOf(&imclient.APIError{Code: code, HTTPStatus: 200}); got.Quiet != want {
			t.Errorf("code %d: quiet for %s, want %s", code, got.Quiet, want)
		}
	}
}

// TestThrottledAnswersSayForHowLong: and whether the API takes no calls at all.
func TestThrottledAnswersSayForHowLong(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err         error
		quiet       time.Duration
		unavailable bool
	}{
		{&imclient.NetworkError{HTTPStatus: 429, Throttled: true, RetryAfter: time.Second}, time.Second, false},
		{&imclient.NetworkError{HTTPStatus: 503, Throttled: true, RetryAfter: time.Minute}, time.Minute, true},
		{&imclient.NetworkError{HTTPStatus: 503, Throttled: true}, 0, true},
		{&imclient.NetworkError{HTTPStatus: 503}, 0, false},
		{&imclient.APIError{Code: 60007, HTTPStatus: 200, RetryAfter: time.Second}, time.Second, false},
	} {
		if got := answerOf(c.err); got.Quiet != c.quiet || got.Unavailable != c.unavailable {
			t.Errorf("%#v: quiet for %s, unavailable: %t", c.err, got.Quiet, got.Unavailable)
		}
	}
}

func TestCallsCarryTheWholeRequest(t *testing.T) {
	t.Parallel()
	sim, err := imtest.Start(imtest.Config{SDKAppID: 7, Identifier: "admin", SecretKey: secretKey})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sim.Close)
	client, err := imclient.New(imclient.Config{
		Endpoint: sim.URL, SDKAppID: 7, Identifier: "admin", SecretKey: imclient.StaticKey(secretKey),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.CloseIdleConnections)
	sent := 0
	answer := (&deleter{client: client}).Delete(t.Context(), consumer.Call{
		Conversation: schema.Conversation{From: "alice", Type: schema.G2C, To: "@TGS#1"}, ClearRamble: true, Sent: func() { sent++ },
	})
	if answer.Verdict != consumer.Deleted || answer.Err != nil || sent != 1 {
		t.Errorf("answer %+v, sent %d times", answer, sent)
	}
	arrivals := sim.Arrivals()
	if len(arrivals) != 1 {
		t.Fatalf("%d calls", len(arrivals))
	}
	if a := arrivals[0]; a.From != "alice" || a.To != "@TGS#1" || a.Type != 2 || !a.ClearRamble {
		t.Errorf("arrived: %+v", a)
	}
	answer = (&deleter{client: client}).Delete(t.Context(), consumer.Call{
		Conversation: schema.Conversation{From: "code-50001", Type: schema.C2C, To: "b"}, Sent: func() { sent++ },
	})
	if answer.Verdict != consumer.Permanent || answer.Code != 50001 || sent != 2 {
		t.Errorf("answer %+v, sent %d times", answer, sent)
	}
}
