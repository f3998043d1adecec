package imclient

import (
	"errors"
	"strings"

	"convdel/internal/secret"
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

// KeyFile is a key in a regular file of at most 4,096 bytes. It is read again each time, so that an edit or the rotation of a
// mounted secret counts at once. Spaces around the key and line ends behind it are dropped. The file need not exist yet. Once there
// has been a key, the last good one goes on counting while the file is bad or gone. Printing the result shows only the path.
func KeyFile(path string) KeySource {
	return &keyFile{file: secret.NewFile(path)}
}

type keyFile struct {
	file *secret.File
}

// String shows the path.
func (k *keyFile) String() string { return "imclient.KeyFile(" + k.file.String() + ")" }

// Key reads the file.
func (k *keyFile) Key() (string, error) {
	key, err := k.file.Read()
	return strings.TrimSpace(key), err
}
