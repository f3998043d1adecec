package sim

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"convdel/internal/testkit/coordinator"
)

func kafkaMakers() []maker {
	return []maker{
		{name: "leaders move", weight: 5, draw: func(*drawer) *act {
			return &act{begin: func(w *world) { w.kafka.ShufflePartitionLeaders() }}
		}, fits: several},
		{name: "coordinator moves", rough: true, weight: 4, draw: func(*drawer) *act {
			return &act{redo: 30 * time.Second, begin: func(w *world) { w.moveCoordinator() }}
		}, fits: several},
		{name: "broker lost", rough: true, weight: 8, draw: func(d *drawer) *act {
			node := int32(d.IntN(3))
			a := &act{detail: strconv.Itoa(int(node)), span: d.between(time.Second, time.Minute)}
			a.redo = a.span + 30*time.Second
			a.begin = func(w *world) { w.loseBroker(node) }
			a.end = func(w *world) { w.returnBroker(node) }
			return a
		}, fits: several},
		{name: "brokers refuse connections", rough: true, weight: 5, draw: func(d *drawer) *act {
			a := &act{span: d.between(time.Second, time.Minute)}
			a.redo = a.span + 30*time.Second
			a.begin = func(w *world) {
				w.net.set(func() {
					for i := range 3 {
						w.net.refused[kafkaPort+i] = true
					}
				})
				w.net.cutAll(true, func(_ *party, port int) bool { return toKafka(port) })
			}
			a.end = func(w *world) { w.net.set(func() { clear(w.net.refused) }); w.refuseLost() }
			return a
		}},
		{name: "broker connections cut", rough: true, weight: 6, draw: func(d *drawer) *act {
			arrives := d.chance(0.5)
			return &act{redo: 20 * time.Second, begin: func(w *world) {
				w.net.cutAll(arrives, func(_ *party, port int) bool { return toKafka(port) })
			}}
		}},
		{name: "replica cut off from brokers", rough: true, weight: 6, draw: func(d *drawer) *act {
			host := d.IntN(d.sc.replicas)
			a := &act{detail: strconv.Itoa(host), span: d.between(time.Second, time.Minute)}
			a.redo = a.span + 30*time.Second
			a.begin = func(w *world) { w.setAway(host, true, false) }
			a.end = func(w *world) { w.setAway(host, false, false) }
			return a
		}},
		{name: "replica sends into the void", rough: true, weight: 5, draw: func(d *drawer) *act {
			host := d.IntN(d.sc.replicas)
			a := &act{detail: strconv.Itoa(host), span: d.between(time.Second, time.Minute)}
			a.redo = a.span + 30*time.Second
			a.begin = func(w *world) { w.setAway(host, false, true) }
			a.end = func(w *world) { w.setAway(host, false, false) }
			return a
		}},
		{name: "slow brokers", rough: true, weight: 4, draw: func(d *drawer) *act {
			by := d.between(50*time.Millisecond, 3*time.Second)
			a := &act{detail: by.Round(10 * time.Millisecond).String(), span: d.between(5*time.Second, 40*time.Second)}
			a.redo = a.span + 30*time.Second
			a.begin = func(w *world) { w.setLag(by) }
			a.end = func(w *world) { w.setLag(w.sc.lag) }
			return a
		}},
		{name: "brokers answer with errors", weight: 6, draw: func(d *drawer) *act {
			return answered(d, pick(d.Rand, []kfake.Fault{
				{Keys: []kmsg.Key{kmsg.Fetch}, Err: kerr.NotLeaderForPartition},
				{Keys: []kmsg.Key{kmsg.Fetch}, Err: kerr.KafkaStorageError},
				{Keys: []kmsg.Key{kmsg.ListOffsets}, Err: kerr.LeaderNotAvailable},
				{Keys: []kmsg.Key{kmsg.Metadata}, Topic: topic, Err: kerr.LeaderNotAvailable},
				{Keys: []kmsg.Key{kmsg.OffsetFetch}, Err: kerr.CoordinatorLoadInProgress},
			}), 20*time.Second)
		}},
		{name: "coordinator loads while replicas restart", weight: 4, draw: func(d *drawer) *act {
			a := answered(d, kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetFetch}, Err: kerr.CoordinatorLoadInProgress}, 10*time.Second)
			loads := a.begin
			a.begin = func(w *world) {
				loads(w)
				w.rollingRestart(500 * time.Millisecond)
			}
			return a
		}},
		{name: "group requests fail", rough: true, weight: 6, draw: func(d *drawer) *act {
			a := answered(d, pick(d.Rand, []kfake.Fault{
				{Keys: []kmsg.Key{kmsg.OffsetCommit}, Err: kerr.CoordinatorLoadInProgress},
				{Keys: []kmsg.Key{kmsg.OffsetCommit}, Err: kerr.RequestTimedOut},
				{Keys: []kmsg.Key{kmsg.OffsetCommit}, Err: kerr.NotCoordinator},
				{Keys: []kmsg.Key{kmsg.OffsetCommit}, Err: kerr.RebalanceInProgress},
				{Keys: []kmsg.Key{kmsg.Heartbeat}, Err: kerr.RebalanceInProgress},
				{Keys: []kmsg.Key{kmsg.Heartbeat}, Err: kerr.UnknownMemberID},
				{Keys: []kmsg.Key{kmsg.JoinGroup}, Err: kerr.CoordinatorNotAvailable},
				{Keys: []kmsg.Key{kmsg.SyncGroup}, Err: kerr.RebalanceInProgress},
				{Keys: []kmsg.Key{kmsg.FindCoordinator}, Err: kerr.CoordinatorNotAvailable},
			}), 20*time.Second)
			a.redo = a.span + 30*time.Second
			return a
		}},
		{name: "commits arrive late", rough: true, weight: 4, draw: func(d *drawer) *act { return heldCommits(d, true) }},
		{name: "commits answered late", rough: true, weight: 4, draw: func(d *drawer) *act { return heldCommits(d, false) }},
		{name: "dead letters refused", weight: 7, draw: func(d *drawer) *act {
			return answered(d, kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: deadLetters, Err: pick(d.Rand, []*kerr.Error{
				kerr.NotEnoughReplicas, kerr.NotLeaderForPartition, kerr.UnknownServerError, kerr.KafkaStorageError, kerr.TopicAuthorizationFailed,
			})}, time.Minute)
		}},
		{name: "dead letters refused though appended", weight: 4, draw: func(d *drawer) *act {
			a := answered(d, kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: deadLetters, Err: pick(d.Rand, []*kerr.Error{
				kerr.NotEnoughReplicasAfterAppend, kerr.RequestTimedOut,
			})}, time.Minute)
			a.late = true
			return a
		}},
		{name: "dead letters acknowledged late", weight: 4, draw: func(d *drawer) *act { return heldWrites(d, deadLetters, false) }},
		{name: "dead letters arrive late", weight: 3, draw: func(d *drawer) *act { return heldWrites(d, deadLetters, true) }},
		{name: "partitions added", weight: 6, draw: func(d *drawer) *act {
			n := 1 + d.IntN(3)
			return &act{detail: strconv.Itoa(n), begin: func(w *world) { w.addPartitions(n) }}
		}},
		{name: "retention", weight: 4, draw: func(d *drawer) *act {
			share := pick(d.Rand, []float64{0.5, 0.9, 1})
			return &act{detail: fmt.Sprintf("%.0f %%", 100*share), begin: func(w *world) { w.cutLog(share) }}
		}, fits: func(sc *scenario) bool { return !sc.transactions }},
		{name: "dead letters compacted", weight: 3, draw: func(*drawer) *act {
			return &act{begin: func(w *world) { w.kafka.Compact() }}
		}},
		{name: "redis lost", weight: 6, fits: withRedis, draw: func(d *drawer) *act {
			return &act{
				span:  d.between(time.Second, 40*time.Second),
				begin: func(w *world) { w.redis.Die() }, end: func(w *world) { w.redis.Rise() },
			}
		}},
		{name: "redis loses its data", weight: 3, fits: withRedis, draw: func(*drawer) *act {
			return &act{begin: func(w *world) { w.redis.FlushAll() }}
		}},
		{name: "redis is slow", weight: 3, fits: withRedis, draw: func(d *drawer) *act {
			by := d.between(5*time.Millisecond, 50*time.Millisecond) // with a longer delay, some replicas use their share while others do not
			return &act{
				detail: by.Round(time.Millisecond).String(), span: d.between(time.Second, 20*time.Second),
				begin: func(w *world) { w.redis.SetSlow(by) }, end: func(w *world) { w.redis.SetSlow(0) },
			}
		}},
	}
}

// outcomeMakers are acts that keep outcomes from being written. While they are, a replica that stops leaves events that the API has
// executed to the next one. Only a refusal that is shorter than any drain allows no repetition.
func outcomeMakers() []maker {
	refused := func(d *drawer, most time.Duration) *act {
		return answered(d, kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: outcomes, Err: pick(d.Rand, []*kerr.Error{
			kerr.NotEnoughReplicas, kerr.NotLeaderForPartition, kerr.UnknownServerError, kerr.KafkaStorageError, kerr.TopicAuthorizationFailed,
		})}, most)
	}
	repeating := func(a *act) *act {
		a.redo = a.span + longestHold + 30*time.Second
		return a
	}
	return []maker{
		{name: "outcomes refused", rough: true, fits: recorded, draw: func(d *drawer) *act { return repeating(refused(d, 2*time.Minute)) }},
		{name: "outcomes refused for a moment", fits: recorded, draw: func(d *drawer) *act { return refused(d, 2*time.Second) }},
		{name: "outcomes refused though appended", rough: true, fits: recorded, draw: func(d *drawer) *act {
			return repeating(answered(d, kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: outcomes, Err: pick(d.Rand, []*kerr.Error{
				kerr.NotEnoughReplicasAfterAppend, kerr.RequestTimedOut,
			})}, time.Minute))
		}},
		{name: "outcomes acknowledged late", rough: true, fits: recorded, draw: func(d *drawer) *act { return repeating(heldWrites(d, outcomes, false)) }},
		{name: "outcomes arrive late", rough: true, fits: recorded, draw: func(d *drawer) *act { return repeating(heldWrites(d, outcomes, true)) }},
	}
}

// heldWrites is an act in which replicas' writes to a topic, or the answers to them, are delayed or lost.
func heldWrites(d *drawer, topic string, up bool) *act {
	a, r := held(d, kmsg.Produce, up)
	a.late, r.topic = topic == deadLetters, topic
	return a
}

// heldCommits is the same of commits.
func heldCommits(d *drawer, up bool) *act {
	a, r := held(d, kmsg.OffsetCommit, up)
	a.redo = a.span + r.delay + 30*time.Second
	return a
}

// answered is an act in which brokers answer some or all requests with an error.
func answered(d *drawer, f kfake.Fault, most time.Duration) *act {
	f.Count = -1
	if d.chance(0.3) {
		f.Count = 1 + d.IntN(5)
	}
	a := &act{detail: f.Keys[0].Name() + ": " + f.Err.Message, span: d.between(time.Second, most)}
	var remove func()
	a.begin = func(w *world) { remove = w.kafka.Fault(f).Remove }
	if ofMembers(f.Keys[0]) {
		a.begin = func(w *world) { remove = w.groups.Add(coordinator.Fault{Key: f.Keys[0], Err: f.Err, Count: f.Count}) }
	}
	a.end = func(*world) { remove() }
	return a
}

// ofMembers says whether the group's coordinator answers such requests by itself.
func ofMembers(key kmsg.Key) bool {
	return slices.Contains([]kmsg.Key{kmsg.JoinGroup, kmsg.SyncGroup, kmsg.Heartbeat, kmsg.LeaveGroup}, key)
}

// longestHold bounds how long a request or an answer is delayed.
const longestHold = 12 * time.Second

// held is an act in which replicas' requests, or the answers to them, are delayed or lost.
func held(d *drawer, key kmsg.Key, up bool) (*act, *rule) {
	r := &rule{up: up, key: int16(key), delay: d.between(time.Second, longestHold), cut: d.chance(0.3)}
	detail := r.delay.Round(100 * time.Millisecond).String()
	if r.cut {
		detail += ", then cut"
	}
	a := &act{detail: detail, span: d.between(time.Second, 30*time.Second)}
	a.begin = func(w *world) { w.net.set(func() { w.net.rules[r] = true }) }
	a.end = func(w *world) { w.net.set(func() { delete(w.net.rules, r) }) }
	return a, r
}
