//go:build mutants

package sim

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// caughtFile has a line for each mutant: the seed of the day that caught it last, and its name. It is a hint and no evidence: a
// day that no longer catches its mutant costs the time of a scan of all days, which then replaces the line.
var caughtFile = filepath.Join("testdata", "caught.txt")

// caught is the content of that file.
type caught struct {
	mu      sync.Mutex
	days    map[string]int
	changed bool
}

func readCaught(t *testing.T) *caught {
	t.Helper()
	text, err := os.ReadFile(caughtFile)
	if err != nil {
		t.Fatal(err)
	}
	c := &caught{days: make(map[string]int)}
	for line := range strings.Lines(string(text)) {
		seed, name, _ := strings.Cut(strings.TrimSpace(line), " ")
		day, err := strconv.Atoi(seed)
		if err != nil || day < 1 || day > maxDays {
			t.Fatalf("%s: no day of 1 to %d in %q", caughtFile, maxDays, line)
		}
		c.days[name] = day
	}
	return c
}

// of returns the day that caught a mutant last.
func (c *caught) of(name string) (day int, known bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	day, known = c.days[name]
	return day, known
}

func (c *caught) set(name string, day int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.days[name], c.changed = day, true
}

// write replaces the file if a scan has found another day.
func (c *caught) write(t *testing.T) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	for name := range c.days {
		if !slices.ContainsFunc(mutants(), func(m mutant) bool { return m.name == name }) {
			delete(c.days, name)
			c.changed = true
		}
	}
	if !c.changed {
		return
	}
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(c.days)) {
		fmt.Fprintf(&b, "%d %s\n", c.days[name], name)
	}
	if err := os.WriteFile(caughtFile, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Logf("wrote %s: commit it", caughtFile)
}
