package main

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"convdel/internal/testkit"
)

func modeOf(t *testing.T, name string) fs.FileMode {
	t.Helper()
	at, err := os.Lstat(name)
	if err != nil {
		t.Fatal(err)
	}
	return at.Mode()
}

func contentOf(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestPrivateFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, prepare := range map[string]func(path string) error{
		"new":     func(string) error { return nil },
		"private": func(path string) error { return os.WriteFile(path, []byte("old and long"), 0o600) },
		"open": func(path string) error {
			return errors.Join(os.WriteFile(path, []byte("old"), 0o600), os.Chmod(path, 0o666))
		},
		"link": func(path string) error {
			victim := path + ".victim"
			return errors.Join(os.WriteFile(victim, []byte("untouched"), 0o600), os.Chmod(victim, 0o644), os.Symlink(victim, path))
		},
		"dangling": func(path string) error { return os.Symlink(path+".victim", path) },
	} {
		path := filepath.Join(dir, name)
		if err := prepare(path); err != nil {
			t.Fatal(err)
		}
		err := writePrivate(path, func(w io.Writer) error {
			made, err := filepath.Glob(filepath.Join(dir, "."+name+".*"))
			if err != nil || len(made) != 1 || modeOf(t, made[0]) != 0o600 {
				t.Errorf("%s: while it is written there is %v, %v", name, made, err)
			}
			_, err = io.WriteString(w, "new")
			return err
		})
		if err != nil || modeOf(t, path) != 0o600 || contentOf(t, path) != "new" {
			t.Errorf("%s: %v, mode %s, content %q", name, err, modeOf(t, path), contentOf(t, path))
		}
	}
	if got := contentOf(t, filepath.Join(dir, "link.victim")); got != "untouched" {
		t.Errorf("a link was followed: %q", got)
	}
	if _, err := os.Lstat(filepath.Join(dir, "dangling.victim")); err == nil {
		t.Error("a dangling link was followed")
	}
}

func TestPrivateFilesAreWholeOrNotThere(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "old")
	if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := writePrivate(path, func(w io.Writer) error {
		_, _ = io.WriteString(w, strings.Repeat("new", 10_000))
		return io.ErrUnexpectedEOF
	}); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("%v", err)
	}
	for name, isDevice := range map[string]bool{os.DevNull: true, dir: true, filepath.Join(dir, "no", "file"): false} {
		if err := writePrivate(name, func(io.Writer) error { return nil }); err == nil || errors.Is(err, errNoFile) != isDevice {
			t.Errorf("%s: %v", name, err)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 || contentOf(t, path) != "old" {
		t.Errorf("%v, %v, %q", entries, err, contentOf(t, path))
	}
}

func TestStandardOutputIsKeptPrivate(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, c := range []struct {
		name, content string
		mode, want    fs.FileMode
		warns         bool
	}{
		{"new", "", 0o644, 0o600, false},
		{"group's", "", 0o660, 0o600, false},
		{"closed", "", 0o400, 0o400, false},
		{"old", "x", 0o644, 0o644, true},
		{"old and private", "x", 0o600, 0o600, false},
	} {
		path := filepath.Join(dir, c.name)
		if err := errors.Join(os.WriteFile(path, []byte(c.content), 0o600), os.Chmod(path, c.mode)); err != nil {
			t.Fatal(err)
		}
		file, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		var stderr testkit.Buffer
		keepPrivate(&console{stdout: &output{file: file}, stderr: &stderr}, "--report")
		_ = file.Close()
		if mode := modeOf(t, path); mode != c.want || strings.Contains(stderr.String(), "--report makes a private one") != c.warns || (stderr.String() != "") != c.warns {
			t.Errorf("%s: mode %s, stderr %q", c.name, mode, stderr.String())
		}
	}
}

// TestExportKeepsItsOutputPrivate: the process that a shell starts does so as well, with the standard output that the shell has opened.
func TestExportKeepsItsOutputPrivate(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	s.put(letterOf(1))
	file, err := os.Create(filepath.Join(t.TempDir(), "letters.ndjson"))
	if err != nil {
		t.Fatal(err)
	}
	if err := file.Chmod(0o644); err != nil {
		t.Fatal(err)
	}
	for _, warns := range []bool{false, true} { // the second export is appended
		p := startProcess(t, environment{"CONVDEL_BROKERS": s.address}, file, "deadletters", "export")
		if <-p.done; p.err != nil {
			t.Fatal(p.err)
		}
		if warned := strings.Contains(p.log.String(), "others may read"); warned != warns {
			t.Errorf("stderr %q", p.log.String())
		}
		if mode := modeOf(t, file.Name()); !warns && mode != 0o600 {
			t.Errorf("mode %s", mode)
		}
		if err := file.Chmod(0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	if lines := strings.Count(contentOf(t, file.Name()), "\n"); lines != 2 {
		t.Errorf("%d lines", lines)
	}
}

func TestDemoDataArePrivate(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "demo", "data")
	b, err := startBroker(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer b.close()
	if mode := modeOf(t, dir); mode != fs.ModeDir|0o700 {
		t.Errorf("mode %s", mode)
	}
}
