//go:build kafka

package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"convdel/imclient/imtest"
	"convdel/schema"
)

// erased is the account of the erasure, with so many conversations. Each tenth is one of two, whose other side has an entry, too.
const (
	erased       = "alice"
	erasedCount  = 600
	erasedOthers = erasedCount / 10
	erasureID    = "R-600"
)

// erasing is a stage with an account to erase.
type erasing struct {
	*stage

	report string
	// listed is called after each page of a list that has been made; nil does nothing.
	listed atomic.Pointer[func()]
	// search is how long a command takes from its start to its first list.
	search time.Duration
	// seen are the ends of the topic of events after each kill.
	seen []map[int32]int64
}

func newErasing(t *testing.T) *erasing {
	t.Helper()
	e := &erasing{report: filepath.Join(t.TempDir(), "report.json")}
	e.stage = newStage(t, 3, imtest.Config{PageSize: 30, Latency: imtest.Uniform(time.Millisecond, 5*time.Millisecond), Listed: func(string) {
		if f := e.listed.Load(); f != nil {
			(*f)()
		}
	}})
	e.createOutcomeTopic(4)
	began := time.Now().Add(-time.Hour)
	list := make([]imtest.Conversation, erasedCount)
	for i := range list {
		list[i] = imtest.Conversation{Type: 2, To: fmt.Sprint("@TGS#", i), MsgTime: began.Add(-time.Duration(i) * time.Minute)}
		if i%(erasedCount/erasedOthers) == 0 {
			peer := fmt.Sprint("peer-", i)
			list[i].Type, list[i].To = 1, peer
			e.sim.SetConversations(peer, imtest.Conversation{Type: 1, To: erased, MsgTime: list[i].MsgTime}, imtest.Conversation{Type: 1, To: "other", MsgTime: began})
		}
	}
	e.sim.SetConversations(erased, list...)
	return e
}

// erase starts the command.
func (e *erasing) erase(flags ...string) *process {
	e.tb.Helper()
	args := slices.Concat([]string{"erase", erased, "--request-id", erasureID, "--other-sides", "--rate", "200"}, e.evidenceFlags(), e.imFlags(), flags)
	return e.start(nil, args...)
}

// ends are the ends of the topic's partitions.
func (e *erasing) ends() map[int32]int64 {
	e.tb.Helper()
	found, err := e.admin.ListEndOffsets(e.tb.Context(), e.topic)
	if err != nil || found.Error() != nil {
		e.tb.Fatal(err, found.Error())
	}
	ends := make(map[int32]int64)
	for partition, at := range found[e.topic] {
		ends[partition] = at.Offset
	}
	return ends
}

// published is how many records the topic has.
func (e *erasing) published() (n int64) {
	e.tb.Helper()
	for _, end := range e.ends() {
		n += end
	}
	return n
}

// whole is how many records the topic has at least once the command has published its round; false if it has not begun one.
func whole(p *process) (records int64, begun bool) {
	said := strings.Split(strings.TrimSpace(p.stderr.String()), "\n")
	var parts, publish int64
	_, err := fmt.Sscanf(said[len(said)-1], "%d parts, %d to publish", &parts, &publish)
	return parts + publish, err == nil
}

// kill kills the command, and notes what it has published.
func (e *erasing) kill(p *process) {
	e.tb.Helper()
	p.kill()
	e.seen = append(e.seen, e.ends())
}

// These kill a command in one of its phases. Each returns false if the phase was over by then.

func (e *erasing) killSearch() bool {
	before := e.sim.ListStats().Calls
	p := e.erase("--yes")
	time.Sleep(time.Duration(float64(e.search) * (0.4 + 0.5*rand.Float64())))
	e.kill(p)
	if e.sim.ListStats().Calls != before {
		e.search = e.search * 2 / 3
		return false
	}
	return true
}

func (e *erasing) killList() bool {
	pages := int64(1 + rand.IntN(6))
	reached := make(chan struct{})
	hold := func() {
		if atomic.AddInt64(&pages, -1) == 0 {
			close(reached)
			time.Sleep(200 * time.Millisecond) // the page does not come before the kill
		}
	}
	e.listed.Store(&hold)
	defer e.listed.Store(nil)
	began := time.Now()
	p := e.erase("--yes")
	select {
	case <-reached:
	case <-time.After(time.Minute):
		e.tb.Fatalf("no list:\n%s", p.stderr.String())
	}
	e.search = min(e.search, time.Since(began))
	e.kill(p)
	return true
}

func (e *erasing) killPublishing() bool {
	before := e.published()
	p := e.erase("--yes")
	e.await(time.Minute, "a part published", func() bool { return e.published() > before })
	e.kill(p)
	all, begun := whole(p)
	return begun && e.published() < all
}

// killWaiting kills the service in the middle of its work, and then the command, which waits for the rest.
func (e *erasing) killWaiting(service **process) bool {
	deletes := e.sim.Stats().Calls
	p := e.erase("--yes")
	e.await(time.Minute, "a delete", func() bool { return e.sim.Stats().Calls > deletes })
	e.killRecording(*service)
	e.await(time.Minute, "all of the round published", func() bool {
		all, begun := whole(p)
		return begun && e.published() >= all
	})
	time.Sleep(time.Duration(rand.IntN(400)) * time.Millisecond)
	waiting := !p.ended()
	e.kill(p)
	*service = e.recording()
	return waiting
}

// TestPromise11_KafkaEraseSurvivesKills erases an account of 600 conversations, of which lists show 100, and the other sides of 60. The
// command is killed while it searches the topics, reads a list, publishes, and waits, each twice, and the service three times. The last run proves
// the erasure, and nothing was published twice that the topic had before.
func TestPromise11_KafkaEraseSurvivesKills(t *testing.T) {
	t.Parallel()
	e := newErasing(t)
	e.search = time.Second
	service := e.recording()
	phases := map[string]func() bool{
		"search": e.killSearch, "publishing": e.killPublishing, "waiting": func() bool { return e.killWaiting(&service) },
	}
	order := slices.Concat(slices.Collect(maps.Keys(phases)), slices.Collect(maps.Keys(phases)))
	rand.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	phases["list"] = e.killList
	for _, phase := range append([]string{"list"}, append(order, "list")...) {
		began := time.Now()
		for attempt := 1; !phases[phase](); attempt++ {
			if attempt == 5 {
				t.Fatalf("the command was never killed in its %s", phase)
			}
		}
		t.Logf("%s killed after %s, %d published", phase, time.Since(began).Round(time.Millisecond), e.published())
	}
	last := e.erase("--yes", "--report", e.report)
	e.awaitCalls(1 + rand.IntN(60))
	e.killRecording(service)
	service = e.recording()
	if status := last.status(2 * time.Minute); status != 0 {
		t.Errorf("exit status %d", status)
	}
	e.wantErased()
	published := e.published()
	if status := e.erase("--yes").status(time.Minute); status != 0 || e.published() != published {
		t.Errorf("once more: exit status %d, %d published, %d before", status, e.published(), published)
	}
	service.stop()
}

// wantErased checks the report against Kafka and the simulator.
func (e *erasing) wantErased() {
	e.tb.Helper()
	text, err := os.ReadFile(e.report)
	var report struct {
		State                  string
		Conversations, Deleted int
		Exceptions, Residue    []any
		Parts                  []struct {
			EventID string `json:"event_id"`
			Record  string
			Proven  bool
		}
	}
	if err == nil {
		err = json.Unmarshal(text, &report)
	}
	const parts = erasedCount + erasedOthers
	if err != nil || report.State != "verified" || report.Conversations != parts || report.Deleted != parts || len(report.Exceptions)+len(report.Residue) != 0 {
		e.tb.Errorf("%v: state %s, %d parts, %d deleted, %d exceptions, %d left", err, report.State, report.Conversations, report.Deleted, len(report.Exceptions), len(report.Residue))
	}
	if left := e.sim.Conversations(erased); len(left) != 0 {
		e.tb.Errorf("the API still has %d conversations: %v", len(left), left[:min(len(left), 5)])
	}
	for i := 0; i < erasedCount; i += erasedCount / erasedOthers {
		if left := e.sim.Conversations(fmt.Sprint("peer-", i)); len(left) != 1 || left[0].To != "other" {
			e.tb.Errorf("peer-%d still has %v", i, left)
		}
	}
	e.wantPublishedOnce(parts)
	asked, _ := e.books()
	for _, p := range report.Parts {
		if event, ok := asked[p.Record]; !ok || event.ID != p.EventID || event.ErasureID != erasureID || !p.Proven {
			e.tb.Errorf("part %+v, and its record is %+v", p, event)
		}
	}
}

// wantPublishedOnce checks that a part is in the topic twice only if its first record came to light after the kill of its command: that command's
// last request was still under way. A part that had an outcome is never there twice.
func (e *erasing) wantPublishedOnce(parts int) {
	e.tb.Helper()
	asked, first := e.books()
	byPart := make(map[string][]string)
	for id, event := range asked {
		if event.ID != schema.PartID(erasureID, event.Conversation) {
			e.tb.Errorf("%s is part %s of %v", id, event.ID, event.Conversation)
		}
		byPart[event.ID] = append(byPart[event.ID], id)
	}
	if len(byPart) != parts {
		e.tb.Errorf("%d parts, want %d", len(byPart), parts)
	}
	published := make(map[string]time.Time)
	for _, r := range e.records(e.topic) {
		published[idOf(r)] = r.Timestamp
	}
	for part, ids := range byPart {
		slices.SortFunc(ids, func(a, b string) int { return published[a].Compare(published[b]) })
		for i, id := range ids[1:] {
			before := ids[i]
			known := slices.ContainsFunc(e.seen, func(ends map[int32]int64) bool { return below(ends, before) && !below(ends, id) })
			if known || first[before].Before(published[id]) {
				e.tb.Errorf("part %s: %s was published at %s, although there was %s, ended %s", part, id, published[id], before, first[before])
			}
		}
	}
	e.tb.Logf("%d records of %d parts, %d kills of the command", len(asked), len(byPart), len(e.seen))
}

// below says whether a record lies below the ends of its topic's partitions.
func below(ends map[int32]int64, id string) bool {
	_, partition, offset, err := schema.ParseID(id)
	return err == nil && offset < ends[int32(partition)]
}
