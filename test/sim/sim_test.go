package sim

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

var (
	seeds = flag.Uint64("seeds", 6, "how many days to simulate")
	from  = flag.Uint64("from", 1, "the first one's seed")
	seed  = flag.Uint64("seed", 0, "simulate this one alone, and print its timeline")
	stop  = flag.Bool("stop", false, "begin no day after one on which a promise was broken")
	logs  = flag.String("logs", "", "folder for timelines and logs of days on which a promise was broken")
)

// realLimit is far more real time than a day takes, with the race detector and on a busy machine too.
const realLimit = 8 * time.Minute

// heapSlack is how much pools and caches may keep.
const heapSlack = 16 << 20

// heap returns the live heap in bytes.
func heap() int {
	runtime.GC()
	runtime.GC() // a second collection frees what finalizers and pools have released
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// TestSimulation runs the days of some seeds and compares them with the promises.
func TestSimulation(t *testing.T) {
	t.Parallel()
	first, count := *from, *seeds
	if *seed != 0 {
		first, count = *seed, 1
	}
	var all totals
	before := heap()
	t.Cleanup(func() {
		t.Log(all.String())
		// The memory of a day is garbage when the day is over. A leak of a megabyte a day shows after fifty days.
		if grown := heap() - before; grown > heapSlack {
			t.Errorf("the heap has grown by %d MiB in %d days", grown>>20, all.days)
		} else {
			t.Logf("the heap has grown by %d KiB", grown>>10)
		}
	})
	for n := first; n < first+count; n++ {
		t.Run(fmt.Sprint("seed=", n), func(t *testing.T) {
			t.Parallel()
			if *stop && all.anyBroken() {
				return
			}
			all.add(simulate(t, n))
		})
	}
}

// simulate runs one day in a bubble.
func simulate(t *testing.T, n uint64) *world {
	t.Helper()
	sc := draw(n)
	var w *world
	// If a goroutine holds a mutex while it waits for virtual time, that time stands still. This timer uses the real clock.
	watchdog := time.AfterFunc(realLimit, func() {
		panic(fmt.Sprintf("seed %d stands still, in a bubble whose time does not pass:\n%s", n, sc))
	})
	defer watchdog.Stop()
	synctest.Test(t, func(t *testing.T) {
		w = newWorld(t, sc)
		w.live()
		w.audit()
		w.close()
		w.leftBehind()
	})
	w.report(t)
	return w
}

// leftBehind looks for goroutines of this bubble and for open connections.
func (w *world) leftBehind() {
	synctest.Wait()
	w.net.mu.Lock()
	open := len(w.net.wires)
	w.net.mu.Unlock()
	if open > 0 {
		w.fail("left behind", "%d connections are open after the end of everything", open)
	}
	stacks := make([]byte, 1<<20)
	stacks = stacks[:runtime.Stack(stacks, false)]
	_, bubble, ok := strings.Cut(firstLine(stacks), "synctest bubble ")
	if !ok {
		w.t.Fatalf("no bubble in %q", firstLine(stacks))
	}
	bubble, _, _ = strings.Cut(bubble, "]")
	found := false
	stacks = make([]byte, 16<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	for one := range strings.SplitSeq(string(stacks), "\n\n") {
		if strings.Contains(firstLine([]byte(one)), "synctest bubble "+bubble+"]") && !strings.Contains(one, "leftBehind") && !strings.Contains(one, "testingSynctestTest") && !strings.Contains(one, "internal/synctest.Run(") {
			w.fail("left behind", "a goroutine: %s", one)
			found = true
		}
	}
	if found { // reported now, since a goroutine that is left ends the whole process with the bubble
		fmt.Fprintln(os.Stderr, w.story())
	}
}

func firstLine(b []byte) string {
	line, _, _ := strings.Cut(string(b), "\n")
	return line
}

// report prints the broken promises with the day's timeline. For a single day it always prints the timeline.
func (w *world) report(t *testing.T) {
	t.Helper()
	if len(w.broken) == 0 && *seed == 0 {
		return
	}
	story := w.story()
	if len(w.broken) == 0 {
		t.Log(story)
		return
	}
	t.Errorf("%s\nrepeat it: make sim SEED=%d", story, w.sc.seed)
	if *logs == "" {
		return
	}
	if err := os.MkdirAll(*logs, 0o755); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	b.WriteString(story)
	b.WriteString("\n=== calls\n")
	for _, c := range w.api.took() {
		fmt.Fprintf(&b, "%s to %s by %s: %v, clear %t: http %d, code %d, ok %t\n",
			w.clock(c.at), w.clock(c.answered), c.by, c.Conversation, c.clearRamble, c.status, c.code, c.ok)
	}
	for _, o := range w.output {
		fmt.Fprintf(&b, "\n=== replica %s\n%s", o.name, o)
	}
	if err := os.WriteFile(filepath.Join(*logs, fmt.Sprintf("seed-%d.log", w.sc.seed)), []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
}

// story is the scenario, the timeline and the broken promises.
func (w *world) story() string {
	var b strings.Builder
	b.WriteString(w.sc.String())
	b.WriteString("timeline\n")
	for _, l := range w.lines {
		fmt.Fprintf(&b, "  %10.3f s  %s\n", l.at.Seconds(), l.text)
	}
	fmt.Fprintf(&b, "%s\n", &w.stats)
	shown := map[string]int{}
	for _, v := range w.broken {
		if shown[v.invariant]++; shown[v.invariant] <= 5 {
			fmt.Fprintf(&b, "broken %s: %s\n", v.invariant, v.text)
		}
	}
	for _, k := range sorted(shown) {
		fmt.Fprintf(&b, "broken in all: %s %d times\n", k, shown[k])
	}
	return b.String()
}

func sorted(m map[string]int) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
