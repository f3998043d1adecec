package tracing

import (
	"fmt"
	"net/url"
	"strings"

	"convdel/internal/loopback"
)

// These are the variables that this package reads itself. The SDK reads the others: samplers, limits, batches, certificates, resources.
const (
	envDisabled       = "OTEL_SDK_DISABLED"
	envExporter       = "OTEL_TRACES_EXPORTER"
	envEndpoint       = "OTEL_EXPORTER_OTLP_ENDPOINT"
	envTracesEndpoint = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
	envHeaders        = "OTEL_EXPORTER_OTLP_HEADERS"
	envTracesHeaders  = "OTEL_EXPORTER_OTLP_TRACES_HEADERS"
	envProtocol       = "OTEL_EXPORTER_OTLP_PROTOCOL"
	envTracesProtocol = "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"
)

// tracesPath is added to an endpoint that is one for all signals.
const tracesPath = "v1/traces"

// usualEndpoint is the one of a collector on this machine, for OTEL_TRACES_EXPORTER=otlp without an endpoint.
const usualEndpoint = "http://localhost:4318"

// Settings say where spans go. They have no secret in them but the headers' values, which are not printed.
type Settings struct {
	endpoint url.URL
	// secrets are the values of headers, which no text may show.
	secrets []string
	// Warnings are about settings that are allowed but have no effect.
	Warnings []string
}

// String keeps the secrets out of printed settings.
func (s *Settings) String() string { return "traces to " + s.endpoint.Host }

// GoString does the same for %#v.
func (s *Settings) GoString() string { return s.String() }

// SettingError is a variable that can't be used as it is. Its text does not show the value, which may hold a secret.
type SettingError struct{ Variable, Reason string }

func (e *SettingError) Error() string { return e.Variable + " " + e.Reason }

// Read reads the standard variables of OpenTelemetry. The settings are nil if they ask for no traces: that is so unless an endpoint is set, or
// the exporter is otlp. insecure allows headers on unencrypted connections to other hosts. An error is a [*SettingError].
func Read(env func(string) (string, bool), insecure bool) (*Settings, error) {
	get := func(name string) string {
		value, _ := env(name)
		return strings.TrimSpace(value)
	}
	s := &Settings{}
	variable, where := wanted(get)
	if variable == "" {
		return nil, nil //nolint:nilnil // no traces are no error
	}
	if err := s.readEndpoint(variable, where); err != nil {
		return nil, err
	}
	for _, name := range []string{envHeaders, envTracesHeaders} {
		s.secrets = append(s.secrets, secretsIn(get(name))...)
	}
	if len(s.secrets) > 0 && s.endpoint.Scheme == "http" && !loopback.Host(s.endpoint.Hostname()) && !insecure {
		return nil, &SettingError{variable, fmt.Sprintf("must be https://, since the headers in %s can be read on the way to another host (--insecure allows that)",
			headersGiven(get))}
	}
	for _, name := range []string{envTracesProtocol, envProtocol} {
		if protocol := get(name); protocol == "grpc" {
			s.Warnings = append(s.Warnings, name+" is grpc and has no effect: spans are sent over HTTP, which collectors take at another port (4318, usually)")
			break
		}
	}
	return s, nil
}

// wanted returns the variable that asks for traces, and the endpoint; no variable if none does.
func wanted(get func(string) string) (variable, endpoint string) {
	if strings.EqualFold(get(envDisabled), "true") {
		return "", ""
	}
	exporter := strings.ToLower(get(envExporter))
	if exporter != "" && exporter != "otlp" {
		return "", "" // none, or one that is not built in
	}
	for _, name := range []string{envTracesEndpoint, envEndpoint} {
		if text := get(name); text != "" {
			return name, text
		}
	}
	if exporter == "otlp" {
		return envExporter, usualEndpoint
	}
	return "", ""
}

// readEndpoint reads a URL. Only the endpoint for traces alone has its whole path.
func (s *Settings) readEndpoint(variable, text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.Hostname() == "":
		return &SettingError{variable, "must be a URL, http://HOST:PORT or https://HOST:PORT"}
	case u.User != nil:
		return &SettingError{variable, "must have no user and no password: they belong in " + envHeaders}
	case u.RawQuery != "" || u.Fragment != "":
		return &SettingError{variable, "must have no query"}
	}
	if variable != envTracesEndpoint {
		u = u.JoinPath(tracesPath)
	}
	if u.Path == "" {
		u.Path = "/"
	}
	s.endpoint = url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}
	return nil
}

func headersGiven(get func(string) string) string {
	if get(envTracesHeaders) != "" {
		return envTracesHeaders
	}
	return envHeaders
}

// leastSecret is the number of bytes from which on a word of a header is hidden. Shorter ones are useless to an attacker.
const leastSecret = 4

// secretsIn are the texts in a list of headers (NAME=VALUE,...) that may be secrets: each value, as it stands and unescaped, and each of its
// words. A list that can't be read is all secret.
func secretsIn(headers string) (secrets []string) {
	note := func(text string) {
		if text = strings.TrimSpace(text); len(text) >= leastSecret {
			secrets = append(secrets, text)
		}
	}
	for pair := range strings.SplitSeq(headers, ",") {
		_, value, found := strings.Cut(pair, "=")
		if !found {
			value = pair
		}
		note(value)
		plain, err := url.PathUnescape(value)
		if err != nil {
			continue
		}
		note(plain)
		for word := range strings.FieldsSeq(plain) {
			note(word)
		}
	}
	return secrets
}

// hide takes the secrets out of a text.
func (s *Settings) hide(text string) string {
	for _, secret := range s.secrets {
		text = strings.ReplaceAll(text, secret, "***")
	}
	return text
}
