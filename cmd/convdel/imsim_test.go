package main

import (
	"regexp"
	"strings"
	"testing"

	"convdel/imclient"
)

func TestImsim(t *testing.T) {
	t.Parallel()
	env := environment{"CONVDEL_IM_SDKAPPID": "7", "CONVDEL_IM_SECRET_KEY": testSecretKey}
	p := start(t, env, nil, "imsim", "--addr", "127.0.0.1:0", "--control-addr", "", "--latency-min", "0", "--latency-max", "0", "--stats-every", "10ms")
	var url string
	await(t, "the simulator says where it is", func() bool {
		url = regexp.MustCompile(`http://\S+`).FindString(p.stdout.String())
		return url != ""
	})
	if !strings.Contains(p.stdout.String(), "app 7, administrator administrator, quota 200 calls/s") || !strings.Contains(p.stdout.String(), "code-50001") {
		t.Errorf("stdout %q", p.stdout.String())
	}
	client, err := imclient.New(imclient.Config{Endpoint: url, SDKAppID: 7, Identifier: "administrator", SecretKey: imclient.StaticKey(testSecretKey)})
	if err != nil {
		t.Fatal(err)
	}
	defer client.CloseIdleConnections()
	for from, ok := range map[string]bool{"alice": true, "code-50001-alice": false} {
		if err := client.DeleteConversation(t.Context(), imclient.DeleteRequest{From: from, Type: imclient.C2C, To: "bob"}); (err == nil) != ok {
			t.Errorf("%s: %v", from, err)
		}
	}
	await(t, "a line of figures", func() bool { return strings.Contains(p.stdout.String(), " 2 calls (") })
	if status := p.end(); status != exitDone || !strings.Contains(p.stdout.String(), "\n2 calls, 1 deletes, 0 throttled; at most 2 calls in one second") {
		t.Errorf("status %d, stdout %q", status, p.stdout.String())
	}
}

func TestImsimWrongSettings(t *testing.T) {
	t.Parallel()
	run := invoke(t, nil, "", "imsim", "--addr", "here", "--quota=-1", "--latency-min=2s", "--latency-max=1s", "--stats-every=x", "--im-identifier=")
	if run.status != exitUsage {
		t.Errorf("status %d", run.status)
	}
	for _, want := range []string{
		"--addr is \"here\": ", "--quota is \"-1\": ", "must be at least --latency-min", "--stats-every", "--im-identifier", "--im-sdkappid", "CONVDEL_IM_SECRET_KEY is missing",
	} {
		if !strings.Contains(run.stderr, want) {
			t.Errorf("stderr lacks %q:\n%s", want, run.stderr)
		}
	}
	// CONVDEL_QUOTA is a word for `run`. imsim must not take it for its number of calls.
	env := environment{"CONVDEL_QUOTA": "local", "CONVDEL_IM_SDKAPPID": "7", "CONVDEL_IM_SECRET_KEY": testSecretKey}
	if run := invoke(t, env, "", "imsim", "--addr", "127.0.0.1:99999"); strings.Contains(run.stderr, "quota") {
		t.Errorf("stderr %q", run.stderr)
	}
}
