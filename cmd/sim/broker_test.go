package sim

import (
	"context"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// The embedded broker differs from a real one where members of the group are lost in the middle of joining. What it lacks
// is done for it here, or a day could stand still for a reason that no real broker gives.
const (
	tendEvery = time.Second
	// memberPatience is longer than the service's session timeout.
	memberPatience = 15 * time.Second
	// joinPatience is far longer than a rebalance may take.
	joinPatience = 3 * time.Minute
)

// tend looks after the embedded broker until the function that it returns is called.
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
			} else if time.Since(balanced) > joinPatience {
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

// expire removes a member that has been silent for too long. The embedded broker never does so if the member's connection
// was gone when its join was answered.
func (w *world) expire(ctx context.Context, id string) {
	if !w.tap.silent(id, memberPatience) {
		return
	}
	w.note("the embedded broker still counts on a member that is silent: it is removed")
	req := kmsg.NewPtrLeaveGroupRequest()
	req.Group = group
	member := kmsg.NewLeaveGroupRequestMember()
	member.MemberID = id
	req.Members = append(req.Members, member)
	req.MemberID = id // versions below 3
	if _, err := req.RequestWith(ctx, w.aimer); err != nil {
		w.note("… which has failed: %v", err)
	}
}

// unjam keeps all replicas from joining until the embedded broker's rebalance has timed out. It begins to wait anew with
// every join, which a real broker does not do, so that members who join one after the other in less than the timeout, since
// none is given an answer, can go on like that for ever.
func (w *world) unjam() {
	w.note("the embedded broker waits for members in vain: nobody joins for a while")
	w.net.set(func() { w.net.jammed = true })
	w.net.cutAll(true, func(p *party, port int) bool { return p.tap != nil && toKafka(port) })
	time.Sleep(time.Minute)
	w.net.set(func() { w.net.jammed = false })
}
