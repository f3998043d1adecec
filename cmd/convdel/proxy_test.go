package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// TestProxyThatDoesNotParse: the process ends with status 2 and one line that names the variable, and shows nothing of its value.
func TestProxyThatDoesNotParse(t *testing.T) {
	t.Parallel()
	for _, variable := range []string{"HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "ALL_PROXY", "no_proxy"} {
		value := "htp://user:" + testPassword + "@proxy:3128"
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		p := exec.CommandContext(ctx, os.Args[0], "run", "--brokers=127.0.0.1:1", "--im-sdkappid=1400000001", "--admin-addr=")
		p.Env = []string{asProcess + "=1", "CONVDEL_IM_SECRET_KEY=" + testSecretKey, variable + "=" + value}
		out, err := p.CombinedOutput()
		cancel()
		exit, ok := errors.AsType[*exec.ExitError](err)
		if !ok || exit.ExitCode() != exitUsage || strings.Count(string(out), "\n") != 1 || !strings.Contains(string(out), variable+": ") {
			t.Errorf("%s: %v: %s", variable, err, out)
		}
		noSecrets(t, string(out))
	}
}
