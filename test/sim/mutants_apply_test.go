//go:build mutants

package sim

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestMutantsApply: what each broken service replaces stands once in the file it names, so that a change of the service that
// makes one meaningless is noticed before hours of simulation.
func TestMutantsApply(t *testing.T) {
	t.Parallel()
	for _, m := range mutants() {
		texts := map[string]string{}
		for _, e := range m.edits {
			if texts[e.file] == "" {
				b, err := os.ReadFile(filepath.Join("../..", e.file))
				if err != nil {
					t.Fatal(err)
				}
				texts[e.file] = string(b)
			}
			if n := strings.Count(texts[e.file], e.old); n != 1 {
				t.Errorf("%s: %s has %d times what is to be replaced: %q", m.name, e.file, n, e.old)
			}
			texts[e.file] = strings.Replace(texts[e.file], e.old, e.new, 1)
		}
	}
}
