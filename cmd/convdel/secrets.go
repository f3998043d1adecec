package main

import (
	"fmt"

	"convdel/internal/secret"
	"convdel/internal/service"
)

// secretName is a setting without a flag, since other users of the machine can see a command line. It is named by its
// environment variable. No error and no log line shows its text.
type secretName string

const (
	imSecretKey   secretName = envPrefix + "IM_SECRET_KEY"
	kafkaPassword secretName = envPrefix + "KAFKA_PASSWORD"
	redisURL      secretName = envPrefix + "REDIS_URL"
)

// file returns the environment variable that names a file with the secret.
func (s secretName) file() string { return string(s) + "_FILE" }

// sources says where the secret may be set.
func (s secretName) sources() string {
	return fmt.Sprintf("$%s, or a file named by $%s, which is read again when it changes", s, s.file())
}

// says returns the variable that a secret comes from.
func (s secretName) says(from secretSource) string {
	if from.file != nil {
		return s.file()
	}
	return string(s)
}

// secretSource says where a secret is set. The zero value means that it is not set.
type secretSource struct {
	value string
	file  *secret.File // nil if the variable itself holds the secret
}

// String keeps the secret out of printed sources.
func (secretSource) String() string { return "secret" }

// GoString does the same for %#v.
func (secretSource) GoString() string { return "secret" }

func (s secretSource) given() bool { return s != secretSource{} }

// read returns the present secret, or the last good one of a file that has turned bad.
func (s secretSource) read() (string, error) {
	if s.file == nil {
		return s.value, nil
	}
	return s.file.Read()
}

// secret finds out where a secret is set. A required one must be set, and none may be set twice.
func (c *checker) secret(s secretName, env func(string) (string, bool), required bool) secretSource {
	value, _ := env(string(s))
	path, _ := env(s.file())
	switch {
	case value != "" && path != "":
		c.problem(string(s), "%s and %s are both set: must be only one of them", s, s.file())
	case path != "":
		return c.secretFile(s, path)
	case value != "":
		var err error
		if value, err = secret.Parse(value); err != nil {
			c.problem(string(s), "%s is wrong: must be the secret and nothing else (%v)", s, err)
		}
	case required:
		c.problem(string(s), "%s is missing: must be set, or %s must name a file that holds it", s, s.file())
	}
	return secretSource{value: value}
}

// secretFile reads a secret from a file for the first time.
func (c *checker) secretFile(s secretName, path string) secretSource {
	file := secret.NewFile(path)
	if err := file.Check(); err != nil {
		c.problem(string(s), "%s is %q: must be a readable file that holds the secret (%v)", s.file(), file, err)
	}
	if mode, exposed := secret.Exposed(path); exposed {
		c.warnings = append(c.warnings,
			fmt.Sprintf("%s: %s has mode %04o: every user of this machine may read or replace the secret", s.file(), path, mode))
	}
	c.files = append(c.files, service.SecretFile{Variable: s.file(), Check: file.Check})
	return secretSource{file: file}
}
