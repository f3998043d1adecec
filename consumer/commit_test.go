package consumer

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/segmentio/kafka-go"
)

// TestCoordinatorLost: only what a new coordinator can mend is waited for.
func TestCoordinatorLost(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		err  error
		want bool
	}{
		{io.ErrUnexpectedEOF, true},
		{errors.Join(io.EOF, fmt.Errorf("commit of events/0: %w", kafka.NotCoordinatorForGroup)), true},
		{kafka.GroupLoadInProgress, true},
		{kafka.GroupCoordinatorNotAvailable, true},
		{fmt.Errorf("commit of events/0: %w", kafka.UnknownTopicOrPartition), false},
		{kafka.GroupAuthorizationFailed, false},
	} {
		if got := coordinatorLost(test.err); got != test.want {
			t.Errorf("%v: %t, want %t", test.err, got, test.want)
		}
	}
}
