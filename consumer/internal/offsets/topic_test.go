package offsets

import "testing"

// TestOriginOf: a committed offset is of a former topic only if the cluster is known to be the same and the topic is known
// to be another.
func TestOriginOf(t *testing.T) {
	t.Parallel()
	here := TopicID{Cluster: 1, Topic: [16]byte{1}}
	for _, test := range []struct {
		committed, now TopicID
		want           Origin
	}{
		{here, here, ThisTopic},
		{TopicID{}, here, ThisTopic},
		{here, TopicID{}, ThisTopic},
		{TopicID{Cluster: 1, Topic: [16]byte{2}}, here, FormerTopic},
		{TopicID{Cluster: 2, Topic: [16]byte{1}}, here, OtherCluster},
		{TopicID{Cluster: 2, Topic: [16]byte{2}}, here, OtherCluster},
	} {
		if got := OriginOf(test.committed, test.now); got != test.want {
			t.Errorf("offset of %v in %v: %v, want %v", test.committed, test.now, got, test.want)
		}
	}
}
