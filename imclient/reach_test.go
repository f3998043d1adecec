package imclient_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"convdel/imclient"
	"convdel/imclient/imtest"
)

func reaching(t *testing.T, endpoint string) *imclient.Client {
	t.Helper()
	client, err := imclient.New(imclient.Config{Endpoint: endpoint, SDKAppID: 1, Identifier: "none", SecretKey: imclient.StaticKey("none")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.CloseIdleConnections)
	return client
}

// TestReach: the API answers a request without a signature, by which it is known, and its clock.
func TestReach(t *testing.T) {
	t.Parallel()
	sim, err := imtest.Start(imtest.Config{SDKAppID: 1400000000, Identifier: "administrator", SecretKey: "key"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sim.Close)
	for _, skew := range []time.Duration{0, time.Hour, -time.Hour} {
		sim.SetClockSkew(skew)
		found, err := reaching(t, sim.URL).Reach(t.Context())
		if err != nil || !found.API || found.Code != 60012 || found.HTTPStatus != http.StatusOK || !found.Dated {
			t.Fatalf("%+v, %v", found, err)
		}
		if off := found.Ahead + skew; off.Abs() > 5*time.Second {
			t.Errorf("skew %s: ahead %s", skew, found.Ahead)
		}
	}
	if stats := sim.Stats(); stats.Calls != 0 {
		t.Errorf("%d deletes", stats.Calls)
	}
}

// TestReach_Others: what is not the API is told from it, and nothing that could be secret is sent.
func TestReach_Others(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		answer func(w http.ResponseWriter)
		want   imclient.Reached
	}{
		{"a page", func(w http.ResponseWriter) { _, _ = w.Write([]byte("<html>")) }, imclient.Reached{HTTPStatus: 200, Dated: true}},
		{"not found", func(w http.ResponseWriter) { w.WriteHeader(http.StatusNotFound) }, imclient.Reached{HTTPStatus: 404, Dated: true}},
		{"no date", func(w http.ResponseWriter) {
			w.Header()["Date"] = nil
			_, _ = w.Write([]byte(`{"ActionStatus":"FAIL","ErrorCode":60021,"ErrorInfo":"ip"}`))
		}, imclient.Reached{HTTPStatus: 200, API: true, Code: 60021, Info: "ip"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Query().Has("usersig") || r.URL.Query().Has("sdkappid") || r.URL.Path != "/v4/recentcontact/get_list" {
					t.Errorf("asked for %s", r.URL)
				}
				c.answer(w)
			}))
			t.Cleanup(server.Close)
			found, err := reaching(t, server.URL).Reach(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			got := *found
			got.Took, got.Ahead = 0, 0
			if got != c.want {
				t.Errorf("%+v, want %+v", got, c.want)
			}
		})
	}
	_, err := reaching(t, "http://127.0.0.1:1").Reach(t.Context())
	if _, ok := errors.AsType[*imclient.NetworkError](err); !ok {
		t.Error(err)
	}
}

// TestSignature: a signature is made without a call; without a key there is none.
func TestSignature(t *testing.T) {
	t.Parallel()
	expires, err := reaching(t, "http://127.0.0.1:1").Signature(t.Context())
	if left := time.Until(expires); err != nil || left < 23*time.Hour || left > 25*time.Hour {
		t.Errorf("%s, %v", expires, err)
	}
	client, err := imclient.New(imclient.Config{Endpoint: "http://127.0.0.1:1", SDKAppID: 1, Identifier: "none", SecretKey: imclient.KeyFile("/no/such/file")})
	if err != nil {
		t.Fatal(err)
	}
	_, err = client.Signature(t.Context())
	if _, ok := errors.AsType[*imclient.KeyError](err); !ok {
		t.Error(err)
	}
}

// TestRegions: the vendor's hosts are known in any spelling that means them.
func TestRegions(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]string{
		"console.tim.qq.com": "China", "CONSOLE.tim.qq.com.": "China", "adminapiger.im.qcloud.com": "Frankfurt", "im.qcloud.com": "", "": "",
		"console.tim.qq.com.example.org": "",
	} {
		if got := imclient.RegionOf(host); got != want {
			t.Errorf("%s: %q, want %q", host, got, want)
		}
	}
}
