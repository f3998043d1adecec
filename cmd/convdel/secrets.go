package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
)

// secret is a setting without a flag, named by its environment variable: a command line is there
// for all to see. Its text is never shown, neither in an error nor in a log line.
type secret string

const (
	imSecretKey   secret = envPrefix + "IM_SECRET_KEY"
	kafkaPassword secret = envPrefix + "KAFKA_PASSWORD"
	redisURL      secret = envPrefix + "REDIS_URL"
)

// file is the environment variable that names a file to read the secret from.
func (s secret) file() string { return string(s) + "_FILE" }

// places says where the secret may come from.
func (s secret) places() string {
	return fmt.Sprintf("$%s, or a file named by $%s, which is read again when it changes", s, s.file())
}

// says names the variable that a secret comes from.
func (s secret) says(from secretSource) string {
	if from.path != "" {
		return s.file()
	}
	return string(s)
}

// secretSource is where a secret is; the zero value is nowhere.
type secretSource struct {
	value string
	path  string
}

// String keeps the secret out of whatever prints its source.
func (secretSource) String() string { return "secret" }

// GoString does the same for %#v.
func (secretSource) GoString() string { return "secret" }

func (s secretSource) given() bool { return s != secretSource{} }

// read returns the secret as it is now.
func (s secretSource) read() (string, error) {
	if s.path == "" {
		return s.value, nil
	}
	return readSecretFile(s.path)
}

var errSecretEmpty = errors.New("the file is empty")

// readSecretFile reads a secret from a file, without the line end that editors add.
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

// secret finds where a secret is. A required one must be somewhere, and none may be in two places.
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
