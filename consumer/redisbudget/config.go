package redisbudget

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// slowest bounds what a connection may take: a caller that has to wait longer than this
// is better off without Redis.
const slowest = 250 * time.Millisecond

// Config says where the budget is and how much it holds.
type Config struct {
	// URL returns redis://[[user]:password@]host[:port][/database], or rediss:// for TLS with the
	// system's certificates. New asks once for all of it; each new connection asks again for user and
	// password, so that those can change. Required.
	URL func() (string, error)
	// Key names the budget: whoever has the same key shares it. Required. See [KeyOf].
	Key string
	// CallsPerSecond is the quota, at least 1. Where those who share a key have different ones, each
	// departure is followed by the distance of whoever takes it.
	CallsPerSecond int
	// Dial makes connections, for tests. Default: net.Dialer.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// KeyOf is the key by default: one budget for everybody who calls on behalf of an app, since that is what the API
// counts by.
func KeyOf(sdkAppID int) string { return "convdel:quota:" + strconv.Itoa(sdkAppID) }

// ConfigError names a field of [Config] that can't be used as it is. It never holds the URL or a part of it.
type ConfigError struct {
	Field, Reason string
}

func (e *ConfigError) Error() string {
	return fmt.Sprintf("redis budget config: %s %s", e.Field, e.Reason)
}

// Validate returns the *[ConfigError] that [New] would return, or nil.
func (c Config) Validate() error {
	_, err := c.options()
	return err
}

// options are the Redis client's. Retries and waiting are its caller's: an answer that is late is of no use.
func (c Config) options() (*redis.Options, error) {
	if c.URL == nil {
		return nil, &ConfigError{"URL", "is nil"}
	}
	where, err := c.read()
	if err != nil {
		return nil, &ConfigError{"URL", err.Error()}
	}
	if c.Key == "" {
		return nil, &ConfigError{"Key", "is empty"}
	}
	if c.CallsPerSecond < 1 {
		return nil, &ConfigError{"CallsPerSecond", "is below 1"}
	}
	// What the client would print is said by the errors that it returns.
	logging.Disable()
	return &redis.Options{
		Addr: where.address, DB: where.database, TLSConfig: where.tls, Dialer: c.Dial,
		CredentialsProviderContext: func(context.Context) (user, password string, err error) {
			now, err := c.read()
			return now.user, now.password, err
		},
		Protocol: 2, DisableIdentity: true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
		MaxRetries:               -1, DialerRetries: 1, ContextTimeoutEnabled: true,
		DialTimeout: slowest, ReadTimeout: slowest, WriteTimeout: slowest, PoolTimeout: slowest,
		PoolSize: 2, PipelinePoolSize: -1,
	}, nil
}

// server is a URL taken apart.
type server struct {
	address, user, password string
	database                int
	tls                     *tls.Config
}

// The errors of read say nothing of what they were about: it may hold a password.
var (
	errUnreadable = errors.New("can't be read")
	errURL        = errors.New("is not redis://[[user]:password@]host[:port][/database], or the same with rediss://")
)

// read asks for the URL and takes it apart.
func (c Config) read() (server, error) {
	text, err := c.URL()
	if err != nil {
		return server{}, errUnreadable
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "redis" && u.Scheme != "rediss" || u.Hostname() == "" || u.RawQuery != "" || u.Fragment != "" {
		return server{}, errURL
	}
	s := server{user: u.User.Username()}
	s.password, _ = u.User.Password()
	port := u.Port()
	if port == "" {
		port = "6379"
	}
	s.address = net.JoinHostPort(u.Hostname(), port)
	if number, err := strconv.ParseUint(port, 10, 16); err != nil || number == 0 {
		return server{}, errURL
	}
	if path := strings.Trim(u.Path, "/"); path != "" {
		if s.database, err = strconv.Atoi(path); err != nil || s.database < 0 {
			return server{}, errURL
		}
	}
	if u.Scheme == "rediss" {
		s.tls = &tls.Config{ServerName: u.Hostname(), MinVersion: tls.VersionTLS12}
	}
	return s, nil
}
