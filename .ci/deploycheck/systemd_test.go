package deploycheck

import (
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

const unit = "deploy/systemd/convdel.service"

// directives are the lines of a unit, by section and name.
func directives(text string) map[string][]string {
	all, section := map[string][]string{}, ""
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "["):
			section = line
		case line != "" && !strings.HasPrefix(line, "#"):
			name, value, _ := strings.Cut(line, "=")
			all[section+name] = append(all[section+name], value)
		}
	}
	return all
}

// TestSystemdUnit: it starts the service with settings that there are, gives a stop the time that it needs, leaves out nothing of the
// hardening, and systemd itself accepts it where it is installed.
func TestSystemdUnit(t *testing.T) {
	text := read(t, unit)
	all := directives(text)
	service := func(name string) string { return strings.Join(all["[Service]"+name], " ") }
	settings := env(t, read(t, "deploy/systemd/convdel.env"))
	for _, setting := range strings.Fields(service("Environment")) {
		name, value, _ := strings.Cut(setting, "=")
		settings[name] = strings.NewReplacer("%d", "/credentials", "%H", "host.example").Replace(value)
	}
	wantSettings(t, unit, settings)
	if got := settings["CONVDEL_INSTANCE_ID"]; got != "host.example" {
		t.Errorf("the instance ID is %q, not the host's name", got)
	}
	grace, err := time.ParseDuration(service("TimeoutStopSec"))
	if err != nil {
		t.Error(err)
	}
	wantGrace(t, grace, settings)
	for name, want := range map[string]string{
		"ExecStart": "/usr/local/bin/convdel run", "RestartPreventExitStatus": "2", "DynamicUser": "yes", "NoNewPrivileges": "yes",
		"CapabilityBoundingSet": "", "ProtectSystem": "strict", "MemoryDenyWriteExecute": "yes", "RestrictAddressFamilies": "AF_INET AF_INET6",
		"SystemCallFilter": "@system-service ~@privileged @resources", "PrivateDevices": "yes", "ProtectHome": "yes", "KillMode": "mixed",
	} {
		if _, set := all["[Service]"+name]; !set || service(name) != want {
			t.Errorf("%s=%q, want %q", name, service(name), want)
		}
	}
	credential, _, _ := strings.Cut(service("LoadCredential"), ":")
	if settings["CONVDEL_IM_SECRET_KEY_FILE"] != "/credentials/"+credential {
		t.Errorf("the key is read from %s, the credential is %s", settings["CONVDEL_IM_SECRET_KEY_FILE"], credential)
	}
	start(t, settings, "/credentials")

	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Log("systemd is not installed: it has not checked the unit")
		return
	}
	// verify wants the program to be there.
	local := filepath.Join(t.TempDir(), filepath.Base(unit))
	write(t, local, strings.ReplaceAll(text, "/usr/local/bin/convdel", binary(t)))
	for _, arguments := range [][]string{{"verify"}, {"security", "--offline=true", "--threshold=20", "--no-pager"}} {
		if output, err := exec.Command(analyze, append(slices.Clone(arguments), local)...).CombinedOutput(); err != nil || arguments[0] == "verify" && len(output) > 0 {
			t.Errorf("systemd-analyze %s: %v\n%s", arguments[0], err, output)
		}
	}
}
