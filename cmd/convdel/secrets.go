package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
)

// secret is a setting without a flag, since other users of the machine can see a command line. It is named by its
// environment variable. No error and no log line shows its text.
type secret string

const (
	imSecretKey   secret = envPrefix + "IM_SECRET_KEY"
	kafkaPassword secret = envPrefix + "KAFKA_PASSWORD"
	redisURL      secret = envPrefix + "REDIS_URL"
)

// file returns the environment variable that names a file with the secret.
func (s secret) file() string { return string(s) + "_FILE" }

// sources says where the secret may be set.
func (s secret) sources() string {
	return fmt.Sprintf("$%s, or a file named by $%s, which is read again when it changes", s, s.file())
}

// says returns the variable that a secret comes from.
func (s secret) says(from secretSource) string {
	if from.path != "" {
		return s.file()
	}
	return string(s)
}

// secretSource says where a secret is set. The zero value means that it is not set.
type secretSource struct {
	value string
	path  string
}

// String keeps the secret out of printed sources.
func (secretSource) String() string { return "secret" }

// GoString does the same for %#v.
func (secretSource) GoString() string { return "secret" }

func (s secretSource) given() bool { return s != secretSource{} }

// read returns the present secret.
func (s secretSource) read() (string, error) {
	if s.path == "" {
		return s.value, nil
	}
	return readSecretFile(s.path)
}

var errSecretEmpty = errors.New("the file is empty")

// readSecretFile reads a secret from a file, without a line end.
func readSecretFile(path string) (string, error) {
	text, err := os.ReadFile(path) //nolint:gosec // the operator names the file
	if err != nil {
		return "", err
	}
	value := strings.TrimRight(string(text), "\r\n")
	if strings.TrimSpace(value) == "" {
		return "", fmt.Errorf("read %s: %w", path, errSecretEmpty)
	}
	return value, nil
}

// secret finds out where a secret is set. A required one must be set, and none may be set twice.
func (c *checker) secret(s secret, env func(string) (string, bool), required bool) secretSource {
	value, _ := env(string(s))
	path, _ := env(s.file())
	switch {
	case value != "" && path != "":
		c.problems = append(c.problems, fmt.Sprintf("%s and %s are both set: must be only one of them", s, s.file()))
	case path != "":
		if _, err := readSecretFile(path); err != nil {
			c.problems = append(c.problems, fmt.Sprintf("%s is %q: must be a readable file that holds the secret (%v)", s.file(), path, err))
		}
		return secretSource{path: path}
	case value == "" && required:
		c.problems = append(c.problems, fmt.Sprintf("%s is missing: must be set, or %s must name a file that holds it", s, s.file()))
	}
	return secretSource{value: value}
}
