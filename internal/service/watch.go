package service

import (
	"context"
	"log/slog"
	"time"

	"convdel/imclient"
)

// keyLookEvery is how often the secret key is read.
const keyLookEvery = time.Second

// watchKey sends to changed whenever the secret key has changed, until ctx ends. The consumer then ends a pause for a wrong
// key at once. A key that can't be read is no change.
func watchKey(ctx context.Context, source imclient.KeySource, changed chan<- struct{}) error {
	known, _ := source.Key() // calls report what is wrong with it
	tick := time.NewTicker(keyLookEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
		key, err := source.Key()
		if err != nil || key == known {
			continue
		}
		known = key
		select {
		case changed <- struct{}{}:
		case <-ctx.Done():
			return nil
		}
	}
}

// SecretFile is a file that a secret comes from while the service runs.
type SecretFile struct {
	// Variable is the environment variable that names the file.
	Variable string
	// Check returns why the file can't be used now; nil if it can. The error holds no part of the secret.
	Check func() error
}

// watchSecretFiles tells when a secret's file turns bad and when it is good again, until ctx ends. Whoever uses the secret keeps
// the last good one.
func watchSecretFiles(ctx context.Context, files []SecretFile, log *slog.Logger) error {
	told := make([]string, len(files))
	tick := time.NewTicker(keyLookEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
		for i, f := range files {
			why := ""
			if err := f.Check(); err != nil {
				why = err.Error()
			}
			if why == told[i] {
				continue
			}
			told[i] = why
			if why == "" {
				log.LogAttrs(ctx, slog.LevelInfo, "secret file can be used again", slog.String("variable", f.Variable))
			} else {
				log.LogAttrs(ctx, slog.LevelWarn, "secret file can't be used, the last good secret still counts",
					slog.String("variable", f.Variable), slog.String("error", why))
			}
		}
	}
}
