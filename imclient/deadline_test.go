package imclient_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"convdel/imclient"
)

// TestCallTimeoutCountsAnew: a call has the whole call-timeout, however long ago the calls before it began and ended.
func TestCallTimeoutCountsAnew(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, client := bubbleSim(t, simConfig(), nil)
		slow := imclient.DeleteRequest{From: "slow-4000", Type: imclient.C2C, To: "id2"}
		hang := imclient.DeleteRequest{From: "hang", Type: imclient.C2C, To: "id2"}
		for range 3 {
			for _, r := range []imclient.DeleteRequest{slow, slow} {
				if err := client.DeleteConversation(t.Context(), r); err != nil {
					t.Fatal(err)
				}
				time.Sleep(10 * time.Second)
			}
			start := time.Now()
			err := client.DeleteConversation(t.Context(), hang)
			if took := time.Since(start); took != 5*time.Second || !errors.Is(err, context.DeadlineExceeded) {
				t.Fatalf("after %v: %v", took, err)
			}
		}
	})
}

// TestCallerGivesUpBetweenOthers: each call ends with the context that it was given, and with no other.
func TestCallerGivesUpBetweenOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, client := bubbleSim(t, simConfig(), nil)
		for range 3 {
			ctx, cancel := context.WithCancel(t.Context())
			for _, with := range []context.Context{ctx, ctx, t.Context(), ctx} {
				if err := client.DeleteConversation(with, request); err != nil {
					t.Fatal(err)
				}
			}
			cancel()
			if err := client.DeleteConversation(ctx, request); !errors.Is(err, context.Canceled) {
				t.Fatalf("with a context that has ended: %v", err)
			}
			if err := client.DeleteConversation(t.Context(), request); err != nil {
				t.Fatal(err)
			}
		}
	})
}
