package consumer

import (
	"testing"

	"convdel/consumer/internal/offsets"
)

// TestProgressOf: an offset and its list count as they do for the next owner of the partition.
func TestProgressOf(t *testing.T) {
	t.Parallel()
	topic := offsets.TopicID{Cluster: 1, Topic: [16]byte{1}}
	stamp := func(edit func(*offsets.Stamp)) offsets.Stamp {
		s := offsets.Unstamped()
		s.App, s.DeadLetterTopic, s.Topic, s.Partition, s.Offset = "1400000001", "dead", topic, 0, 10
		edit(&s)
		return s.WithFinished([]offsets.Range{{First: 12, Last: 13}})
	}
	for name, c := range map[string]struct {
		c         committed
		watermark int64
		listed    bool
		byService bool
	}{
		"the service's":   {committed{offset: 10, stamp: stamp(func(*offsets.Stamp) {})}, 10, true, true},
		"of an old topic": {committed{offset: 10, stamp: stamp(func(s *offsets.Stamp) { s.Topic.Topic = [16]byte{2} })}, -1, false, false},
		"a mirror's":      {committed{offset: 10, stamp: stamp(func(s *offsets.Stamp) { s.Topic.Cluster = 2 })}, 10, false, true},
		"a tool's":        {committed{offset: 10, stamp: offsets.Unstamped()}, 10, false, false},
		"a damaged list":  {committed{offset: 10, stamp: offsets.Stamp{DeadLetterTopic: "dead", Offset: 10, List: "r!"}}, 10, false, true},
		"none":            {committed{offset: -1, stamp: offsets.Unstamped()}, -1, false, false},
	} {
		got := progressOf(c.c, topic)
		if got.App != c.c.stamp.App {
			t.Errorf("%s: app %q, want %q", name, got.App, c.c.stamp.App)
		}
		if got.Watermark != c.watermark || got.ByService != c.byService || got.Ended(9) != (c.watermark > 9) || got.Ended(10) || got.Ended(11) ||
			got.Ended(12) != c.listed || got.Ended(13) != c.listed || got.Ended(14) {
			t.Errorf("%s: %+v", name, got)
		}
	}
}
