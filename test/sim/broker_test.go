package sim

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// The embedded broker differs from a real one where members of the group are lost while they join. The simulation does what
// the broker lacks. Otherwise a day could stand still for a reason that no real broker has.
const (
	tendEvery = time.Second
	// memberTimeout is longer than the service's session timeout.
	memberTimeout = 15 * time.Second
	// joinTimeout is far longer than a rebalance may take.
	joinTimeout = 3 * time.Minute
)

// tend watches the embedded broker until the returned function is called.
func (w *world) tend() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var tending sync.WaitGroup
	tending.Go(func() {
		balanced := time.Now()
		for ticker := time.NewTicker(tendEvery); ; {
			select {
			case <-ctx.Done():
				ticker.Stop()
				return
			case <-ticker.C:
			}
			info := w.kafka.GroupInfo(group)
			if info == nil || info.State != "PreparingRebalance" {
				balanced = time.Now()
			} else if time.Since(balanced) > joinTimeout {
				w.unjam()
				balanced = time.Now()
			}
			if info != nil && info.State == "Stable" {
				for _, m := range info.Members {
					w.expire(ctx, m.MemberID)
				}
			}
		}
	})
	return func() {
		cancel()
		tending.Wait()
	}
}

// expire removes a member that was silent for too long. The embedded broker never does so if the member's connection was
// lost before its join was answered.
func (w *world) expire(ctx context.Context, id string) {
	if !w.tap.silent(id, memberTimeout) {
		return
	}
	w.note("the embedded broker still counts on a member that is silent: it is removed")
	req := kmsg.NewPtrLeaveGroupRequest()
	req.Group = group
	member := kmsg.NewLeaveGroupRequestMember()
	member.MemberID = id
	req.Members = append(req.Members, member)
	req.MemberID = id // for versions below 3
	if _, err := req.RequestWith(ctx, w.aimer); err != nil {
		w.note("… which has failed: %v", err)
	}
}

// unjam keeps all replicas from joining until the embedded broker's rebalance has timed out. Unlike a real broker it
// restarts the timeout with every join. So members that join in turn, because none gets an answer, can keep it from ending
// for ever.
func (w *world) unjam() {
	w.note("the embedded broker waits for members in vain: nobody joins for a while")
	w.net.set(func() { w.net.jammed = true })
	w.net.cutAll(true, func(p *party, port int) bool { return p.tap != nil && toKafka(port) })
	time.Sleep(time.Minute)
	w.net.set(func() { w.net.jammed = false })
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
