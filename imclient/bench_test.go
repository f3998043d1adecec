package imclient_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"runtime"
	"strconv"
	"testing"

	"github.com/tencentyun/tls-sig-api-v2-golang/tencentyun"

	"convdel/imclient"
	"convdel/imclient/imtest"
)

const benchGoroutines = 64

func benchSim(b *testing.B) *imtest.Server {
	b.Helper()
	cfg := simConfig()
	cfg.RecordLimit = -1
	sim, err := imtest.Start(cfg)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(sim.Close)
	return sim
}

func reportRate(b *testing.B, sim *imtest.Server) {
	b.Helper()
	if deletes := sim.Stats().Deletes; deletes != b.N {
		b.Fatalf("%d of %d calls deleted", deletes, b.N)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "calls/s")
}

// BenchmarkDeleteConversation is to be compared with BenchmarkBareLoop.
func BenchmarkDeleteConversation(b *testing.B) {
	for name, sent := range map[string]func(){"plain": nil, "sent": func() {}} {
		b.Run(name, func(b *testing.B) {
			sim := benchSim(b)
			client := newClient(b, sim.URL, nil)
			r := request
			r.Sent = sent
			b.SetParallelism(benchGoroutines / runtime.GOMAXPROCS(0))
			b.ReportAllocs()
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if err := client.DeleteConversation(b.Context(), r); err != nil {
						b.Error(err)
						return
					}
				}
			})
			reportRate(b, sim)
		})
	}
}

// BenchmarkBareLoop does the least that a Go program can do to make the same calls: net/http with enough idle connections,
// one signature for all, the answer read and decoded.
func BenchmarkBareLoop(b *testing.B) {
	sim := benchSim(b)
	sig, err := tencentyun.GenUserSig(appID, secretKey, identifier, 86400)
	if err != nil {
		b.Fatal(err)
	}
	transport := &http.Transport{MaxIdleConnsPerHost: benchGoroutines}
	b.Cleanup(transport.CloseIdleConnections)
	client := &http.Client{Transport: transport}
	target := sim.URL + "/v4/recentcontact/delete?contenttype=json&sdkappid=" + strconv.Itoa(appID) +
		"&identifier=" + identifier + "&usersig=" + url.QueryEscape(sig) + "&random=1"
	body := []byte(`{"From_Account":"id1","Type":1,"To_Account":"id2","ClearRamble":1}`)
	post := func() bool {
		resp, err := client.Post(target, "application/json", bytes.NewReader(body))
		if err != nil {
			b.Error(err)
			return false
		}
		defer func() { _ = resp.Body.Close() }()
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			b.Error(err)
			return false
		}
		var answer struct{ ErrorCode int }
		return json.Unmarshal(text, &answer) == nil && answer.ErrorCode == 0
	}
	b.SetParallelism(benchGoroutines / runtime.GOMAXPROCS(0))
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if !post() {
				b.Error("call failed")
				return
			}
		}
	})
	reportRate(b, sim)
}

// BenchmarkBody encodes a request's body, which is done by hand.
func BenchmarkBody(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		_ = imclient.BodyOf(request)
	}
}
