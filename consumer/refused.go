package consumer

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/cenkalti/backoff/v4"

	"convdel/consumer/cluster"
	"convdel/consumer/internal/membership"
)

// refusedFirst is the pause after brokers have refused this replica. It doubles with each further refusal, up to
// [cluster.RefusalPause].
const refusedFirst = time.Second

// refusedError is a refusal by the brokers before this replica has worked: Run ends with it, since a setting is wrong. A refusal
// that comes later is retried, since the service may be the only one that still has the old password, for a moment.
type refusedError struct{ error }

// Unwrap returns the refusal.
func (e *refusedError) Unwrap() error { return e.error }

// atStart makes an error final if brokers refuse this replica and it has not worked yet.
func (c *Consumer) atStart(err error) error {
	if refusal := cluster.Refusal(err); refusal != nil && !c.worked.Load() {
		return &refusedError{refusal}
	}
	return err
}

// spacing is the pause between attempts that fail: short, or growing where brokers refuse this replica.
type spacing struct {
	short   time.Duration
	refused *backoff.ExponentialBackOff
}

func newSpacing(short time.Duration) *spacing {
	return &spacing{short: short, refused: backoff.NewExponentialBackOff(backoff.WithInitialInterval(refusedFirst), backoff.WithMultiplier(2),
		backoff.WithMaxInterval(cluster.RefusalPause), backoff.WithMaxElapsedTime(0), backoff.WithRandomizationFactor(0))}
}

// after returns the pause after an error.
func (s *spacing) after(err error) time.Duration {
	if cluster.Refusal(err) == nil {
		s.refused.Reset()
		return s.short
	}
	return s.refused.NextBackOff()
}

// inLog returns how the log shows an error after which another attempt is made: at ERROR, with the settings to check, if brokers
// refuse this replica, and at WARN otherwise.
func inLog(err error) (slog.Level, slog.Attr) {
	if refusal := cluster.Refusal(err); refusal != nil {
		return slog.LevelError, slog.Any("error", refusal)
	}
	return slog.LevelWarn, slog.Any("error", err)
}

// refusedText returns the text of a refusal, for [Status]; empty if the error is none.
func refusedText(what string, err error) string {
	if refusal := cluster.Refusal(err); refusal != nil {
		return fmt.Sprintf("%s: %v", what, refusal)
	}
	return ""
}

// isFinal says whether an error is one that Run ends with.
func isFinal(err error) bool {
	_, undecided := errors.AsType[*StartError](err)
	_, taken := errors.AsType[*GroupTakenError](err)
	_, refused := errors.AsType[*refusedError](err)
	_, fenced := errors.AsType[*membership.FencedError](err)
	_, session := errors.AsType[*membership.SessionTimeoutError](err)
	return undecided || taken || refused || fenced || session
}
