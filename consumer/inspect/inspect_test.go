package inspect_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kfake"
	"go.uber.org/goleak"

	"convdel/consumer/cluster"
	"convdel/consumer/inspect"
	"convdel/internal/testkit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// room is three brokers in a bubble, and an inspector on a network where they can be made unwell.
type room struct {
	t       *testing.T
	i       *inspect.Inspector
	ward    *testkit.Ward
	brokers []string
}

// withBrokers starts the brokers and the inspector.
func withBrokers(t *testing.T, test func(r room)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		network := new(kfake.VirtualNetwork)
		kafkas := kfake.MustCluster(kfake.ListenFn(network.Listen), kfake.NumBrokers(3), kfake.Ports(9092, 9093, 9094), kfake.SeedTopics(4, "events"))
		defer kafkas.Close()
		ward := testkit.NewWard(network.DialContext)
		i := inspect.New(cluster.Config{Brokers: kafkas.ListenAddrs(), Dial: ward.DialContext})
		defer i.Close()
		test(room{t: t, i: i, ward: ward, brokers: kafkas.ListenAddrs()})
		i.Close()
		synctest.Wait()
	})
}

// TestOneBrokerUnwell: each way in which a broker can be of no use is noticed in time, and the others are found well.
func TestOneBrokerUnwell(t *testing.T) {
	t.Parallel()
	for _, ailment := range testkit.Ailments() {
		t.Run(fmt.Sprint(ailment), func(t *testing.T) {
			t.Parallel()
			withBrokers(t, func(r room) {
				t, i := r.t, r.i
				r.ward.Make(r.brokers[1], ailment)
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				began := time.Now()
				found, err := i.Cluster(ctx)
				if err != nil {
					t.Fatal(err)
				}
				if took := time.Since(began); took > 11*time.Second {
					t.Errorf("it took %s", took)
				}
				if len(found.Listed) != 3 || len(found.Known) != 3 || found.ID == "" {
					t.Fatalf("%+v", found)
				}
				for n, b := range found.Listed {
					if (b.Err != nil) != (n == 1) || b.Address != r.brokers[n] {
						t.Errorf("%+v", b)
					}
				}
				unwell := 0
				for _, b := range found.Known {
					if b.Err != nil {
						unwell++
					}
				}
				if unwell != 1 {
					t.Errorf("%+v", found.Known)
				}
			})
		})
	}
}

// TestAllFrozen: brokers that freeze between two questions end the second one in time.
func TestAllFrozen(t *testing.T) {
	t.Parallel()
	withBrokers(t, func(r room) {
		t, i := r.t, r.i
		if _, err := i.Topic(t.Context(), "events"); err != nil {
			t.Fatal(err)
		}
		for _, b := range r.brokers {
			r.ward.Make(b, testkit.Frozen)
		}
		for what, ask := range map[string]func(ctx context.Context) error{
			"topic":  func(ctx context.Context) error { _, err := i.Topic(ctx, "events"); return err },
			"group":  func(ctx context.Context) error { _, err := i.Group(ctx, "convdel"); return err },
			"others": func(ctx context.Context) error { _, err := i.Others(ctx, "events", "convdel"); return err },
			"all":    func(ctx context.Context) error { _, err := i.Cluster(ctx); return err },
		} {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			began := time.Now()
			err := ask(ctx)
			cancel()
			if took := time.Since(began); err == nil || took > 11*time.Second {
				t.Errorf("%s: %v after %s", what, err, took)
			}
		}
	})
}

// TestTopicAndGroup: a topic, a group that does not exist, and a topic that does not exist, which stays so.
func TestTopicAndGroup(t *testing.T) {
	t.Parallel()
	withBrokers(t, func(r room) {
		t, i := r.t, r.i
		found, err := i.Topic(t.Context(), "events")
		if err != nil || found.Partitions != 4 || found.Settings["cleanup.policy"] != "delete" || found.SettingsErr != nil || found.Rights.Lack(inspect.Read) {
			t.Errorf("%+v, %v", found, err)
		}
		group, err := i.Group(t.Context(), "convdel")
		if err != nil || group.State != "Dead" || len(group.Members) != 0 {
			t.Errorf("%+v, %v", group, err)
		}
		for range 2 {
			if _, err := i.Topic(t.Context(), "missing"); !errors.Is(err, kafka.UnknownTopicOrPartition) {
				t.Error(err)
			}
		}
	})
}
