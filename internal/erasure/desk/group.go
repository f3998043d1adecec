package desk

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/cenkalti/backoff/v4"

	"convdel/consumer"
	"convdel/consumer/cluster"
	"convdel/consumer/evidence"
)

const (
	groupAttempts = 10
	groupPause    = 300 * time.Millisecond
)

// OtherAppError says that the service of the group deletes through another app than the one whose lists are read.
type OtherAppError struct {
	// App is the group's app, Ours the other one. The offset of Partition says so.
	Group, App, Ours string
	Partition        int
}

func (e *OtherAppError) Error() string {
	return fmt.Sprintf("group %s deletes through app %s (its offset of partition %d says so)", e.Group, e.App, e.Partition)
}

// CheckGroup refuses a group whose service deletes through another app, since that app's conversations would be deleted. It returns false if
// nobody knows: the group has committed nothing of the topic.
func CheckGroup(ctx context.Context, cfg evidence.Config, sdkAppID int) (known bool, err error) {
	group := consumer.NewGroupReader(cfg.Cluster, cfg.Group, cfg.Topic)
	defer group.Close()
	partitions, err := backoff.RetryWithData(func() ([]consumer.PartitionProgress, error) {
		progress, err := group.Read(ctx)
		if err != nil && cluster.Refusal(err) != nil {
			err = backoff.Permanent(err)
		}
		return progress, err
	}, backoff.WithContext(backoff.WithMaxRetries(backoff.NewConstantBackOff(groupPause), groupAttempts), ctx))
	if err != nil {
		return false, err
	}
	ours := strconv.Itoa(sdkAppID)
	for i, p := range partitions {
		if p.App != "" && p.App != ours {
			return true, &OtherAppError{Group: cfg.Group, App: p.App, Ours: ours, Partition: i}
		}
		known = known || p.App != ""
	}
	return known, nil
}
