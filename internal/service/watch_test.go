package service

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
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

// TestSecretFilesThatTurnBadAreTold: one warning says why, one line says that the file is good again.
func TestSecretFilesThatTurnBadAreTold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		began := time.Now()
		var out bytes.Buffer
		files := []SecretFile{
			{Variable: "GOOD_FILE", Check: func() error { return nil }},
			{Variable: "BAD_FILE", Check: func() error {
				switch age := time.Since(began); {
				case age < 10*time.Minute || age > 30*time.Minute:
					return nil
				case age < 20*time.Minute:
					return errors.New("it is empty")
				}
				return errors.New("it has several lines")
			}},
		}
		if err := watchSecretFiles(ctx, files, slog.New(slog.NewTextHandler(&out, nil))); err != nil {
			t.Error(err)
		}
		var told []string
		for line := range strings.Lines(out.String()) {
			_, rest, _ := strings.Cut(line, "level=")
			told = append(told, strings.TrimSpace(rest))
		}
		want := []string{
			`WARN msg="secret file can't be used, the last good secret still counts" variable=BAD_FILE error="it is empty"`,
			`WARN msg="secret file can't be used, the last good secret still counts" variable=BAD_FILE error="it has several lines"`,
			`INFO msg="secret file can be used again" variable=BAD_FILE`,
		}
		if !slices.Equal(told, want) {
			t.Errorf("told %q\nwant %q", told, want)
		}
	})
}
