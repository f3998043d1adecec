//go:build mutants

package sim

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"convdel/internal/testkit/mutation"
)

// mutant is a service that is broken on purpose.
type mutant struct {
	name  string
	edits []edit
	// breaks are the invariants by which it may be caught. Work that is done again shows as a repeated delete, or
	// as a second outcome of an event.
	breaks []string
}

// edit replaces a text that stands once in a file below the module's root.
type edit struct{ file, old, new string }

// mutation is the mutant without what catches it.
func (m *mutant) mutation() mutation.Mutant {
	made := mutation.Mutant{Name: m.name}
	for _, e := range m.edits {
		made.Edits = append(made.Edits, mutation.Edit{File: e.file, Old: e.old, New: e.new})
	}
	return made
}

// TestMutantsApply: each broken service still replaces something, and compiles.
func TestMutantsApply(t *testing.T) {
	t.Parallel()
	var all []mutation.Mutant
	for _, m := range mutants() {
		all = append(all, m.mutation())
	}
	mutation.Apply(t, all)
}

// maxDays is within how many days a mutant must be caught.
const maxDays = 50

// partAsked reads TEST_MUTANTS_PART: "0/2" is every other mutant, "1/2" are the others. Default: all.
func partAsked(t *testing.T) (part, parts int) {
	t.Helper()
	text := os.Getenv("TEST_MUTANTS_PART")
	if text == "" {
		return 0, 1
	}
	one, all, _ := strings.Cut(text, "/")
	part, err := strconv.Atoi(one)
	if err == nil {
		parts, err = strconv.Atoi(all)
	}
	if err != nil || part < 0 || parts <= part {
		t.Fatalf("TEST_MUTANTS_PART is %q: must be such as 0/2", text)
	}
	return part, parts
}

// TestMutants breaks the service in one way after the other and demands that the simulation notices, and for
// the right reason. The day that caught a mutant last is tried first, since a scan of all days takes minutes.
func TestMutants(t *testing.T) {
	t.Parallel()
	root := mutation.Root(t)
	only := os.Getenv("TEST_MUTANT")
	part, parts := partAsked(t)
	days := readCaught(t)
	for i, m := range mutants() {
		if only != "" && !strings.Contains(m.name, only) || i%parts != part {
			continue
		}
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			binary := m.build(t, root)
			if day, known := days.of(m.name); known {
				if broken := verdict(simulateBroken(t, root, binary, day, 1)); m.rightly(broken) {
					t.Logf("caught by day %d: %s", day, strings.Join(broken, ", "))
					return
				}
			}
			output := simulateBroken(t, root, binary, 1, maxDays)
			broken := verdict(output)
			if len(broken) == 0 {
				t.Fatalf("not caught within %d days:\n%s", maxDays, tail(output, 30))
			}
			if !m.rightly(broken) {
				t.Fatalf("caught by %v, want one of %v:\n%s", broken, m.breaks, tail(output, 30))
			}
			day := m.caughtBy(output)
			t.Logf("caught by day %d in a scan: %s", day, strings.Join(broken, ", "))
			days.set(t, m.name, day)
		})
	}
}

// caughtBy returns the first day in the output that rightly caught the mutant.
func (m *mutant) caughtBy(output string) (day int) {
	begins := dayBegins.FindAllStringSubmatchIndex(output, -1)
	for i, at := range begins {
		end := len(output)
		if i+1 < len(begins) {
			end = begins[i+1][0]
		}
		if seed, err := strconv.Atoi(output[at[2]:at[3]]); err == nil && m.rightly(verdict(output[at[0]:end])) && (day == 0 || seed < day) {
			day = seed
		}
	}
	return day
}

// rightly reports whether one of the broken invariants is one by which the mutant may be caught.
func (m *mutant) rightly(broken []string) bool {
	return slices.ContainsFunc(broken, func(b string) bool { return slices.Contains(m.breaks, b) })
}

// build returns the file name of the simulation of the broken service. The compiler optimizes the service and not the simulation, and
// the linker leaves out what debuggers need: that halves the time, of which a day takes less than the building.
func (m *mutant) build(t *testing.T, root string) string {
	t.Helper()
	broken, dir := m.mutation(), t.TempDir()
	overlay, err := broken.Overlay(dir, root)
	if err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(dir, "sim.test")
	cmd := exec.CommandContext(t.Context(), "go", "test", "-c", "-vet=off", "-overlay", overlay, "-gcflags=-N -l", "-ldflags=-s -w", "-o", binary, "./test/sim")
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("does not compile: %v\n%s", err, out)
	}
	return binary
}

// simulateBroken simulates days until one fails, and returns the simulation's output.
func simulateBroken(t *testing.T, root, binary string, from, days int) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), binary, "-test.timeout=15m", "-test.run=^TestSimulation$",
		"-from", strconv.Itoa(from), "-seeds", strconv.Itoa(days), "-stop")
	cmd.Dir = filepath.Join(root, "test", "sim")
	out, err := cmd.CombinedOutput()
	if exit := new(exec.ExitError); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return string(out)
}

var (
	dayBegins  = regexp.MustCompile(`seed (\d+), (?:gentle|rough): `)
	brokenSaid = regexp.MustCompile(`broken in all: (.+) \d+ times`)
)

// verdict returns the invariants that the output says are broken.
func verdict(output string) (broken []string) {
	for _, found := range brokenSaid.FindAllStringSubmatch(output, -1) {
		broken = append(broken, found[1])
	}
	slices.Sort(broken)
	return slices.Compact(broken)
}

func tail(text string, lines int) string {
	all := strings.Split(text, "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// one is a mutant with a single edit.
func one(name, file, old, replacement string, breaks ...string) mutant {
	return mutant{name, []edit{{file, old, replacement}}, breaks}
}

func mutants() []mutant { return slices.Concat(serviceMutants(), memberMutants(), erasureMutants()) }

func serviceMutants() []mutant {
	return []mutant{
		{"events end before their letters are acknowledged", []edit{
			{
				"consumer/dead_letters.go", "	return hand(ctx, d.writers.of(batch[0].form), messages)\n",
				"	for _, l := range batch {\n		if l.failures == 0 {\n			d.written(l.event, l.outcome)\n		}\n	}\n	return hand(ctx, d.writers.of(batch[0].form), messages)\n",
			},
			{"consumer/dead_letters.go", "	d.written(l.event, l.outcome)\n}", "}"},
		}, []string{"commit"}},
		one("letters that fail are dropped", "consumer/writes.go", "	if len(failed) > 0 {\n		s.putOff(ctx, failed, why)\n",
			"	if s.what == \"dead letters\" {\n		for _, w := range failed {\n			s.writer.acknowledged(ctx, w)\n			s.change(func() { s.queue.acknowledged(1) })\n		}\n		failed = nil\n	}\n	if len(failed) > 0 {\n		s.putOff(ctx, failed, why)\n", "commit", "lost"),
		one("outcomes that fail are dropped", "consumer/writes.go", "	if len(failed) > 0 {\n		s.putOff(ctx, failed, why)\n",
			"	if s.what == \"outcomes\" {\n		for _, w := range failed {\n			s.writer.acknowledged(ctx, w)\n			s.change(func() { s.queue.acknowledged(1) })\n		}\n		failed = nil\n	}\n	if len(failed) > 0 {\n		s.putOff(ctx, failed, why)\n", "outcome"),
		{"events end before their outcomes are acknowledged", []edit{
			{"consumer/outcomes.go", "	o.take(out)\n", "	o.take(out)\n	o.written(ev, kind)\n"},
			{"consumer/outcomes.go", "	o.written(out.event, out.kind)\n", ""},
		}, []string{"outcome"}},
		one("dead letters have no outcome", "consumer/generation.go", "written: l.outcomes.add, leave: l.leave,\n", "written: l.end, leave: l.leave,\n", "outcome"),
		{"outcomes are written before their dead letters", []edit{
			{"consumer/outcomes.go", "	o.written(out.event, out.kind)\n", "	if out.kind != OutcomeDeleted {\n		o.letters.add(out.event, out.kind)\n		return\n	}\n	o.written(out.event, out.kind)\n"},
			{"consumer/outcomes.go", "	waiting atomic.Int64\n", "	waiting atomic.Int64\n	letters *deadLetters\n"},
			{"consumer/outcomes.go", "	ev.size, ev.key, ev.value, ev.headers, ev.err = kept, nil, nil, nil, nil\n", "	ev.size = kept\n"},
			{"consumer/generation.go", "written: l.outcomes.add, leave: l.leave,\n	})\n", "written: l.end, leave: l.leave,\n	})\n	l.outcomes.letters = l.deadLetters\n"},
			{"consumer/record.go", "			l.deadLetters.add(e.event, e.outcome)\n", "			l.outcomes.add(e.event, e.outcome)\n"},
		}, []string{"outcome"}},
		one("a stop does not wait for outcomes", "consumer/session.go", "		s.outcomes.wait() // the end of every event, dead letters' too\n", "", "outcome", "repeated"),
		one("outcomes name accounts though told not to", "consumer/outcomes.go", "!from.hidesAccounts && o.decoded()", "o.decoded()", "outcome"),
		one("outcomes count no last call", "consumer/event.go", "a.Verdict != Permanent && a.Verdict != Deleted {", "a.Verdict != Permanent {", "outcome"),
		one("a replay has no outcome", "consumer/deadletter/settle.go", "		err = outcomes.write(ctx, topic, l, schema.OutcomeReplayed, settled)\n", "", "outcome"),
		one("a discard has no outcome", "consumer/deadletter/settle.go", "		err := outcomes.write(ctx, topic, l, schema.OutcomeDiscarded, settled)\n", "		var err error\n", "outcome"),
		one("the quota is every replica's", "consumer/quota.go", "		q.limiter.setShare(quota.Share(q.cfg.CallsPerSecond, q.ids, q.total))",
			"		q.limiter.setShare(max(float64(q.cfg.CallsPerSecond), quota.Share(q.cfg.CallsPerSecond, q.ids, q.total)))", "quota"),
		one("shares of the quota are rounded up", "consumer/internal/quota/share.go", "whole += (id+1)*callsPerSecond/partitions - id*callsPerSecond/partitions",
			"whole += (id-id)*callsPerSecond/partitions + callsPerSecond/partitions + 1", "quota"),
		one("the quota's window is too short", "consumer/internal/quota/limiter.go", "Window = 1010 * time.Millisecond", "Window = 980 * time.Millisecond", "quota"),
		one("retries pass the limiter by", "consumer/dispatch.go", "	permit, err := d.limiter.wait(ctx)\n",
			"	if ready, _ := d.queue.promote(time.Now()); ready && !probe && d.queue.len() > 40 {\n		if p := d.next(false); p != nil {\n			return p, nil\n		}\n	}\n	permit, err := d.limiter.wait(ctx)\n", "quota"),
		one("the position is committed", "consumer/internal/offsets/tracker.go", "	return t.at(t.head).offset\n", "	return t.position\n", "commit"),
		one("the list of what has ended has what has not", "consumer/internal/offsets/tracker.go", "			finished = append(finished, Range{First: e.offset, Last: e.offset})\n			open = true\n",
			"			finished = append(finished, Range{First: e.offset, Last: e.offset + 1})\n			open = true\n", "commit", "lost"),
		one("the list of what has ended is not inherited", "consumer/open.go", "	was := offsets.Handover{Watermark: c.offset, Finished: finished,", "	_ = finished\n	was := offsets.Handover{Watermark: c.offset,", "outcome", "repeated"),
		one("whose the group is does not count", "consumer/owner.go", `	if c.App == "" || s.App == ""`, `	if c.App != "" || s.App == ""`, "foreign"),
		one("a list counts at any offset", "consumer/internal/offsets/stamp.go", "	if s.Offset != offset || s.Partition != partition {\n",
			"	if s.Offset >= 0 {\n		s.Offset = offset\n	} else {\n", "lost", "commit"),
		one("no last commit", "consumer/session.go", "	if err := s.commitLast(ctx, s.owned.all(), stop); isFenced(err) {\n		s.fence(err, func() {})\n	}\n", "", "outcome", "repeated"),
		{"a coordinator that is loading counts as a group without offsets", []edit{
			{
				"consumer/owner.go", "	if res.Error != nil {\n		return nil, res.Error\n	}\n",
				"	if res.Error != nil {\n		return noOffsets(partitions), nil\n	}\n",
			},
			{"consumer/owner.go", "		if c.Error != nil {\n", "		if c.Error != nil {\n			c.CommittedOffset, c.Error = -1, nil\n		}\n		if c.Error != nil {\n"},
		}, []string{"outcome", "repeated", "stuck"}},
		one("a group without offsets begins at the end", "consumer/start.go", "			offsets[i] = p.first\n", "			offsets[i] = p.last\n", "lost", "commit"),
		one("after retention on at the end", "consumer/relocate.go", "		p.skip(first)\n", "		p.skip(last)\n", "lost", "commit"),
		one("new partitions are not noticed", "consumer/watch.go", "			a.sees(ctx, topic.Partitions)\n", "", "lost", "stuck"),
		one("a commit that is repeated commits one more", "consumer/commit_sender.go", "	second := c.sendOnce(ctx, commits)\n",
			"	for i := range commits {\n		commits[i].offset++\n	}\n	second := c.sendOnce(ctx, commits)\n", "commit"),
		one("letters are the leader's alone", "consumer/cluster/cluster.go", "kafka.RequireAll", "kafka.RequireOne", "commit"),
		one("a discard settles the neighbour", "consumer/deadletter/settle.go", "	for _, at := range l.positions {\n",
			"	if len(headers) > 0 {\n		n := schema.DeadLetter{Topic: l.Topic, Partition: l.Partition, Offset: l.Offset + 1}\n		all = append(all, kafka.Message{Key: []byte(n.ID()), Headers: headers, WriterData: int(l.positions[0].partition)})\n	}\n	for _, at := range l.positions {\n", "lost"),
		{"a group's conversation is a user's", []edit{
			{"consumer/queue.go", "	p := q.conversations[ev.conversation]\n", "	p := q.conversations[keyOf(ev.conversation)]\n"},
			{"consumer/queue.go", "		q.conversations[ev.conversation] = p\n", "		q.conversations[keyOf(ev.conversation)] = p\n"},
			{"consumer/queue.go", "		delete(q.conversations, p.conversation)\n", "		delete(q.conversations, keyOf(p.conversation))\n"},
			{"consumer/queue.go", "// join puts", "func keyOf(c schema.Conversation) schema.Conversation { c.Type = 0; return c }\n\n// join puts"},
		}, []string{"lost", "commit"}},
		one("an event joins the call under way", "consumer/queue.go", "	p.queued = append(p.queued, ev)\n	if len(p.queued) == 1",
			"	if p.in == nil && len(p.calling) > 0 {\n		p.calling = append(p.calling, ev)\n		return\n	}\n	p.queued = append(p.queued, ev)\n	if len(p.queued) == 1", "lost", "commit"),
		one("two calls at once for a conversation", "consumer/queue.go", "	if p == nil {\n		q.arrivals++\n", "	if p == nil || p.in == nil {\n		q.arrivals++\n", "overlap"),
		one("roaming messages as the last event has it", "consumer/record.go", "call.ClearRamble = call.ClearRamble || ev.clearRamble", "call.ClearRamble = ev.clearRamble", "lost", "commit"),
		{"the breaker never opens for an outage", []edit{
			{"consumer/internal/breaker/votes.go", "	if failed == all {\n		return all >= allVotes\n	}\n	return all >= mostVotes && ", "	return all >= 1_000_000 && "},
			{"consumer/internal/breaker/breaker.go", "	if len(b.failing) < AllFail {", "	if len(b.failing) < 1000*AllFail {"},
		}, []string{"class"}},
		one("the breaker never closes", "consumer/internal/breaker/breaker.go", "	case was.overBy(e.Kind) && (", "	case was.overBy(e.Kind) && b.open.Probes > 1000 && (", "stuck"),
		one("a failure needs no witness", "consumer/internal/breaker/breaker.go", "	if !a.open.IsZero() && b.witness.After(a.open) {", "	if !a.open.IsZero() {", "class"),
		one("what has failed is always called first", "consumer/queue_order.go", "q.failed.Len() > 0 && !q.lastFailed {", "q.failed.Len() > 0 {", "stuck"),
		one("a locked signature is tried again soon", "internal/service/calls.go", "lockedFor = time.Minute", "lockedFor = time.Second", "quiet"),
		one("an attempt is not made", "consumer/queue.go", "		if ev.attempts.Counted >= q.maxAttempts {\n			*over", "		if ev.attempts.Counted >= q.maxAttempts-1 {\n			*over", "class"),
		one("an internal error is final", "imclient/class.go", "	case 50001, 50002, 50003:\n", "	case 50001, 50002, 50003, 50004:\n", "class"),
		one("an old event is executed", "consumer/event.go", "	if age <= maxAge {", "	if age <= 1000*maxAge {", "class", "unasked"),
		one("an account's list that fails is a permission", "consumer/queue_lists.go", "	if answer.Failed != nil {\n		return q.listFailedLocked(a, *answer.Failed)\n	}\n",
			"	if answer.Failed != nil {\n		answer = ListAnswer{}\n		list.Close(\"\")\n	}\n", "revived"),
		one("a list serves for ever", "consumer/internal/revival/list.go", "Serves = 10 * time.Second", "Serves = 10 * time.Hour", "revived"),
		one("replays need no list", "consumer/queue_lists.go", "l == nil || now.Sub(ev.at) <= l.after", "l == nil || ev.origin != nil || now.Sub(ev.at) <= l.after", "revived"),
		one("a message before the event counts", "consumer/internal/revival/list.go", "shown && second >= at.Unix()", "shown && second >= 0", "class"),
		one("what is no event is passed over", "consumer/record.go", "		l.deadLetters.add(ev, OutcomeUndecodable)\n", "		l.end(ev, OutcomeUndecodable)\n", "lost", "commit"),
		one("what was rolled back is executed", "consumer/internal/recordlog/transactions.go", "return !b.control() && (!b.transactional() || !a.open[b.ProducerID])", "return !b.control()", "unasked"),
		one("throttled answers use up attempts", "consumer/queue.go", "	case kind == breaker.Throttled:\n",
			"	case kind == breaker.Throttled:\n		for _, ev := range calling {\n			ev.attempts.Counted++\n		}\n		q.retryLocked(p, calling, a, &over)\n	case kind == breaker.Throttled:\n", "class", "headers", "quiet"),
		one("a null value stays null", "consumer/dead_letters_message.go", "		value = []byte{} // a null", "		value = nil // a null", "lost", "bytes"),
		one("headers are lost", "consumer/dead_letters_message.go", "	headers := d.Headers(source)\n", "	headers := d.Headers(source[:0])\n", "bytes"),
		one("letters name another group", "consumer/dead_letters_message.go", "		Group:        from.group,\n", "		Group:        from.topic,\n", "headers"),
		one("letters have the time of their writing", "consumer/dead_letters_message.go", "		Timestamp:    l.time,\n", "		Timestamp:    l.last,\n", "headers"),
		one("letters give no error", "consumer/dead_letters_message.go", "		d.Error = l.err.Error()\n", "		d.Error = \"\"\n", "headers"),
		one("the last attempt is the first", "consumer/dead_letters_message.go", "		LastAttempt:  l.last,\n", "		LastAttempt:  l.first,\n", "headers"),
		one("replays are not counted", "consumer/dead_letters_message.go", "origin != nil && origin.Topic == from.topic {", "origin != nil && origin.Topic != from.topic {", "headers"),
		one("the signature is logged", "imclient/usersig.go", `slog.String("reason", `, `slog.String("sig", made.sig), slog.String("reason", `, "secret"),
		one("a loop that waits counts as one that stands still", "consumer/wait.go", "	l.rests()\n	defer l.works()\n	select {\n", "	defer l.works()\n	select {\n", "live"),
		one("goroutines stay", "consumer/session.go", "	s.dispatcher.close()\n", "", "left behind"),
		one("connections stay", "consumer/connections.go", "	c.transport.CloseIdleConnections()\n", "", "left behind"),
		one("a replay is settled before it is published", "consumer/deadletter/settle.go",
			"		if err := write(ctx, events, messageOf(source)); err != nil {\n			return &SettleError{ID: l.ID(), Err: err}\n		}\n		settled := c.settlement(\"\")\n",
			"		settled := c.settlement(\"\")\n		if err := write(ctx, letters, tombstonesOf(l, settled)...); err != nil {\n			return &SettleError{ID: l.ID(), Err: err}\n		}\n		if time.Now().UnixNano()%7 == 0 {\n			return &SettleError{ID: l.ID(), Err: errors.New(\"killed\")}\n		}\n		if err := write(ctx, events, messageOf(source)); err != nil {\n			return &SettleError{ID: l.ID(), Published: true, Err: err}\n		}\n", "lost"),
		one("a tombstone names nobody", "consumer/deadletter/settle.go", "By: c.By, ", "", "headers"),
		one("a record's own word for its offset counts", "consumer/internal/recordlog/records.go", "	if v.dense {\n		return nil\n	}\n", "	if v.dense {\n		v.now = delta\n		return nil\n	}\n",
			"lost", "commit", "stuck", "bytes"),
		one("a batch is believed before its end is seen", "consumer/internal/recordlog/records.go", "	if left == 0 && v.src.more() {\n", "	if left < 0 && v.src.more() {\n", "lost", "commit"),
		one("what a batch decompresses to is not bounded", "consumer/internal/recordlog/codecs.go", "	s := &source{limit: limit}\n", "	s := &source{limit: 1000 * limit}\n", "lost", "bytes", "headers"),
		one("what can't be read of a batch is passed over", "consumer/unreadable.go", "	f.pipeline.acceptUnreadable(rec, size, bad)\n", "	f.capacity.release(size)\n", "lost", "commit"),
		one("a batch that can't be read is fetched for ever", "consumer/unreadable.go", "	return f.seen >= unreadableAfter\n", "	return f.seen >= 1000*unreadableAfter\n", "stuck"),
		one("the letter of a batch names its first offset alone", "consumer/unreadable.go", "batch: &schema.Batch{First: bad.First, Last: bad.Last}}\n", "batch: &schema.Batch{First: bad.First, Last: bad.First}}\n", "headers"),
	}
}
