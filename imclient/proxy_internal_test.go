package imclient

import (
	"errors"
	"net/url"
	"strings"
	"testing"
)

const proxyPassword = "hunter2-9f3c"

// proxies returns what the environment makes of an endpoint: a proxy's URL without its password, "direct", or the refused variable.
func proxies(t *testing.T, endpoint string, env map[string]string) string {
	t.Helper()
	u, err := url.Parse(endpoint)
	if err != nil {
		t.Fatal(err)
	}
	proxy, err := proxyFor(u, func(name string) string { return env[name] })
	if err != nil {
		if strings.Contains(err.Error(), proxyPassword) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%v: shown: %v", env, err)
		}
		setting, ok := errors.AsType[*ConfigError](err)
		if !ok {
			t.Fatalf("%v: %v", env, err)
		}
		return "refused: " + setting.Setting
	}
	if proxy == nil {
		return "direct"
	}
	return proxy.Redacted()
}

// TestProxiesThatDoNotParse are refused by the variable's name, never passed over.
func TestProxiesThatDoNotParse(t *testing.T) {
	t.Parallel()
	urls := []string{
		"htp://proxy:3128", "ftp://proxy", "://proxy", "//proxy:3128", "http:///", "http://", "http:proxy:3128", "http//proxy:3128",
		"http://:3128", ":3128", "proxy:", "http://proxy:", "http://proxy:port", "http://proxy:0", "http://proxy:65536", "http://proxy:-1",
		"http://user:" + proxyPassword + "@[broken", "http://user:" + proxyPassword + "@", "user:" + proxyPassword + "/x@proxy:3128",
		"http://user:" + proxyPassword + "#x@proxy:3128", "http://pro xy:3128", "http://proxy:3128 ", " ", "proxy;3128", "none", "http://proxy,other:3128",
		"http://proxy:3128/" + proxyPassword, "http://proxy:3128?x", "http://proxy:3128#x", "http://%zz", "http://[::1", "socks4://proxy:1080",
		"http://proxy\n:3128", "http://pro\x00xy", `"http://proxy:3128"`, "http://http://proxy:3128", "direct://", "{}",
	}
	for _, name := range []string{"HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"} {
		for _, value := range urls {
			if value == "none" { // a host's name like any other
				continue
			}
			if got := proxies(t, "https://console.tim.qq.com", map[string]string{name: value}); got != "refused: "+name {
				t.Errorf("%s=%q: %s", name, value, got)
			}
		}
	}
	for _, value := range []string{
		"10.0.0.0/33", "10.0.0.0/x", "host:port", "http://host", "a b", "a;b", "*.*", "**", "[::1", ":80", "ho/st", "host:0", "host:70000", "a,b c,d", "{}",
	} {
		for _, name := range []string{"NO_PROXY", "no_proxy"} {
			if got := proxies(t, "https://console.tim.qq.com", map[string]string{name: value}); got != "refused: "+name {
				t.Errorf("%s=%q: %s", name, value, got)
			}
		}
	}
	// A broken one behind a good one is refused as well, and on this machine nothing is asked.
	env := map[string]string{"HTTPS_PROXY": "http://proxy:3128", "https_proxy": "htp://proxy"}
	if got := proxies(t, "https://console.tim.qq.com", env); got != "refused: https_proxy" {
		t.Errorf("%v: %s", env, got)
	}
	if got := proxies(t, "http://127.0.0.1:8090", env); got != "direct" {
		t.Errorf("on this machine, %v: %s", env, got)
	}
}

func TestProxies(t *testing.T) {
	t.Parallel()
	const vendor = "https://console.tim.qq.com"
	for _, tt := range []struct {
		endpoint string
		env      map[string]string
		want     string
	}{
		{vendor, nil, "direct"},
		{vendor, map[string]string{"HTTPS_PROXY": "http://proxy:3128"}, "http://proxy:3128"},
		{vendor, map[string]string{"https_proxy": "proxy:3128"}, "http://proxy:3128"},
		{vendor, map[string]string{"HTTPS_PROXY": "proxy"}, "http://proxy"},
		{vendor, map[string]string{"HTTPS_PROXY": "http://u:" + proxyPassword + "@proxy:3128/"}, "http://u:xxxxx@proxy:3128/"},
		{vendor, map[string]string{"HTTPS_PROXY": "https://10.1.2.3"}, "https://10.1.2.3"},
		{vendor, map[string]string{"HTTPS_PROXY": "http://[fd00::1]:3128"}, "http://[fd00::1]:3128"},
		{vendor, map[string]string{"HTTPS_PROXY": "socks5://proxy:1080"}, "socks5://proxy:1080"},
		{vendor, map[string]string{"HTTPS_PROXY": "HTTP://Proxy:3128"}, "http://Proxy:3128"},
		{vendor, map[string]string{"HTTP_PROXY": "http://proxy:3128"}, "direct"},
		{vendor, map[string]string{"ALL_PROXY": "socks5h://proxy:1080"}, "socks5h://proxy:1080"},
		{vendor, map[string]string{"all_proxy": "http://all", "HTTPS_PROXY": "http://proxy"}, "http://proxy"},
		{vendor, map[string]string{"HTTPS_PROXY": "http://proxy", "NO_PROXY": "*"}, "direct"},
		{vendor, map[string]string{"HTTPS_PROXY": "http://proxy", "NO_PROXY": "localhost, .qq.com"}, "direct"},
		{vendor, map[string]string{"ALL_PROXY": "http://proxy", "no_proxy": "*.tim.qq.com:443"}, "direct"},
		{vendor, map[string]string{"HTTPS_PROXY": "http://proxy", "NO_PROXY": "10.0.0.0/8,127.0.0.1,::1,[fd00::1]:443,svc,.cluster.local,,host:8080"}, "http://proxy"},
		{"http://10.1.1.1", map[string]string{"HTTP_PROXY": "http://proxy", "HTTPS_PROXY": "http://other"}, "http://proxy"},
		{"http://10.1.1.1", map[string]string{"HTTP_PROXY": "http://proxy", "NO_PROXY": "10.0.0.0/8"}, "direct"},
	} {
		if got := proxies(t, tt.endpoint, tt.env); got != tt.want {
			t.Errorf("%s, %v: %s, want %s", tt.endpoint, tt.env, got, tt.want)
		}
	}
}
