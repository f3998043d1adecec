package imclient

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
)

// KeySource gives the app's secret key. It is asked by the calls themselves, about once a second
// and one at a time, so it should answer at once, from memory or a small file. An error is no
// reason to stop as long as the signature at hand is valid. Its errors must not hold the key.
type KeySource interface {
	Key() (string, error)
}

// KeyError means that no signature could be made: there is no key. No call was made. Its class is
// [Halt], since nothing but the service's own configuration is at fault.
type KeyError struct {
	Err error
}

// Error says why there is no key.
func (e *KeyError) Error() string { return "im secret key: " + e.Err.Error() }

// Unwrap returns the cause.
func (e *KeyError) Unwrap() error { return e.Err }

var errEmptyKey = errors.New("empty")

// StaticKey is a key that never changes. White space around it is dropped, since none belongs to a
// key and shells and editors add it. Printing the result does not show the key.
func StaticKey(key string) KeySource {
	key = strings.TrimSpace(key)
	// A closure: fmt and reflection-based loggers see a function, even where they ignore methods.
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

// KeyFile is a key in a file, read again whenever the file's modification time, size or identity
// has changed, as by an editor or by a secret that is mounted and rotated. White space around the
// key is dropped. The file need not exist yet. Printing the result shows the path alone.
func KeyFile(path string) KeySource {
	return &keyFile{path: path}
}

// maxKeyFile is far above any key (64 characters), and keeps a wrong path from being read whole.
const maxKeyFile = 4 << 10

type keyFile struct {
	path string

	mu   sync.Mutex
	seen os.FileInfo
	key  func() string // A closure for the same reason as in StaticKey; nil before the first read.
}

// String shows the path.
func (k *keyFile) String() string { return "imclient.KeyFile(" + k.path + ")" }

// Key returns the key, reading the file only if it has changed. The file's state is taken before
// its content, so that a write in between is noticed the next time.
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
	defer func() { _ = f.Close() }() // Nothing was written that closing could lose.
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
