// Package mutation checks the tests: it breaks code on purpose, one rule at a time, and demands that a test notices. A mutant is code
// with a text replaced. The Go toolchain lays the broken file over the real one, so that the tree is not touched.
package mutation

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Edit replaces a text, which must stand once in a file. File is a name below the module's root, with slashes.
type Edit struct{ File, Old, New string }

// Mutant is code that is broken on purpose.
type Mutant struct {
	Name  string
	Edits []Edit
}

// InPackage returns mutants of one edit each in the package of a directory below the module's root. A row has the mutant's name, the
// file's name in that directory, the text and its replacement.
func InPackage(dir string, rows [][4]string) []Mutant {
	mutants := make([]Mutant, len(rows))
	for i, r := range rows {
		mutants[i] = Mutant{Name: r[0], Edits: []Edit{{File: dir + "/" + r[1], Old: r[2], New: r[3]}}}
	}
	return mutants
}

// Root returns the module's root, which is the working directory of the test or above it.
func Root(tb testing.TB) string {
	tb.Helper()
	dir, err := os.Getwd()
	for err == nil {
		if _, missing := os.Stat(filepath.Join(dir, "go.mod")); missing == nil {
			return dir
		}
		above := filepath.Dir(dir)
		if above == dir {
			err = os.ErrNotExist
		}
		dir = above
	}
	tb.Fatalf("the module's root: %v", err)
	return ""
}

// Broken returns the texts of the files that the edits change, by name below root. The error says which text does not stand
// exactly once in its file.
func (m *Mutant) Broken(root string) (map[string]string, error) {
	texts := make(map[string]string)
	for _, e := range m.Edits {
		if _, known := texts[e.File]; !known {
			text, err := os.ReadFile(filepath.Join(root, e.File)) //nolint:gosec // a file of the module, as the test names it
			if err != nil {
				return nil, err
			}
			texts[e.File] = string(text)
		}
		if n := strings.Count(texts[e.File], e.Old); n != 1 {
			return nil, fmt.Errorf("%s has %d times the text to be replaced: %q", e.File, n, e.Old)
		}
		texts[e.File] = strings.Replace(texts[e.File], e.Old, e.New, 1)
	}
	return texts, nil
}

// Overlay writes the broken files into dir, and the file that lays them over those below root. It returns the latter's name, for
// the flag -overlay of the go command.
func (m *Mutant) Overlay(dir, root string) (name string, err error) {
	texts, err := m.Broken(root)
	if err != nil {
		return "", err
	}
	replace := make(map[string]string)
	for file, text := range texts {
		broken := filepath.Join(dir, strings.ReplaceAll(file, "/", "_"))
		if err := os.WriteFile(broken, []byte(text), 0o600); err != nil {
			return "", err
		}
		replace[filepath.Join(root, file)] = broken
	}
	list, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	name = filepath.Join(dir, "overlay.json")
	return name, os.WriteFile(name, list, 0o600)
}
