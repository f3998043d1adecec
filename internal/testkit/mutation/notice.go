package mutation

import (
	"errors"
	"os/exec"
	"path/filepath"
	"testing"
)

// Notice demands that the tests of the package in a directory below the module's root pass as they are, and that one of them fails
// with each mutant. The tests have to use rapid, which is told not to shrink what fails. More flags for them may follow.
func Notice(t *testing.T, dir string, mutants []Mutant, flags ...string) {
	t.Helper()
	root := Root(t)
	if output, failed := run(t, root, dir, &Mutant{}, flags); failed {
		t.Fatalf("a test fails with nothing broken:\n%s", output)
	}
	for _, m := range mutants {
		t.Run(m.Name, func(t *testing.T) {
			t.Parallel()
			if output, failed := run(t, root, dir, &m, flags); !failed {
				t.Errorf("not noticed:\n%s", output)
			}
		})
	}
}

// run builds the package's tests with a mutant, runs them, and says whether one fails.
func run(t *testing.T, root, dir string, m *Mutant, flags []string) (output string, failed bool) {
	t.Helper()
	tmp := t.TempDir()
	overlay, err := m.Overlay(tmp, root)
	if err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(tmp, "package.test")
	build := exec.CommandContext(t.Context(), "go", "test", "-c", "-overlay", overlay, "-ldflags=-s -w", "-o", binary, "./"+dir) //nolint:gosec // the directory is the test's
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("does not compile: %v\n%s", err, out)
	}
	flags = append([]string{"-test.timeout=30s", "-test.failfast", "-rapid.nofailfile", "-rapid.shrinktime=0s"}, flags...)
	tests := exec.CommandContext(t.Context(), binary, flags...) //nolint:gosec // it has just been built
	tests.Dir = filepath.Join(root, dir)
	out, err := tests.CombinedOutput()
	if exit := new(exec.ExitError); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return string(out), err != nil
}
