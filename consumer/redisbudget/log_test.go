package redisbudget

import (
	"context"
	"testing"
)

func TestLogLines(t *testing.T) {
	t.Parallel()
	var said string
	redisLog(func(text string) { said = text }).Printf(context.Background(), "connection %d: %s", 3, "lost")
	if said != "connection 3: lost" {
		t.Errorf("said %q", said)
	}
}
