package imclient

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strconv"
	"time"

	"convdel/internal/loopback"
)

// These are the defaults of [Config].
const (
	defaultCallTimeout   = 5 * time.Second
	defaultSigLifetime   = 24 * time.Hour
	defaultMaxConcurrent = 64
)

// minSigLifetime keeps signatures from being renewed all the time.
const minSigLifetime = time.Minute

// maxSigLifetime is far longer than reasonable, and so short that seconds do not overflow.
const maxSigLifetime = 10 * 365 * 24 * time.Hour

// Config configures a [Client]. Printing or logging it shows no secret.
type Config struct {
	// Endpoint is the scheme and host, such as https://console.tim.qq.com. The vendor serves only https; http is for a
	// simulator on this machine, see Insecure. Required.
	Endpoint string
	// Insecure allows an http Endpoint on another host than this one. The signature can be read on the way there.
	Insecure bool
	// SDKAppID is the app's number in the vendor's console. Required.
	SDKAppID int
	// Identifier is the account of an app administrator. The API accepts no other account. Required.
	Identifier string
	// SecretKey returns the app's secret key, from which signatures are made. It is called about once a second, so that a
	// changed key is noticed. Required; see [StaticKey] and [KeyFile].
	SecretKey KeySource
	// SigLifetime is how long a UserSig is valid. It is renewed after four fifths of that time. Default 24h, the shortest
	// time that the vendor advises; at least 1m.
	SigLifetime time.Duration
	// CallTimeout bounds each call, from the first step to the last byte of the answer. Default 5s.
	CallTimeout time.Duration
	// MaxConcurrent is how many calls at once are expected. So many idle connections are kept. More calls at once work,
	// too, but their connections are closed afterwards. Default 64.
	MaxConcurrent int
	// DialContext makes a connection. Default: a [net.Dialer].
	DialContext func(ctx context.Context, network, address string) (net.Conn, error)
	// Logger logs renewed signatures and unreadable keys. Default: nothing is logged.
	Logger *slog.Logger
}

// ConfigError names a wrong setting. [New] joins those of all wrong settings.
type ConfigError struct {
	// Setting is the name of the setting: im-endpoint, im-sdkappid, im-identifier, IM_SECRET_KEY, call-timeout,
	// max-concurrent, sig-lifetime, or a variable such as HTTPS_PROXY, as it was spelt.
	Setting string
	// Value is the setting's value without anything that could be a secret; empty if there is none.
	Value string
	// Want says which values are allowed.
	Want string
}

// Error names the setting, its value and the allowed values.
func (e *ConfigError) Error() string {
	if e.Value == "" {
		return e.Setting + ": missing: want " + e.Want
	}
	return fmt.Sprintf("%s: %q: want %s", e.Setting, e.Value, e.Want)
}

// withDefaults fills in the defaults.
func (c Config) withDefaults() Config {
	if c.SigLifetime == 0 {
		c.SigLifetime = defaultSigLifetime
	}
	if c.CallTimeout == 0 {
		c.CallTimeout = defaultCallTimeout
	}
	if c.MaxConcurrent == 0 {
		c.MaxConcurrent = defaultMaxConcurrent
	}
	if c.DialContext == nil {
		c.DialContext = (&net.Dialer{KeepAlive: 15 * time.Second}).DialContext
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// validate returns the parsed endpoint, or all errors at once.
func (c Config) validate() (*url.URL, error) {
	endpoint, err := parseEndpoint(c.Endpoint)
	if err == nil && unencrypted(endpoint) && !c.Insecure {
		err = &ConfigError{
			Setting: "im-endpoint",
			Value:   safeEndpoint(c.Endpoint),
			Want:    "https, since http shows the signature on the way to another host (--insecure allows that)",
		}
	}
	errs := []error{err}
	wrong := func(setting, value, want string) {
		errs = append(errs, &ConfigError{Setting: setting, Value: value, Want: want})
	}
	if c.SDKAppID <= 0 {
		value := ""
		if c.SDKAppID < 0 {
			value = strconv.Itoa(c.SDKAppID)
		}
		wrong("im-sdkappid", value, "the app's positive number in the vendor's console")
	}
	if c.Identifier == "" {
		wrong("im-identifier", "", "the account of an app administrator")
	}
	if c.SecretKey == nil {
		wrong("IM_SECRET_KEY", "", "the app's secret key, or IM_SECRET_KEY_FILE that holds it")
	}
	if c.SigLifetime < minSigLifetime || c.SigLifetime > maxSigLifetime {
		wrong("sig-lifetime", c.SigLifetime.String(), "1m to 87600h")
	}
	if c.CallTimeout < 0 {
		wrong("call-timeout", c.CallTimeout.String(), "more than 0s")
	}
	if c.MaxConcurrent < 0 {
		wrong("max-concurrent", strconv.Itoa(c.MaxConcurrent), "at least 1")
	}
	return endpoint, errors.Join(errs...)
}

// parseEndpoint accepts only a scheme and a host. A path, a password or a query would have to be sent or silently dropped,
// and neither is likely to be intended.
func parseEndpoint(endpoint string) (*url.URL, error) {
	wrong := &ConfigError{
		Setting: "im-endpoint",
		Value:   safeEndpoint(endpoint),
		Want:    "scheme and host alone, such as https://console.tim.qq.com",
	}
	u, err := url.Parse(endpoint)
	switch {
	case err != nil,
		u.Scheme != "https" && u.Scheme != "http",
		u.Hostname() == "",
		u.User != nil,
		u.Path != "" && u.Path != "/",
		u.RawQuery != "" || u.ForceQuery,
		u.Fragment != "":
		return nil, wrong
	}
	return u, nil
}

// unencrypted returns true if signatures would leave this machine in the clear.
func unencrypted(endpoint *url.URL) bool {
	return endpoint.Scheme == "http" && !loopback.Host(endpoint.Hostname())
}

// safeEndpoint returns the endpoint without secrets, since the setting may hold a password or a whole signed URL.
func safeEndpoint(endpoint string) string {
	if endpoint == "" {
		return ""
	}
	u, err := url.Parse(endpoint)
	if err != nil {
		return "(not a URL)"
	}
	shown := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, Opaque: u.Opaque}
	if text := scrub(shown.String(), ""); text != "" {
		return text
	}
	return "(not a URL)"
}

// String shows the configuration without its secret.
func (c Config) String() string {
	return fmt.Sprintf("imclient.Config{Endpoint:%q SDKAppID:%d Identifier:%q CallTimeout:%s SecretKey:***}",
		safeEndpoint(c.Endpoint), c.SDKAppID, c.Identifier, c.CallTimeout)
}

// GoString is [Config.String].
func (c Config) GoString() string { return c.String() }

// LogValue returns the configuration without its secret, for slog.
func (c Config) LogValue() slog.Value {
	return slog.GroupValue(
		slog.String("endpoint", safeEndpoint(c.Endpoint)),
		slog.Int("sdkappid", c.SDKAppID),
		slog.String("identifier", c.Identifier),
		slog.Duration("call_timeout", c.CallTimeout),
	)
}
