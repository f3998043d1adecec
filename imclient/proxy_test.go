package imclient_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"convdel/imclient"
)

// proxyChild is set in the processes that TestProxyFromEnvironment starts. net/http reads the environment once, so each
// setting needs a process of its own.
const proxyChild = "IMCLIENT_TEST_PROXY_CHILD"

// callThroughProxy runs in such a process. It calls a host that exists only behind a proxy.
func callThroughProxy() {
	client, err := imclient.New(imclient.Config{
		Endpoint: "http://im.invalid", Insecure: true, SDKAppID: appID, Identifier: identifier, SecretKey: imclient.StaticKey(secretKey),
	})
	if err == nil {
		err = client.DeleteConversation(context.Background(), request)
	}
	_, _ = fmt.Fprintln(os.Stdout, "result:", err)
}

func TestProxyFromEnvironment(t *testing.T) {
	t.Parallel()
	sim, _ := startSim(t, simConfig())
	for _, tt := range []struct {
		setting, result string
		calls           int
	}{
		{"HTTP_PROXY=" + sim.URL, "result: <nil>", 1},
		{"HTTP_PROXY=" + strings.Replace(sim.URL, "//", "//user:hunter2@", 1), "result: <nil>", 1},
		{
			"HTTP_PROXY=http://user:hunter2@[broken",
			`result: HTTP_PROXY: "(not shown)": want the URL of a proxy, such as http://proxy.internal:3128`, 0,
		},
	} {
		sim.Reset()
		child := exec.CommandContext(t.Context(), os.Args[0])
		child.Env = []string{proxyChild + "=1", tt.setting}
		out, err := child.CombinedOutput()
		if err != nil || !strings.HasPrefix(string(out), tt.result) {
			t.Errorf("%s: got %v\n%s", tt.setting, err, out)
		}
		if calls := sim.Stats().Deletes; calls != tt.calls {
			t.Errorf("%s: %d calls at the proxy, want %d", tt.setting, calls, tt.calls)
		}
	}
}
