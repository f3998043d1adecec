package service

import (
	"context"
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
