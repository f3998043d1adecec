package consumer

import (
	"testing"

	"convdel/consumer/internal/recordlog"
)

// TestOriginOf: only what is known to be another topic of the same cluster is taken for that.
func TestOriginOf(t *testing.T) {
	t.Parallel()
	here := recordlog.ID{Cluster: 1, Topic: [16]byte{1}}
	for _, test := range []struct {
		committed, now recordlog.ID
		want           origin
	}{
		{here, here, thisLog},
		{recordlog.ID{}, here, thisLog},
		{here, recordlog.ID{}, thisLog},
		{recordlog.ID{Cluster: 1, Topic: [16]byte{2}}, here, formerTopic},
		{recordlog.ID{Cluster: 2, Topic: [16]byte{1}}, here, otherCluster},
		{recordlog.ID{Cluster: 2, Topic: [16]byte{2}}, here, otherCluster},
	} {
		if got := originOf(test.committed, test.now); got != test.want {
			t.Errorf("offset of %v in %v: %v, want %v", test.committed, test.now, got, test.want)
		}
	}
}
