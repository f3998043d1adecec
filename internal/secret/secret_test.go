package secret_test

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"convdel/internal/secret"
)

// good is a secret that no error may show.
const good = "5d1f8c-s3cret"

func TestParse(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		good, good + "\n", good + "\r\n", good + "\n\n", " " + good + " ", `a"b'c`, `"`, `"half`, "half'", "пароль", "密码", "a  b",
		strings.Repeat("x", secret.MaxBytes-1) + "\n",
	} {
		if got, err := secret.Parse(text); err != nil || got != strings.TrimRight(text, "\r\n") {
			t.Errorf("%.40q: %.40q, %v", text, got, err)
		}
	}
	for text, want := range map[string]string{
		"": "empty", "\n": "empty", "  \r\n": "empty",
		strings.Repeat("x", secret.MaxBytes+1): "larger than 4096 bytes",
		"\ufeff" + good:                        "byte order mark",
		"\xff\xfe5\x00d\x00":                   "byte order mark",
		"\xfe\xff\x005\x00d":                   "byte order mark",
		"5\x00d\x00":                           "UTF-16",
		good + "\x00":                          "zero bytes",
		good + "\xe9":                          "not UTF-8",
		good + "\n" + good:                     "several lines",
		"\n" + good:                            "several lines",
		good + "\r" + good:                     "several lines",
		good + "\t":                            "does not print",
		good + "\x1b[0m":                       "does not print",
		good + "\x7f":                          "does not print",
		good + "\u0085":                        "does not print",
		good + "\u200b":                        "does not print",
		good + "\u00a0":                        "does not print",
		`"` + good + `"`:                       "quotes",
		"'" + good + "'\n":                     "quotes",
		"“" + good + "”":                       "quotes",
		` "` + good + `" `:                     "quotes",
		`""`:                                   "quotes",
	} {
		_, err := secret.Parse(text)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: error %v, want %q", text, err, want)
		} else if strings.Contains(err.Error(), good) {
			t.Errorf("%.40q: the error shows the secret: %v", text, err)
		}
	}
}

// TestShownPath: a path is shown if its first element exists; what leads nowhere may be the secret.
func TestShownPath(t *testing.T) {
	t.Parallel()
	for path, shown := range map[string]bool{
		"/proc/none": true, "secret.go": true, "./none": true, "../none": true, "/": true,
		good: false, "/" + good: false, good + "/x": false, "redis://:" + good + "@redis": false, "": false,
	} {
		if got := secret.ShownPath(path); (got == path && path != "") != shown || !shown && strings.Contains(got, good) {
			t.Errorf("%q: %q", path, got)
		}
	}
}

// TestOnlyRegularFiles: whatever else a path leads to is refused by its kind, at once.
func TestOnlyRegularFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	socket, err := net.Listen("unix", path("socket"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = socket.Close() }()
	if err := errors.Join(
		syscall.Mkfifo(path("pipe"), 0o600), os.WriteFile(path("regular"), []byte(good+"\n"), 0o600),
		os.Symlink("regular", path("link")), os.Symlink("pipe", path("link-to-pipe")), os.Symlink("nowhere", path("dangling")),
		os.WriteFile(path("large"), make([]byte, 1<<20), 0o600),
	); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{
		path("pipe"): "it is a pipe", path("link-to-pipe"): "it is a pipe", "/dev/zero": "it is a device", dir: "it is a directory",
		path("socket"): "it is a socket", path("dangling"): "no such file", path("absent"): "no such file", path("large"): "larger than 4096",
	} {
		_, err := secret.NewFile(file).Read()
		var named *secret.FileError
		if !errors.As(err, &named) || named.Path != file || !strings.Contains(err.Error(), want) || strings.Count(err.Error(), file) != 1 {
			t.Errorf("%s: %v, want %q", file, err, want)
		}
	}
	if _, err := secret.NewFile(path("absent")).Read(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("absent: %v", err)
	}
	for _, name := range []string{"regular", "link"} {
		if got, err := secret.NewFile(path(name)).Read(); got != good || err != nil {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

// TestLastGoodSecretIsKept: a file that turns bad is told of, and its last good secret goes on counting.
func TestLastGoodSecretIsKept(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "secret")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	f := secret.NewFile(path)
	if f.Check() == nil {
		t.Error("a file that is not there is good")
	}
	write("first\n")
	want := func(text string, bad bool) {
		t.Helper()
		got, err := f.Read()
		if got != text || err != nil || (f.Check() != nil) != bad {
			t.Errorf("%q, %v, want %q; check %v", got, err, text, f.Check())
		}
	}
	want("first", false)
	for _, text := range []string{"", "\"quoted\"", "two\nlines", "\x00"} {
		write(text)
		want("first", true)
	}
	write("second")
	want("second", false)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	want("second", true)
	for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
		if shown := fmt.Sprintf(format, f); strings.Contains(shown, "second") {
			t.Errorf("%s shows %s", format, shown)
		}
	}
}

func TestExposed(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte(good), 0o600); err != nil {
		t.Fatal(err)
	}
	for mode, want := range map[fs.FileMode]bool{0o600: false, 0o400: false, 0o640: false, 0o440: false, 0o644: true, 0o604: true, 0o602: true, 0o666: true} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if got, exposed := secret.Exposed(path); exposed != want || got != mode {
			t.Errorf("%o: exposed %t as %o", mode, exposed, got)
		}
	}
	if _, exposed := secret.Exposed(path + ".absent"); exposed {
		t.Error("a file that is not there is exposed")
	}
}
