// Package promises checks that the documents' tests exist.
package promises

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const root = "../.."

var (
	// promised is a row of the table of promises in docs/proof.md: "| 4 one slow event … | `TestPromise4_` | …".
	promised = regexp.MustCompile(`(?m)^\| (\d+) .*$`)
	// named is a test, a benchmark or a fuzz target in a document. A name that ends in an underscore or in … stands for all
	// names with that beginning. A name before a slash stands for its subtests.
	named = regexp.MustCompile("`((?:Test|Benchmark|Fuzz)[A-Z0-9]\\w*…?)")
	// file is a test's file in a document.
	file     = regexp.MustCompile("`([\\w/]+_test\\.go)`")
	declared = regexp.MustCompile(`(?m)^func ((?:Test|Benchmark|Fuzz)[A-Z0-9]\w*)\(`)
	promise  = regexp.MustCompile(`^TestPromise(\d+)_`)
)

// TestPromises: every promise of the table in docs/proof.md has tests with its number in their names, and every such test
// has a promise there.
func TestPromises(t *testing.T) {
	t.Parallel()
	tests, _ := tree(t)
	tested := make(map[string]bool)
	for _, name := range tests {
		if m := promise.FindStringSubmatch(name); m != nil {
			tested[m[1]] = true
		}
	}
	rows := promised.FindAllStringSubmatch(read(t, filepath.Join(root, "docs", "proof.md")), -1)
	if len(rows) == 0 {
		t.Fatal("docs/proof.md has no table of promises")
	}
	for _, row := range rows {
		number := row[1]
		if !tested[number] {
			t.Errorf("no test bears the number of promise %s: func TestPromise%s_… is missing", number, number)
		}
		if !strings.Contains(row[0], "`TestPromise"+number+"_`") {
			t.Errorf("docs/proof.md does not name the tests of promise %s: TestPromise%s_", number, number)
		}
		delete(tested, number)
	}
	for number := range tested {
		t.Errorf("tests bear the number of promise %s, which is not in docs/proof.md", number)
	}
}

// TestDocumentsNameTests: every test and every test file that a document names exists.
func TestDocumentsNameTests(t *testing.T) {
	t.Parallel()
	tests, files := tree(t)
	documents, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil || len(documents) == 0 {
		t.Fatal("no documents: ", err)
	}
	for _, document := range documents {
		text := read(t, document)
		for _, m := range named.FindAllStringSubmatch(text, -1) {
			if any := strings.Contains(m[1], "PromiseN_"); !any && !exists(tests, m[1]) {
				t.Errorf("%s names %s, which is not there", filepath.Base(document), m[1])
			}
		}
		for _, m := range file.FindAllStringSubmatch(text, -1) {
			if !slices.ContainsFunc(files, func(f string) bool { return f == m[1] || strings.HasSuffix(f, "/"+m[1]) }) {
				t.Errorf("%s names %s, which is not there", filepath.Base(document), m[1])
			}
		}
	}
}

// exists returns true if a name in a document is a test's, or the beginning of one.
func exists(tests []string, name string) bool {
	name, all := strings.CutSuffix(name, "…")
	all = all || strings.HasSuffix(name, "_")
	return slices.ContainsFunc(tests, func(test string) bool { return test == name || all && strings.HasPrefix(test, name) })
}

// tree lists the tests of the whole module, whatever their build tags, and their files below the root.
func tree(t *testing.T) (tests, files []string) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != root && strings.HasPrefix(d.Name(), "."):
			return filepath.SkipDir
		case !strings.HasSuffix(path, "_test.go"):
			return nil
		}
		below, err := filepath.Rel(root, path)
		files = append(files, filepath.ToSlash(below))
		for _, m := range declared.FindAllStringSubmatch(read(t, path), -1) {
			tests = append(tests, m[1])
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return tests, files
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
