package consumer

import (
	"testing"

	"convdel/consumer/internal/recordlog"
)

func TestStamp(t *testing.T) {
	t.Parallel()
	id := recordlog.ID{Cluster: 0xfeedbeef, Topic: [16]byte{1, 2, 3, 15: 0xff}}
	for _, done := range []string{"", "convdel1:AQI", "convdel2:Ag"} {
		text := stamp(id, done)
		if got, rest := unstamp(text); got != id || rest != done || len(text) != stampBytes+len(done) {
			t.Errorf("%q came back as %v and %q", text, got, rest)
		}
		if text := stamp(recordlog.ID{}, done); text != done {
			t.Errorf("without an identity %q is written, want %q", text, done)
		}
	}
	for metadata, want := range map[string]string{
		"": "", "NO_METADATA": "NO_METADATA", "convdel1:AQI": "convdel1:AQI",
		stampPrefix: "", stampPrefix + "AAAA convdel1:AQI": "", stampPrefix + "!": "",
	} {
		if got, rest := unstamp(metadata); got != (recordlog.ID{}) || rest != want {
			t.Errorf("%q was read as %v and %q, want no identity and %q", metadata, got, rest, want)
		}
	}
}

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
