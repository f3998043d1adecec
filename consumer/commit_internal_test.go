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

// TestFence: by some codes a broker says that the group has gone on without the member. All others may be over at the next commit.
func TestFence(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		err  error
		want bool
	}{
		{kafka.IllegalGeneration, true},
		{kafka.UnknownMemberId, true},
		{kafka.RebalanceInProgress, true},
		{kafka.FencedInstanceID, true},
		{fmt.Errorf("over the group's connection: %w", kafka.UnknownMemberId), true},
		{kafka.NotCoordinatorForGroup, false},
		{kafka.GroupCoordinatorNotAvailable, false},
		{kafka.GroupLoadInProgress, false},
		{kafka.GroupAuthorizationFailed, false},
		{kafka.OffsetMetadataTooLarge, false},
		{kafka.UnknownTopicOrPartition, false},
		{kafka.FencedLeaderEpoch, false},
		{kafka.RequestTimedOut, false},
		{io.ErrUnexpectedEOF, false},
		{nil, false},
	} {
		got := fence(test.err)
		if isFenced(got) != test.want || !errors.Is(got, test.err) {
			t.Errorf("%v: %v, fenced %t, want %t", test.err, got, isFenced(got), test.want)
		}
	}
}
