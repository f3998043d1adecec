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

	"convdel/internal/loopback"
)

// slowest bounds each step of a connection's use. A replica that has to wait longer than this is better off without Redis.
const slowest = 250 * time.Millisecond

// Config says where the budget is and how much it holds.
type Config struct {
	// URL returns redis://[[user]:password@]host[:port][/database], or rediss:// for TLS with the
	// system's certificates. New asks once for all of it; each new connection asks again for user and
	// password, so that those can change. Required.
	URL func() (string, error)
	// Key names the budget. All processes with the same key share it. Required. See [KeyOf].
	Key string
	// CallsPerSecond is the quota, at least 1. Where processes with the same key have different quotas, each departure is
	// followed by the distance of the process that takes it.
	CallsPerSecond int
	// Insecure allows to send a password to another host without TLS.
	Insecure bool
	// Dial makes connections, for tests. Default: net.Dialer.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// KeyOf is the key by default: one budget for all processes that call on behalf of an app, since the API counts calls by
// app.
func KeyOf(sdkAppID int) string { return "convdel:quota:" + strconv.Itoa(sdkAppID) }

// ConfigError names a field of [Config] that can't be used as it is. Of the URL it holds at most the host.
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

// options are the Redis client's. It neither retries nor waits for long, since a late answer is of no use.
func (c Config) options() (*redis.Options, error) {
	if c.URL == nil {
		return nil, &ConfigError{"URL", "is nil"}
	}
	where, err := c.read()
	if err != nil {
		return nil, &ConfigError{"URL", err.Error()}
	}
	if c.exposes(where, where.password) {
		return nil, &ConfigError{"URL", fmt.Sprintf("is redis:// with a password, and its host is %q: %s", where.host(), errExposed)}
	}
	if c.Key == "" {
		return nil, &ConfigError{"Key", "is empty"}
	}
	if c.CallsPerSecond < 1 {
		return nil, &ConfigError{"CallsPerSecond", "is below 1"}
	}
	// The client's own log is turned off: its errors say the same.
	logging.Disable()
	return &redis.Options{
		Addr: where.address, DB: where.database, Dialer: dialer(c.Dial, where.tls),
		CredentialsProviderContext: func(context.Context) (user, password string, err error) {
			now, err := c.read()
			if err == nil && c.exposes(where, now.password) { // the address remains that of the start
				return "", "", errExposed
			}
			return now.user, now.password, err
		},
		Protocol: 2, DisableIdentity: true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
		MaxRetries:               -1, DialerRetries: 1, ContextTimeoutEnabled: true,
		DialTimeout: slowest, ReadTimeout: slowest, WriteTimeout: slowest, PoolTimeout: slowest,
		PoolSize: 2, PipelinePoolSize: -1,
	}, nil
}

// server is what a URL says.
type server struct {
	address, user, password string
	database                int
	tls                     *tls.Config
}

func (s server) host() string {
	host, _, _ := net.SplitHostPort(s.address)
	return host
}

// errExposed says why a password is not sent.
var errExposed = errors.New("must be rediss://, since the password can be read on the way to another host (--insecure allows that)")

// exposes returns true if a password would leave this machine unencrypted.
func (c Config) exposes(to server, password string) bool {
	return password != "" && to.tls == nil && !c.Insecure && !loopback.Host(to.host())
}

// The errors of read don't quote the URL, which may hold a password.
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
