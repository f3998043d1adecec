package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"convdel/internal/check"
)

// TestPromise10_MisspeltVariable: a variable that looks like a setting and is none stops each command, and the nearest setting is named.
func TestPromise10_MisspeltVariable(t *testing.T) {
	t.Parallel()
	for name, like := range map[string]string{
		"CONVDEL_CALLS_PER_SEC":       "CONVDEL_CALLS_PER_SECOND",
		"CONVDEL_CALL_PER_SECOND":     "CONVDEL_CALLS_PER_SECOND",
		"CONVDEL_CALLSPERSECOND":      "CONVDEL_CALLS_PER_SECOND",
		"CONVDEL_BROKER":              "CONVDEL_BROKERS",
		"CONVDEL_BORKERS":             "CONVDEL_BROKERS",
		"CONVDEL_KAFKA_BROKERS":       "CONVDEL_BROKERS",
		"CONVDEL_KAFKA_USERNAM":       "CONVDEL_KAFKA_USERNAME",
		"CONVDEL_KAFKA_USER":          "CONVDEL_KAFKA_USERNAME",
		"CONVDEL_KAFKA_PASS":          "CONVDEL_KAFKA_PASSWORD",
		"CONVDEL_KAFKA_PASWORD":       "CONVDEL_KAFKA_PASSWORD",
		"CONVDEL_KAFKA_PASSWORDFILE":  "CONVDEL_KAFKA_PASSWORD_FILE",
		"CONVDEL_SECRET_KEY":          "CONVDEL_IM_SECRET_KEY",
		"CONVDEL_IM_SECRETKEY_FILE":   "CONVDEL_IM_SECRET_KEY_FILE",
		"CONVDEL_REDIS_URI":           "CONVDEL_REDIS_URL",
		"CONVDEL_ADMIN_PORT":          "CONVDEL_ADMIN_HOSTS",
		"CONVDEL_LOGLEVEL":            "CONVDEL_LOG_LEVEL",
		"convdel_topic":               "CONVDEL_TOPIC",
		"Convdel_Topic":               "CONVDEL_TOPIC",
		"CONVDEL-TOPIC":               "CONVDEL_TOPIC",
		"CONVDEL_DEAD.LETTER.TOPIC":   "CONVDEL_DEAD_LETTER_TOPIC",
		"CONVDEL_IM_SDKAPPID_":        "CONVDEL_IM_SDKAPPID",
		"CONVDEL_DEADLETTER_TOPIC":    "CONVDEL_DEAD_LETTER_TOPIC",
		"CONVDEL_QUOTA_SERVICE_HOSTS": "CONVDEL_QUOTA",
	} {
		run := invoke(t, environment{name: testPassword, "CONVDEL_TOPIC": "t"}, "", "version")
		if run.status != exitUsage || run.stdout != "" || strings.Count(run.stderr, "\n") != 1 {
			t.Errorf("%s: status %d, %q %q", name, run.status, run.stdout, run.stderr)
		}
		if name != "CONVDEL_QUOTA_SERVICE_HOSTS" && !strings.HasSuffix(run.stderr, ": did you mean "+like+"?\n") || !strings.HasPrefix(run.stderr, "convdel: "+name+" is set: ") {
			t.Errorf("%s: %s", name, run.stderr)
		}
	}
	for _, command := range model(t).Leaves(true) {
		args := strings.Fields(command.Path())
		if len(command.Positional) > 0 {
			args = append(args, "id")
		}
		if command.Name == "check" { // it says the same in its report, and goes on
			_, rows := checkup(t, required().with(environment{
				"CONVDEL_CALLS_PER_SEC": "50", "CONVDEL_X": "", "CONVDEL_BROKERS": "127.0.0.1:1", "CONVDEL_IM_ENDPOINT": "http://127.0.0.1:1",
			}))
			if row := rows[check.Settings]; row.OK || !strings.Contains(row.Detail, "CONVDEL_CALLS_PER_SEC is set: must be the variable of a setting, "+
				"and no setting has this one: did you mean CONVDEL_CALLS_PER_SECOND?; CONVDEL_X is set: ") {
				t.Errorf("%+v", row)
			}
			continue
		}
		run := invoke(t, required().with(environment{"CONVDEL_CALLS_PER_SEC": "50", "CONVDEL_X": ""}), "", args...)
		if run.status != exitUsage || run.stdout != "" || run.stderr != "convdel: CONVDEL_CALLS_PER_SEC is set: must be the variable of a setting, "+
			"and no setting has this one: did you mean CONVDEL_CALLS_PER_SECOND?\n"+
			"convdel: CONVDEL_X is set: must be the variable of a setting, and no setting has this one: see \"convdel run -h\"\n" {
			t.Errorf("%v: status %d, %s%s", args, run.status, run.stdout, run.stderr)
		}
		if help := invoke(t, environment{"CONVDEL_X": ""}, "", append(args, "-h")...); help.status != exitDone {
			t.Errorf("%v -h: status %d", args, help.status)
		}
	}
}

// TestKnownVariables: the settings of all commands, what Kubernetes sets for Services of that name, and other programs' variables
// stop no command.
func TestKnownVariables(t *testing.T) {
	t.Parallel()
	env := environment{
		"CONVDEL": "x", "CONVDELETE_TOPIC": "x", "XCONVDEL_TOPIC": "x", "IM_SECRET_KEY": "x", "CONV_DEL_TOPIC": "x", "": "x",
		"CONVDEL_SERVICE_HOST": "10.0.0.7", "CONVDEL_SERVICE_PORT": "8080", "CONVDEL_SERVICE_PORT_ADMIN": "8080",
		"CONVDEL_SERVICE_PORT_HTTP_ADMIN": "8080", "CONVDEL_PORT": "tcp://10.0.0.7:8080", "CONVDEL_PORT_8080_TCP": "tcp://10.0.0.7:8080",
		"CONVDEL_PORT_8080_TCP_PROTO": "tcp", "CONVDEL_PORT_8080_TCP_PORT": "8080", "CONVDEL_PORT_8080_TCP_ADDR": "10.0.0.7",
		"CONVDEL_PORT_53_UDP": "udp://10.0.0.7:53", "CONVDEL_PORT_9_SCTP_ADDR": "10.0.0.7",
		"CONVDEL_ADMIN_SERVICE_HOST": "fd00::7", "CONVDEL_ADMIN_SERVICE_PORT": "8080", "CONVDEL_ADMIN_SERVICE_PORT_HTTP": "8080",
		"CONVDEL_ADMIN_PORT": "tcp://[fd00::7]:8080", "CONVDEL_ADMIN_PORT_8080_TCP": "tcp://[fd00::7]:8080",
		"CONVDEL_ADMIN_PORT_8080_TCP_PROTO": "tcp", "CONVDEL_RUN_2_PORT_1_TCP_PORT": "1",
	}
	for _, name := range knownVariables(model(t)) {
		env[name] = "x"
	}
	if run := invoke(t, env, "", "version"); run.status != exitDone {
		t.Error(run.stderr)
	}
	for _, name := range []string{
		"CONVDEL_SERVICE", "CONVDEL_SERVICE_HOSTNAME", "CONVDEL_ADMIN_PORT", "CONVDEL_PORT_TCP", "CONVDEL_PORT_8080", "CONVDEL_PORT_8080_QUIC", "CONVDEL_PORT_8080_TCP_HOST",
		"convdel_service_host", "CONVDEL_", "CONVDEL__PORT",
	} {
		if run := invoke(t, environment{name: "9090"}, "", "version"); run.status != exitUsage {
			t.Errorf("%s: status %d", name, run.status)
		}
	}
}

// TestEverySettingIsKnown: each variable that any command's help names is known.
func TestEverySettingIsKnown(t *testing.T) {
	t.Parallel()
	known := knownVariables(model(t))
	for _, command := range model(t).Leaves(true) {
		help := invoke(t, nil, "", append(strings.Fields(command.Path()), "-h")...).stdout
		for word := range strings.FieldsSeq(help) {
			if name, found := strings.CutPrefix(strings.TrimRight(word, ".,"), "$"); found && !slices.Contains(known, name) {
				t.Errorf("%s -h names %s, which is not known", command.Path(), name)
			}
		}
	}
	if len(known) < 30 || !slices.Contains(known, "CONVDEL_REDIS_URL_FILE") {
		t.Errorf("known are %q", known)
	}
}

// TestNearest: a slip in a setting's name is found out.
func TestNearest(t *testing.T) {
	t.Parallel()
	known := knownVariables(model(t))
	rapid.Check(t, func(t *rapid.T) {
		name := []byte(rapid.SampledFrom(known).Draw(t, "name"))
		at := rapid.IntRange(len(envPrefix), len(name)-2).Draw(t, "at")
		slip := slices.Clone(name)
		switch rapid.IntRange(0, 3).Draw(t, "slip") {
		case 0:
			slip = slices.Delete(slip, at, at+1)
		case 1:
			slip = slices.Insert(slip, at, 'X')
		case 2:
			slip[at] = 'X'
		case 3:
			slip[at], slip[at+1] = slip[at+1], slip[at]
		}
		if d := editDistance(string(slip), string(name)); d > 1 || editDistance(string(name), string(slip)) != d || d == 0 && string(slip) != string(name) {
			t.Fatalf("%s is %d from %s", slip, d, name)
		}
		got := nearest(string(slip), known)
		if editDistance(string(slip), got) > 1 {
			t.Fatalf("%s is taken for %s, not for %s", slip, got, name)
		}
	})
}

// TestDocumentsNameRealVariables: no document, Makefile or script tells to set a variable that stops convdel.
func TestDocumentsNameRealVariables(t *testing.T) {
	t.Parallel()
	known := knownVariables(model(t))
	var files []string
	for _, pattern := range []string{"*.md", "docs/*.md", "Makefile", "*.yml", "deploy/*/*", "deploy/*/*/*", "deploy/*/*/*/*", ".ci/run", ".ci/*/*.sh", "test/*/*.go"} {
		found, err := filepath.Glob("../../" + pattern)
		if err != nil || len(found) == 0 {
			t.Fatalf("no %s: %v", pattern, err)
		}
		files = append(files, found...)
	}
	for _, path := range files {
		if filepath.Base(path) == "CHANGELOG.md" { // names what is no more
			continue
		}
		if entry, err := os.Stat(path); err == nil && entry.IsDir() {
			continue
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range regexp.MustCompile(`\bCONVDEL_[A-Z][A-Z_]*[A-Z]\b`).FindAllString(string(text), -1) {
			if !slices.Contains(known, name) && !fromKubernetes.MatchString(name+"=tcp://") {
				t.Errorf("%s names %s, which is no setting", path, name)
			}
		}
	}
}
