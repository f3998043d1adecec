package secret

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"sync"
	"syscall"
)

// FileError says why a file gives no secret.
type FileError struct {
	// Path is the file's, as [ShownPath] returns it.
	Path string
	Err  error
}

// Error names the file and the reason.
func (e *FileError) Error() string { return e.Path + ": " + e.Err.Error() }

// Unwrap returns the reason.
func (e *FileError) Unwrap() error { return e.Err }

// File is a secret in a file. Printing it shows the path alone. Its methods may be called concurrently.
type File struct {
	path string

	mu sync.Mutex
	// last returns the last good secret; nil before the first one. It is a function, since fmt and loggers that use reflection
	// show no variables of functions.
	last func() string
}

// NewFile returns the secret in a file, which need not exist yet.
func NewFile(path string) *File { return &File{path: path} }

// Path returns the path. It may be the secret itself, by mistake, so print the file in its place.
func (f *File) Path() string { return f.path }

// String shows the path, as [ShownPath] returns it.
func (f *File) String() string { return ShownPath(f.path) }

// GoString does the same for %#v.
func (f *File) GoString() string { return f.String() }

// Read reads the file and returns its secret. If the file is bad or gone, it returns the last good secret instead, and a
// [*FileError] only if there is none. [File.Check] tells that the file is bad.
func (f *File) Read() (string, error) {
	text, _, err := f.read()
	return text, err
}

// Check reads the file and returns a [*FileError] if it is bad or gone now, whether or not there is a last good secret.
func (f *File) Check() error {
	_, bad, _ := f.read()
	return bad
}

// read returns the secret to use, why the file is bad now, and an error if there is no secret.
func (f *File) read() (text string, bad, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	text, bad = readFile(f.path)
	switch {
	case bad == nil:
		f.last = func() string { return text }
		return text, nil, nil
	case f.last != nil:
		return f.last(), bad, nil
	}
	return "", bad, bad
}

// readFile reads the secret in a regular file. It neither waits for a pipe's writer nor reads more than MaxBytes.
func readFile(path string) (string, error) {
	info, err := os.Stat(path) // before opening, which has effects on some devices
	if err != nil {
		return "", fileError(path, err)
	}
	if err := regular(info); err != nil {
		return "", fileError(path, err)
	}
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) //nolint:gosec // the operator's own setting names the file
	if err != nil {
		return "", fileError(path, err)
	}
	defer func() { _ = file.Close() }() // nothing was written, so closing loses nothing
	if info, err = file.Stat(); err == nil {
		err = regular(info) // another file may have taken its place
	}
	if err != nil {
		return "", fileError(path, err)
	}
	text, err := io.ReadAll(io.LimitReader(file, MaxBytes+1))
	if err != nil {
		return "", fileError(path, err)
	}
	secret, err := Parse(string(text))
	if err != nil {
		return "", fileError(path, err)
	}
	return secret, nil
}

// fileError names the file once.
func fileError(path string, err error) error {
	if of, ok := err.(*fs.PathError); ok { //nolint:errorlint // package os returns it as it is
		err = of.Err
	}
	return &FileError{Path: ShownPath(path), Err: err}
}

// notShown replaces a path that leads nowhere.
const notShown = "(not shown, since it may be the secret itself)"

// ShownPath returns a path for errors and logs. A path is what comes before the file is known to exist, so it may be the secret itself,
// set in the wrong variable: the key, a password, or a URL with a password. A path whose first element does not exist is not shown.
func ShownPath(path string) string {
	name := strings.TrimLeft(path, "/")
	first, _, _ := strings.Cut(name, "/")
	if _, err := os.Lstat(path[:len(path)-len(name)] + first); err != nil {
		return notShown
	}
	return path
}

// regular returns an error that says what a file is that is not a regular one.
func regular(info fs.FileInfo) error {
	var kind string
	switch mode := info.Mode(); {
	case mode.IsRegular():
		return nil
	case mode.IsDir():
		kind = "a directory"
	case mode&fs.ModeNamedPipe != 0:
		kind = "a pipe"
	case mode&fs.ModeSocket != 0:
		kind = "a socket"
	case mode&fs.ModeDevice != 0:
		kind = "a device"
	default:
		kind = "a special file"
	}
	return fmt.Errorf("it is %s, not a regular file", kind)
}

// othersMay are the permissions by which every user of the machine may read or replace a file. A group may: under Kubernetes
// fsGroup is how a process that is not root reads a mounted secret.
const othersMay fs.FileMode = 0o006

// Exposed returns the mode of a file that every user of the machine may read or write.
func Exposed(path string) (mode fs.FileMode, exposed bool) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, false
	}
	return info.Mode().Perm(), info.Mode()&othersMay != 0
}
