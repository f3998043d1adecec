package service

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// guarded hands only those requests on that an operator, a scraper or a probe makes: GET or HEAD, without a body, for a known host. Other
// hosts are refused since a page in an operator's browser can have its own name lead to this address and then read the answers (DNS
// rebinding).
func guarded(next http.Handler, known func(host string) bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c := connectionOf(r); c != nil {
			c.serves(true)
			defer c.serves(false)
		}
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Cache-Control", "no-store")
		switch {
		case !known(r.Host):
			refuse(w, http.StatusMisdirectedRequest, fmt.Sprintf("host %.100q is none of this address's names: "+
				"ask by an IP address, or name it in --admin-hosts (CONVDEL_ADMIN_HOSTS)", r.Host))
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			w.Header().Set("Allow", "GET, HEAD")
			refuse(w, http.StatusMethodNotAllowed, "only GET and HEAD are answered")
		case r.ContentLength != 0:
			refuse(w, http.StatusRequestEntityTooLarge, "a request has no body here")
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// refuse answers with a reason and ends the connection. It does not wait for a body, which may never come.
func refuse(w http.ResponseWriter, status int, reason string) {
	w.Header().Set("Connection", "close")
	http.Error(w, reason, status)
	_ = http.NewResponseController(w).SetReadDeadline(time.Unix(1, 0)) // a writer without a connection, in tests, has no deadline
}

// knownHosts returns what decides whether a request may use a name: any IP address, loopback's names, the host of the address that the
// server listens on, and further names. A request without a name is HTTP/1.0's, which no browser speaks.
func knownHosts(addr string, names []string) func(host string) bool {
	own, _, _ := net.SplitHostPort(addr)
	list := []string{"localhost", canonical(own)}
	for _, name := range names {
		list = append(list, canonical(name))
	}
	return func(host string) bool {
		if host == "" {
			return true
		}
		name := canonical(withoutPort(host))
		if _, err := netip.ParseAddr(name); err == nil {
			return true
		}
		return name != "" && (slices.Contains(list, name) || strings.HasSuffix(name, ".localhost"))
	}
}

// canonical is a name in lower case, without brackets and without the dot at the end.
func canonical(name string) string {
	name = strings.TrimSuffix(strings.ToLower(name), ".")
	if inner, found := strings.CutPrefix(name, "["); found {
		name = strings.TrimSuffix(inner, "]")
	}
	return name
}

func withoutPort(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		return name
	}
	return host
}
