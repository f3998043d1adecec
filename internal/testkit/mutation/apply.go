package mutation

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"go/ast"
	"go/build"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"
)

// Apply demands that each mutant's texts stand once in their files, and that its code compiles. It finds in seconds the mutants
// that a change of the code has made meaningless. All of them are of packages that the service imports.
func Apply(t *testing.T, mutants []Mutant) {
	t.Helper()
	root := Root(t)
	c := newChecker(t, root)
	for _, m := range mutants {
		texts, err := m.Broken(root)
		if err == nil {
			err = c.check(texts)
		}
		if err != nil {
			t.Errorf("%s: %v", m.Name, err)
		}
	}
}

// checker checks the types of packages as the compiler does, but generates no code. That takes some hundredths of a second
// for each mutant.
type checker struct {
	root  string
	files *token.FileSet
	// packages are the packages that the service imports, from the toolchain's cache.
	packages types.Importer
}

func newChecker(t *testing.T, root string) *checker {
	t.Helper()
	list := exec.CommandContext(t.Context(), "go", "list", "-export", "-deps", "-f", "{{.ImportPath}} {{.Export}}", "./cmd/convdel")
	list.Dir, list.Stderr = root, os.Stderr
	out, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	exports := make(map[string]string)
	for line := bufio.NewScanner(bytes.NewReader(out)); line.Scan(); {
		name, file, _ := strings.Cut(line.Text(), " ")
		exports[name] = file
	}
	files := token.NewFileSet()
	return &checker{root, files, importer.ForCompiler(files, "gc", func(name string) (io.ReadCloser, error) {
		if exports[name] == "" {
			return nil, fmt.Errorf("package %s is none of the service's", name)
		}
		return os.Open(exports[name])
	})}
}

// check checks the packages of the given files. texts has the files' contents by name below the root.
func (c *checker) check(texts map[string]string) (err error) {
	checked := make(map[string]bool)
	for file := range texts {
		if dir := path.Dir(file); !checked[dir] {
			checked[dir] = true
			err = errors.Join(err, c.checkPackage(dir, texts))
		}
	}
	return err
}

func (c *checker) checkPackage(dir string, texts map[string]string) error {
	found, err := build.ImportDir(filepath.Join(c.root, dir), 0)
	if err != nil {
		return err
	}
	var parsed []*ast.File
	for _, file := range found.GoFiles {
		name := path.Join(dir, file)
		var text any // nil: the file's own text
		if broken, ok := texts[name]; ok {
			text = broken
		}
		one, err := parser.ParseFile(c.files, filepath.Join(c.root, name), text, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		parsed = append(parsed, one)
	}
	var faults []error
	config := types.Config{Importer: c.packages, Error: func(err error) { faults = append(faults, err) }}
	_, _ = config.Check(path.Join("convdel", dir), c.files, parsed, nil) // the first error is reported above
	return errors.Join(faults...)
}
