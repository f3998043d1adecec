package sim

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol/offsetcommit"
	"github.com/twmb/franz-go/pkg/kgo"

	"convdel/imclient"
	"convdel/internal/testkit"
	"convdel/schema"
)

// former is a replica of the version before the service's own membership, as far as others notice: kafka-go's ConsumerGroup with the
// protocol range, which gives everything up before it joins again. It executes good events one by one, leaves all others to later
// versions, and commits what it has done, with the list of what has ended above. It runs on days without outcomes.
type former struct {
	w      *world
	party  *party
	client *kafka.Client
	api    *imclient.Client
	log    *slog.Logger

	mu     sync.Mutex
	calls  []time.Time // the last departures; in the future for calls that are under way
	paused time.Time
}

// These are the former version's.
const (
	formerTimeout   = 12 * time.Second
	formerQuiet     = 1010 * time.Millisecond
	formerCommits   = time.Second
	formerPause     = time.Minute // after any answer that is no event's own
	formerRebalance = 15 * time.Second
	formerLast      = 30 * time.Second
	// formerOld is the age from which on events need what the former stand-in does not have.
	formerOld = 30 * time.Minute
	// formerAbove is how many records it reads above one that it leaves.
	formerAbove = 300
)

// launchFormer starts a replica of the former version.
func (w *world) launchFormer(name string, port int) *replica {
	w.note("replica %s of the former version starts", name)
	w.count("replicas of the former version")
	r := &replica{name: name, party: w.net.party(name, w.tap), done: make(chan struct{}), former: true}
	w.api.serve(w, name, port)
	out := &output{name: name}
	w.mu.Lock()
	w.output = append(w.output, out)
	w.mu.Unlock()
	cfg := w.config(r, port)
	api, err := imclient.New(cfg.IM)
	if err != nil {
		w.t.Fatal(err)
	}
	client, closeIdle := cfg.Consumer.Cluster.Client(topic)
	f := &former{w: w, party: r.party, client: client, api: api, log: slog.New(slog.NewTextHandler(out, nil))}
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel = cancel
	go func() {
		defer close(r.done)
		defer closeIdle()
		defer api.CloseIdleConnections()
		r.err = f.run(ctx)
	}()
	return r
}

func (f *former) run(ctx context.Context) error {
	c := f.w.cluster(f.party)
	dialer := c.Dialer()
	dialer.DialFunc = c.Connect
	told := kafka.LoggerFunc(func(format string, args ...any) {
		f.log.InfoContext(ctx, "kafka client", slog.String("detail", fmt.Sprintf(format, args...)))
	})
	consumers, err := kafka.NewConsumerGroup(kafka.ConsumerGroupConfig{
		ID: group, Brokers: c.GroupBrokers(), Dialer: dialer, Topics: []string{topic}, GroupBalancers: []kafka.GroupBalancer{kafka.RangeGroupBalancer{}},
		HeartbeatInterval: time.Second, SessionTimeout: formerTimeout, RebalanceTimeout: f.w.sc.drainTimeout + formerRebalance,
		JoinGroupBackoff: 500 * time.Millisecond, Timeout: 5 * time.Second, StartOffset: kafka.FirstOffset,
		WatchPartitionChanges: true, PartitionWatchInterval: 30 * time.Second, Logger: told, ErrorLogger: told,
	})
	if err != nil {
		return err
	}
	member := ""
	for ctx.Err() == nil {
		gen, err := consumers.Next(ctx)
		if err != nil {
			idle(ctx, 100*time.Millisecond)
			continue
		}
		member = gen.MemberID
		f.generation(ctx, gen)
	}
	// kafka-go waits for a join that the broker holds, so the connections are cut.
	f.leave(member) //nolint:contextcheck // ctx has ended
	f.party.n.set(func() { f.party.away = true })
	f.party.n.cutAll(true, func(p *party, port int) bool { return p == f.party && toKafka(port) })
	return consumers.Close()
}

func (f *former) leave(member string) {
	if member == "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_, err := f.client.LeaveGroup(ctx, &kafka.LeaveGroupRequest{GroupID: group, Members: []kafka.LeaveGroupRequestMember{{ID: member}}})
	f.log.Info("left", slog.Any("error", err))
}

// generation works until the generation ends, or ctx does.
func (f *former) generation(ctx context.Context, gen *kafka.Generation) {
	done := make(chan struct{})
	gen.Start(func(generation context.Context) {
		defer close(done)
		var ids []int
		for _, a := range gen.Assignments[topic] {
			ids = append(ids, a.ID)
		}
		f.log.InfoContext(ctx, "generation begins", slog.Any("partitions", ids), slog.Int("generation", int(gen.ID)))
		if len(ids) == 0 {
			select {
			case <-generation.Done():
			case <-ctx.Done():
			}
			return
		}
		s := &formerWork{former: f, member: gen.MemberID, generation: gen.ID, parts: map[int]*formerPartition{}, underWay: map[schema.Conversation]bool{}}
		s.run(ctx, generation, ids)
	})
	<-done
}

// formerWork is the work of one generation.
type formerWork struct {
	*former

	member     string
	generation int32

	parts map[int]*formerPartition
	share int
	// underWay are the conversations of the calls under way.
	underWay map[schema.Conversation]bool
}

// formerPartition is where a partition stands. Everything below watermark has ended, and what ended lists.
type formerPartition struct {
	watermark, position int64
	ended               map[int64]bool
	left                []int64 // what was read and has not ended, ascending
}

func idle(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

func (s *formerWork) run(stop, generation context.Context, ids []int) {
	ctx, cancel := context.WithCancel(generation)
	defer cancel()
	defer context.AfterFunc(stop, cancel)()
	if !s.open(ctx, ids) {
		return
	}
	idle(ctx, formerQuiet)
	work, fence := context.WithCancel(context.WithoutCancel(generation))
	defer fence()
	var working, committing sync.WaitGroup
	for _, id := range ids {
		working.Go(func() { s.consume(ctx, work, id) })
	}
	commits, over := context.WithCancel(work)
	defer over()
	committing.Go(func() {
		for commits.Err() == nil {
			idle(commits, formerCommits)
			if _, fenced := s.commit(work); fenced {
				fence()
				cancel()
			}
		}
	})
	<-ctx.Done()
	working.Wait() // a call ends by its timeout
	over()
	committing.Wait()
	for began := time.Now(); work.Err() == nil && time.Since(began) < formerLast; idle(work, time.Second) {
		if done, fenced := s.commit(work); done || fenced {
			return
		}
	}
}

// open reads the committed offsets, until it has them for each partition.
func (s *formerWork) open(ctx context.Context, ids []int) bool {
	for ctx.Err() == nil {
		asked, cancel := context.WithTimeout(ctx, 5*time.Second)
		total := len(s.w.kafka.PartitionInfos(topic))
		res, err := s.client.OffsetFetch(asked, &kafka.OffsetFetchRequest{GroupID: group, Topics: map[string][]int{topic: ids}})
		cancel()
		if err == nil {
			err = res.Error
		}
		if err == nil && len(res.Topics[topic]) == len(ids) {
			for _, p := range res.Topics[topic] {
				err = errors.Join(err, p.Error)
				at := &formerPartition{watermark: max(0, p.CommittedOffset), ended: map[int64]bool{}}
				at.position = at.watermark
				if strings.Contains(p.Metadata+" ", fmt.Sprintf(" at=%d ", p.CommittedOffset)) { // otherwise a tool has moved the group
					s.w.tap.mu.Lock()
					for _, r := range s.w.tap.finished(p.CommittedOffset, p.Metadata) {
						for o := r[0]; o <= r[1]; o++ {
							at.ended[o] = true
						}
					}
					s.w.tap.mu.Unlock()
				}
				s.parts[p.Partition] = at
				s.share += (p.Partition+1)*s.w.sc.quota/total - p.Partition*s.w.sc.quota/total
			}
		}
		if err == nil && len(s.parts) == len(ids) {
			return true
		}
		s.share = 0
		clear(s.parts)
		s.log.InfoContext(ctx, "offsets not read", slog.Any("error", err))
		idle(ctx, time.Second)
	}
	return false
}

// consume reads a partition and executes its events, one by one, until ctx ends. A call outlives ctx, and ends with work.
func (s *formerWork) consume(ctx, work context.Context, id int) {
	opts := []kgo.Opt{
		kgo.SeedBrokers(s.w.brokers()...), kgo.Dialer(s.party.dial), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {int32(id): kgo.NewOffset().At(s.parts[id].watermark)}}),
	}
	if s.w.sc.sasl {
		opts = append(opts, saslOf())
	}
	c, err := kgo.NewClient(opts...)
	if err != nil {
		s.w.t.Error(err)
		return
	}
	defer c.Close()
	for ctx.Err() == nil {
		if p := s.parts[id]; len(p.ended) > formerAbove {
			idle(ctx, time.Second)
			continue
		}
		for _, r := range c.PollRecords(ctx, 20).Records() {
			if ctx.Err() != nil {
				return
			}
			s.take(ctx, work, id, r)
		}
	}
}

// take executes a record's event, or leaves it.
func (s *formerWork) take(ctx, work context.Context, id int, r *kgo.Record) {
	ev, err := schema.Decode(r.Value, testkit.Headers(r))
	s.mu.Lock()
	p := s.parts[id]
	known := p.ended[r.Offset]
	s.mu.Unlock()
	done := known
	_, replay := schema.Origin(testkit.Headers(r)) // such an event is as old as the first record of it
	if old := time.Now().Add(-formerOld); !known && !replay && err == nil && r.Timestamp.After(old) && (ev.Time.IsZero() || ev.Time.After(old)) {
		done = s.call(ctx, work, ev)
		if !done && ctx.Err() != nil {
			return // it has not been read
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if p.position = r.Offset + 1; done {
		p.ended[r.Offset] = true
	} else {
		p.left = append(p.left, r.Offset)
	}
	if len(p.left) == 0 {
		p.watermark = p.position
		maps.DeleteFunc(p.ended, func(offset int64, _ bool) bool { return offset < p.watermark })
	}
}

// call makes an event's call, when there is room for it. It returns true if the event is deleted.
func (s *formerWork) call(ctx, work context.Context, ev schema.Event) bool {
	until, may := s.enter(ev)
	for !may {
		if idle(ctx, 20*time.Millisecond); ctx.Err() != nil {
			return false
		}
		until, may = s.enter(ev)
	}
	err := s.api.DeleteConversation(work, imclient.DeleteRequest{From: ev.From, Type: int(ev.Type), To: ev.To, ClearRamble: ev.ClearRamble})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls[slices.Index(s.calls, until)] = time.Now()
	delete(s.underWay, ev.Conversation)
	if class := imclient.ClassOf(err); err != nil && class != imclient.Permanent && class != imclient.Transient {
		s.paused = time.Now().Add(formerPause)
	}
	return err == nil
}

// enter notes a call, unless the share of the quota is used up, or the conversation has a call under way.
func (s *formerWork) enter(ev schema.Event) (until time.Time, may bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	s.calls = slices.DeleteFunc(s.calls, func(at time.Time) bool { return now.Sub(at) > formerQuiet })
	if len(s.calls) >= s.share || now.Before(s.paused) || s.underWay[ev.Conversation] {
		return now, false
	}
	until = now.Add(time.Hour)
	s.calls = append(s.calls, until)
	s.underWay[ev.Conversation] = true
	return until, true
}

// commit commits all partitions. fenced says that the group has gone on without this member.
func (s *formerWork) commit(work context.Context) (done, fenced bool) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(work), 5*time.Second)
	defer cancel()
	req := &offsetcommit.Request{GroupID: group, GenerationID: s.generation, MemberID: s.member, RetentionTimeMs: -1, Topics: []offsetcommit.RequestTopic{{Name: topic}}}
	s.mu.Lock()
	for id, p := range s.parts {
		if p.position == p.watermark && p.watermark == 0 {
			continue
		}
		watermark := p.watermark
		if len(p.left) > 0 {
			watermark = p.left[0]
		}
		for p.ended[watermark] { // by a list that it has inherited
			watermark++
		}
		req.Topics[0].Partitions = append(req.Topics[0].Partitions, offsetcommit.RequestPartition{
			PartitionIndex: int32(id), CommittedOffset: watermark, CommittedLeaderEpoch: -1, CommittedMetadata: stampOf(id, watermark, p.ended),
		})
	}
	s.mu.Unlock()
	if len(req.Topics[0].Partitions) == 0 {
		return true, false
	}
	message, err := s.client.Transport.RoundTrip(ctx, s.client.Addr, req)
	res, _ := message.(*offsetcommit.Response)
	if err != nil || res == nil {
		s.log.InfoContext(ctx, "not committed", slog.Any("error", err))
		return false, false
	}
	done = true
	for _, t := range res.Topics {
		for _, p := range t.Partitions {
			done, fenced = done && p.ErrorCode == 0, fenced || slices.Contains([]int16{22, 25, 27, 82}, p.ErrorCode)
		}
	}
	return done, fenced
}

// stampOf writes a commit's metadata by its definition in docs/design.md.
func stampOf(partition int, watermark int64, ended map[int64]bool) string {
	text := fmt.Sprintf("convdel3 app=%d letters=%s partition=%d at=%d", sdkAppID, deadLetters, partition, watermark)
	var above []int64
	for o := range ended {
		if o >= watermark {
			above = append(above, o)
		}
	}
	if len(above) == 0 {
		return text
	}
	slices.Sort(above)
	var list []byte
	for from := watermark; len(above) > 0; {
		first := above[0]
		n := 1
		for n < len(above) && above[n] == first+int64(n) {
			n++
		}
		list = binary.AppendUvarint(list, uint64(first-from))
		list = binary.AppendUvarint(list, uint64(n-1))
		from = first + int64(n-1)
		above = above[n:]
	}
	return text + " done=r" + base64.RawStdEncoding.EncodeToString(list)
}
