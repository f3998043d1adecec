package check

import (
	"strings"
	"time"

	"convdel/consumer/redisbudget"
)

// usualQuota is the API's limit for an app that has not been given more.
const usualQuota = 200

// These are the ways to share the quota.
const (
	byPartitions = "partitions"
	byRedis      = "redis"
	byNone       = "local"
)

// QuotaEvidence is what the quota depends on.
type QuotaEvidence struct {
	CallsPerSecond int
	// How is the setting quota.
	How string
	// Partitions is the number of partitions of the topic; 0 if unknown. Created says that the topic is not there yet, and run creates it. Members is the number of members of the group; -1 if unknown.
	Partitions, Members int
	Created             bool
}

// QuotaRow rules on the quota.
func QuotaRow(e QuotaEvidence) Row {
	var r ruling
	switch {
	case e.CallsPerSecond == 0:
		r.odd("set --calls-per-second to the app's limit", "nothing keeps the API's quota: --calls-per-second is 0")
	case e.CallsPerSecond > usualQuota:
		r.odd("set it to the limit that the vendor has given to the app", "--calls-per-second is %d, and the API's usual limit is %d", e.CallsPerSecond, usualQuota)
	default:
		r.fact("%d calls a second", e.CallsPerSecond)
	}
	switch e.How {
	case byNone:
		e.local(&r)
	case byRedis:
		r.fact("shared in Redis")
		e.shares(&r)
	case byPartitions:
		r.fact("shared by partitions")
		e.shares(&r)
	}
	return r.row(Quota)
}

// local rules on a replica that takes all of the quota.
func (e *QuotaEvidence) local(r *ruling) {
	switch {
	case e.Members > 1:
		r.wrong("set --quota partitions, or redis, on all replicas", "--quota is local, and the group has %d members: each makes %d calls a second", e.Members, e.CallsPerSecond)
	case e.Members == 1:
		r.odd("with more than one replica, set --quota partitions, or redis", "--quota is local, and the group has a member: another replica would make as many calls again")
	case e.Members == 0:
		r.fact("all of it for one replica")
	default:
		r.odd("with more than one replica, set --quota partitions, or redis", "--quota is local, and how many members the group has is not known")
	}
}

// shares rules on the parts of a quota that replicas share. With Redis, they are what a replica uses while Redis fails.
func (e *QuotaEvidence) shares(r *ruling) {
	if e.Created {
		r.fact("the topic is not there yet")
		return
	}
	if e.Partitions == 0 {
		r.wrong("see topic", "not checked against the partitions of the topic, which are not known")
		return
	}
	if e.CallsPerSecond > 0 && e.Partitions > e.CallsPerSecond {
		r.odd("use a topic with fewer partitions than calls a second, or --quota redis",
			"%d partitions share %d calls a second: with several replicas a second may see more calls than the quota", e.Partitions, e.CallsPerSecond)
	}
	if e.Members > e.Partitions {
		r.odd("run at most as many replicas as the topic has partitions", "%d members share %d partitions: %s no partition and no share of the quota",
			e.Members, e.Partitions, countOf(int64(e.Members-e.Partitions), "member has", "members have"))
	}
	if e.CallsPerSecond > 0 {
		r.fact("%s: a replica can have up to %d, and %s can work", countOf(int64(e.Partitions), "partition", "partitions"), e.CallsPerSecond,
			countOf(int64(e.Partitions), "replica", "replicas"))
	}
}

// RedisRow rules on the Redis that shares the quota.
func RedisRow(found *redisbudget.Inspection, err error) Row {
	if err != nil {
		return Failed(Redis, err.Error(), "check CONVDEL_REDIS_URL (or its _FILE), its user and password, and that Redis runs; meanwhile replicas use their shares by partitions")
	}
	var r ruling
	if found.Foreign {
		r.wrong("set another --redis-key", "the key holds something else than a quota")
	}
	if found.Role == "slave" {
		r.wrong("let CONVDEL_REDIS_URL name the primary", "this Redis is a replica, which takes no writes")
	}
	if found.Cluster {
		r.odd("use a Redis that is no cluster, or one whose node at this address holds the key", "this Redis is a node of a cluster: another node may hold the key")
	}
	if found.Bounded && found.Eviction != "" && found.Eviction != "noeviction" {
		r.odd("set maxmemory-policy noeviction, in a Redis with room", "maxmemory-policy is %s: a quota that is evicted stops calls for a second", found.Eviction)
	}
	if found.Took > found.LeastTook/2 {
		r.odd("use a Redis that is nearer", "it answers in %s, and the service gives up after %s", span(found.Took), span(found.LeastTook))
	}
	if found.Ahead.Abs() >= oddSkew {
		r.odd("set both clocks (NTP); the quota itself needs only a clock that goes steadily", "this machine's clock is %s", apart(found.Ahead, "Redis's"))
	} else if !found.Foreign {
		r.fact("this machine's clock is %s", apart(found.Ahead, "Redis's"))
	}
	var facts []string
	if found.Version != "" {
		facts = append(facts, "version "+found.Version)
	}
	if found.Eviction != "" {
		facts = append(facts, "maxmemory-policy "+found.Eviction)
	} else {
		facts = append(facts, "maxmemory-policy not known")
	}
	r.fact("it answers in %s: %s", span(max(time.Millisecond, found.Took)), strings.Join(facts, ", "))
	return r.row(Redis)
}
