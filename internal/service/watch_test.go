package service

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// changingKey is a key that changes after a minute.
type changingKey struct{ at time.Time }

func (k changingKey) Key() (string, error) {
	if time.Now().Before(k.at) {
		return "old", nil
	}
	return "new", nil
}

func TestWatchKeySaysOnceThatTheKeyHasChanged(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		began := time.Now()
		changed := make(chan struct{})
		done := make(chan error, 1)
		go func() { done <- watchKey(ctx, changingKey{at: began.Add(time.Minute)}, changed) }()
		<-changed
		if took := time.Since(began); took < time.Minute || took > time.Minute+2*keyLookEvery {
			t.Errorf("a change after a minute was noticed after %s", took)
		}
		select {
		case <-changed:
			t.Error("one change was noticed twice")
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
		}
	})
}
