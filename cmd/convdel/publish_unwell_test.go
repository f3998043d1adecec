package main

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"convdel/consumer/cluster"
	"convdel/internal/publish"
	"convdel/internal/testkit"
	"convdel/schema"
)

// TestUnwellBroker_Publish: a broker of the list is of no use. Records are published by the others.
func TestUnwellBroker_Publish(t *testing.T) {
	t.Parallel()
	for _, ailment := range testkit.Ailments() {
		t.Run(string(ailment), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				network := new(kfake.VirtualNetwork)
				broker := kfake.MustCluster(kfake.ListenFn(network.Listen), kfake.NumBrokers(1), kfake.Ports(9092), kfake.SeedTopics(1, schema.Topic))
				defer broker.Close()
				ward := testkit.NewWard(network.DialContext)
				ward.Make("unwell:9092", ailment)
				sink := publish.NewWriter(cluster.Config{
					Brokers: append([]string{"unwell:9092"}, broker.ListenAddrs()...), Dial: ward.DialContext,
				}, schema.Topic)
				began := time.Now()
				n, err := sink.Write(t.Context(), []publish.Record{{Value: []byte("{}")}})
				if took := time.Since(began); err != nil || n.Written != 1 || took > 30*time.Second {
					t.Errorf("%d written in %s, %v", n.Written, took, err)
				}
				if err := sink.Close(); err != nil {
					t.Error(err)
				}
				synctest.Wait()
			})
		})
	}
}
