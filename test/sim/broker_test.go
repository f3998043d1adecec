package sim

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"convdel/internal/testkit/coordinator"
)

// tendEvery is how often the coordinator looks whether it has moved. Until then a broker that is lost holds joins.
const tendEvery = time.Second

// tend lets the coordinator notice that it has moved, until the returned function is called.
func (w *world) tend() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var tending sync.WaitGroup
	tending.Go(func() {
		for ticker := time.NewTicker(tendEvery); ; {
			select {
			case <-ctx.Done():
				ticker.Stop()
				return
			case <-ticker.C:
				w.groups.Look()
			}
		}
	})
	return func() {
		cancel()
		tending.Wait()
	}
}

func (w *world) startKafka() {
	w.t.Helper()
	ports := []int{kafkaPort, kafkaPort + 1, kafkaPort + 2}[:w.sc.brokers]
	opts := []kfake.Opt{
		kfake.ListenFn(w.net.Listen), kfake.NumBrokers(w.sc.brokers), kfake.Ports(ports...), kfake.SeedTopics(w.sc.partitions, topic),
		kfake.BrokerConfigs(map[string]string{"group.initial.rebalance.delay.ms": "0"}),
	}
	if w.sc.sasl {
		opts = append(opts, kfake.EnableSASL(), kfake.Superuser("PLAIN", "convdel", password))
	}
	w.kafka = kfake.MustCluster(opts...)
	w.groups = coordinator.Take(w.kafka)
	if err := w.kafka.CreateTopic(deadLetters, 3, map[string]string{"cleanup.policy": "compact"}); err != nil {
		w.t.Fatal(err)
	}
	if w.sc.outcomes {
		if err := w.kafka.CreateTopic(outcomes, 3, nil); err != nil {
			w.t.Fatal(err)
		}
	}
}

func (w *world) loseBroker(node int32) {
	if w.lost[node] || len(w.lost) == w.sc.brokers-1 {
		w.note("… which is not possible now")
		return
	}
	w.lost[node] = true
	w.refuseLost()
	w.net.cutAll(true, func(_ *party, port int) bool { return port == kafkaPort+int(node) })
	if err := w.kafka.RemoveNode(node); err != nil {
		w.t.Error(err)
	}
}

// moveCoordinator moves the group to another broker, unless there is none.
func (w *world) moveCoordinator() {
	for range 20 {
		if was := w.kafka.CoordinatorFor(group); len(w.lost) < w.sc.brokers-1 {
			if w.kafka.RehashCoordinators(); w.kafka.CoordinatorFor(group) == was {
				continue
			}
		}
		break
	}
	w.groups.Look()
}

func (w *world) refuseLost() {
	w.net.set(func() {
		for node := range w.lost {
			w.net.refused[kafkaPort+int(node)] = true
		}
	})
}

func (w *world) returnBroker(node int32) {
	if !w.lost[node] {
		return
	}
	delete(w.lost, node)
	w.net.set(func() { delete(w.net.refused, kafkaPort+int(node)) })
	if _, _, err := w.kafka.AddNode(node, kafkaPort+int(node)); err != nil {
		w.t.Error(err)
	}
}

func (w *world) addPartitions(n int) {
	w.acting.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		res, err := w.admin.CreatePartitions(ctx, n, topic)
		if err = errors.Join(err, res.Error()); err != nil {
			w.note("partitions not added: %v", err)
		}
	})
}
