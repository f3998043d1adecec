package imclient

import (
	"errors"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpproxy"

	"convdel/internal/loopback"
)

// proxyFor returns the proxy for the endpoint that the environment names, or nil. HTTPS_PROXY or HTTP_PROXY counts, by the endpoint's
// scheme, and otherwise ALL_PROXY; NO_PROXY lists hosts that are reached directly. Each name may be in lower case as well. No proxy is used
// for this machine.
//
// net/http passes over what it does not understand, and calls directly. So a variable that does not parse is an error, whether it counts
// for the endpoint or not.
func proxyFor(endpoint *url.URL, env func(name string) string) (*url.URL, error) {
	if loopback.Host(endpoint.Hostname()) {
		return nil, nil //nolint:nilnil // there is no proxy
	}
	first := map[string]string{}
	for _, name := range []string{"HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY"} {
		for _, variant := range []string{name, strings.ToLower(name)} {
			value := env(variant)
			if value == "" {
				continue
			}
			if err := checkProxy(variant, value); err != nil {
				return nil, err
			}
			if first[name] == "" {
				first[name] = value
			}
		}
	}
	chosen := first[strings.ToUpper(endpoint.Scheme)+"_PROXY"]
	if chosen == "" {
		chosen = first["ALL_PROXY"]
	}
	if chosen == "" {
		return nil, nil //nolint:nilnil // there is no proxy
	}
	proxy, err := parseProxy(chosen)
	if err != nil {
		return nil, err
	}
	rules := httpproxy.Config{HTTPProxy: "proxy.invalid", HTTPSProxy: "proxy.invalid", NoProxy: first["NO_PROXY"]}
	if used, err := rules.ProxyFunc()(endpoint); err != nil || used == nil {
		return nil, err
	}
	return proxy, nil
}

// checkProxy checks a variable. Its value may hold a password, so the error does not show it.
func checkProxy(name, value string) error {
	if strings.EqualFold(name, "NO_PROXY") {
		if bad := badExemption(value); bad {
			return &ConfigError{
				Setting: name, Value: "(not shown)",
				Want: "hosts, addresses or networks, separated by commas, such as localhost,10.0.0.0/8,.internal",
			}
		}
		return nil
	}
	if _, err := parseProxy(value); err != nil {
		return &ConfigError{Setting: name, Value: "(not shown)", Want: "the URL of a proxy, such as http://proxy.internal:3128"}
	}
	return nil
}

// parseProxy reads the URL of a proxy. The scheme http may be left out. A path is refused: in a URL that is broken, part of the password
// may have become one.
func parseProxy(text string) (*url.URL, error) {
	if !strings.Contains(text, "://") {
		text = "http://" + text
	}
	u, err := url.Parse(text)
	switch {
	case err != nil,
		u.Scheme != "http" && u.Scheme != "https" && u.Scheme != "socks5" && u.Scheme != "socks5h",
		!isHost(u.Hostname()) || strings.HasSuffix(u.Host, ":"),
		u.Port() != "" && !isPort(u.Port()),
		strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return nil, errNoProxyURL
	}
	return u, nil
}

var errNoProxyURL = errors.New("no URL of a proxy")

// badExemption returns true if a part of NO_PROXY could never match a host.
func badExemption(list string) bool {
	for part := range strings.SplitSeq(list, ",") {
		part = strings.TrimSpace(part)
		if part == "" || part == "*" {
			continue
		}
		if _, err := netip.ParsePrefix(part); err == nil {
			continue
		}
		if _, err := netip.ParseAddr(part); err == nil {
			continue
		}
		host, port, err := net.SplitHostPort(part)
		if err != nil {
			host, port = part, "1"
		}
		if !isPort(port) || !isHost(strings.TrimPrefix(strings.TrimPrefix(host, "*"), ".")) {
			return true
		}
	}
	return false
}

var hostName = regexp.MustCompile(`^[\pL\pN_-]+(\.[\pL\pN_-]+)*\.?$`)

// isHost returns true for a name or an address without a port.
func isHost(text string) bool {
	_, err := netip.ParseAddr(text)
	return err == nil || hostName.MatchString(text)
}

func isPort(text string) bool {
	port, err := strconv.ParseUint(text, 10, 16)
	return err == nil && port > 0
}
