package imclient

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
)

// KeySource returns the app's secret key. Calls ask it, about once a second and one at a time. So it should answer at once,
// from memory or a small file. After an error the present signature is used as long as it is valid. Errors must not hold
// the key.
type KeySource interface {
	Key() (string, error)
}

// KeyError means that no signature could be made, since there is no key. No call was made. Its class is [Halt], since only
// the service's own configuration is wrong.
type KeyError struct {
	Err error
}

// Error says why there is no key.
func (e *KeyError) Error() string { return "im secret key: " + e.Err.Error() }

// Unwrap returns the cause.
func (e *KeyError) Unwrap() error { return e.Err }

var errEmptyKey = errors.New("empty")

// StaticKey is a key that never changes. White space around it is dropped, since shells and editors add some and keys have
// none. Printing the result does not show the key.
func StaticKey(key string) KeySource {
	key = strings.TrimSpace(key)
	// The key is in a closure, since fmt and loggers that use reflection show a function and not its variables.
	return &staticKey{get: func() string { return key }}
}

type staticKey struct {
	get func() string
}

func (k *staticKey) Key() (string, error) {
	if key := k.get(); key != "" {
		return key, nil
	}
	return "", errEmptyKey
}

// KeyFile is a key in a file. It is read again whenever the file's modification time, size or identity has changed, as
// after an edit or the rotation of a mounted secret. White space around the key is dropped. The file need not exist yet.
// Printing the result shows only the path.
func KeyFile(path string) KeySource {
	return &keyFile{path: path}
}

// maxKeyFile is far above any key, which has 64 characters. It keeps a large file at a wrong path from being read whole.
const maxKeyFile = 4 << 10

type keyFile struct {
	path string

	mu   sync.Mutex
	seen os.FileInfo
	key  func() string // It is a closure for the same reason as in StaticKey; nil before the first read.
}

// String shows the path.
func (k *keyFile) String() string { return "imclient.KeyFile(" + k.path + ")" }

// Key returns the key. It reads the file only if it has changed. It reads the file's state before its content, so that a
// write in between is noticed the next time.
func (k *keyFile) Key() (string, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	info, err := os.Stat(k.path)
	if err != nil {
		return "", err
	}
	if k.key != nil && os.SameFile(k.seen, info) &&
		k.seen.ModTime().Equal(info.ModTime()) && k.seen.Size() == info.Size() {
		return k.key(), nil
	}
	key, err := readKey(k.path)
	if err != nil {
		return "", err
	}
	k.seen, k.key = info, func() string { return key }
	return key, nil
}

func readKey(path string) (string, error) {
	f, err := os.Open(path) //nolint:gosec // the operator's own setting names the file
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }() // Nothing was written, so closing loses nothing.
	text, err := io.ReadAll(io.LimitReader(f, maxKeyFile+1))
	if err != nil {
		return "", err
	}
	if len(text) > maxKeyFile {
		return "", fmt.Errorf("%s: larger than %d bytes, so not a secret key", path, maxKeyFile)
	}
	key := strings.TrimSpace(string(text))
	if key == "" {
		return "", fmt.Errorf("%s: %w", path, errEmptyKey)
	}
	return key, nil
}
