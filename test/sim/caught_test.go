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
	mu   sync.Mutex
	days map[string]int
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

// set replaces a mutant's line. It writes the file at once, so that a run that is cut off keeps what its scans have found.
func (c *caught) set(t *testing.T, name string, day int) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.days[name] = day
	maps.DeleteFunc(c.days, func(name string, _ int) bool {
		return !slices.ContainsFunc(mutants(), func(m mutant) bool { return m.name == name })
	})
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(c.days)) {
		fmt.Fprintf(&b, "%d %s\n", c.days[name], name)
	}
	if err := os.WriteFile(caughtFile, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Logf("wrote %s: commit it", caughtFile)
}
