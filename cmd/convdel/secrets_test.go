package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// secretCase is a way to set all three secrets of run. want is in the error of each, empty for none.
type secretCase struct{ text, want string }

// TestPromise9_SecretsThatCannotBeRight: what no secret can be is refused by the variable's name and with the reason, from a
// variable and from a file alike. No error shows it.
func TestPromise9_SecretsThatCannotBeRight(t *testing.T) {
	t.Parallel()
	args := []string{"--quota=redis", "--kafka-sasl=plain", "--kafka-username=u", "--kafka-tls"}
	for _, c := range []secretCase{
		{testSecretKey + "\n", ""},
		{testSecretKey + "\r\n", ""},
		{`"` + testSecretKey + `"`, "quotes"},
		{"'" + testSecretKey + "'\n", "quotes"},
		{"\ufeff" + testSecretKey, "byte order mark"},
		{"\xff\xfe" + testSecretKey, "byte order mark"},
		{strings.Join(strings.Split(testSecretKey, ""), "\x00"), "UTF-16"},
		{testSecretKey + "\n" + testPassword, "several lines"},
		{testSecretKey + "\x07", "does not print"},
		{strings.Repeat(testSecretKey, 400), "larger than 4096 bytes"},
	} {
		inVariables, inFiles := required(), required()
		delete(inFiles, string(imSecretKey))
		for _, name := range []secretName{imSecretKey, kafkaPassword, redisURL} {
			text := c.text
			if name == redisURL && c.want == "" {
				text = "redis://" + text
			}
			path := filepath.Join(t.TempDir(), "secret")
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			inVariables[string(name)], inFiles[name.file()] = text, path
		}
		_, fromVariables := checked(t, inVariables, args...)
		_, fromFiles := checked(t, inFiles, args...)
		if c.want == "" {
			if fromVariables != nil || fromFiles != nil {
				t.Errorf("%.30q: refused: %q, %q", c.text, fromVariables, fromFiles)
			}
			continue
		}
		for _, name := range []secretName{imSecretKey, kafkaPassword, redisURL} {
			wantProblem(t, fromVariables, string(name)+" is wrong: ", c.want)
			wantProblem(t, fromFiles, name.file()+" is ", c.want)
		}
	}
}

// wantProblem looks for one line that begins with a text and contains another.
func wantProblem(t *testing.T, problems []string, begins, contains string) {
	t.Helper()
	n := 0
	for _, line := range problems {
		if strings.HasPrefix(line, begins) && strings.Contains(line, contains) {
			n++
		}
	}
	if n != 1 {
		t.Errorf("%d lines begin with %q and contain %q: %q", n, begins, contains, problems)
	}
}

// TestSecretsComeFromRegularFiles: no pipe holds up the start, no device fills the memory.
func TestSecretsComeFromRegularFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{pipe: "a pipe", "/dev/zero": "a device", dir: "a directory", filepath.Join(dir, "absent"): "no such file"} {
		env := required().with(environment{imSecretKey.file(): path})
		delete(env, string(imSecretKey))
		run := invoke(t, env, "", "run")
		if run.status != exitUsage || !strings.HasPrefix(run.stderr, "convdel: CONVDEL_IM_SECRET_KEY_FILE is ") || !strings.Contains(run.stderr, want) {
			t.Errorf("%s: status %d, stderr %q, want %q", path, run.status, run.stderr, want)
		}
	}
}

// TestSecretFileThatOthersMayRead: a warning names the file and its mode. What a group may read under Kubernetes is fine.
func TestSecretFileThatOthersMayRead(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte(testSecretKey), 0o600); err != nil {
		t.Fatal(err)
	}
	env := required().with(environment{imSecretKey.file(): path})
	delete(env, string(imSecretKey))
	for mode, want := range map[os.FileMode]string{0o600: "", 0o440: "", 0o644: "mode 0644"} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		cfg, problems := checked(t, env)
		got := strings.Join(cfg.Warnings, "\n")
		if problems != nil || (got == "") != (want == "") || !strings.Contains(got, want) || want != "" && !strings.Contains(got, path) {
			t.Errorf("%o: warnings %q, problems %q, want %q", mode, got, problems, want)
		}
	}
}

// TestLastGoodKeyIsKept: a key file that turns bad right after the start leaves the client with the key that the start has read.
func TestLastGoodKeyIsKept(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte(testSecretKey), 0o600); err != nil {
		t.Fatal(err)
	}
	env := required().with(environment{imSecretKey.file(): path})
	delete(env, string(imSecretKey))
	cfg, problems := checked(t, env)
	if problems != nil || len(cfg.SecretFiles) != 1 {
		t.Fatalf("problems %q, files %v", problems, cfg.SecretFiles)
	}
	if err := cfg.SecretFiles[0].Check(); err != nil {
		t.Error(err)
	}
	if err := os.WriteFile(path, []byte("two\nlines"), 0o600); err != nil {
		t.Fatal(err)
	}
	if key, err := cfg.IM.SecretKey.Key(); key != testSecretKey || err != nil {
		t.Errorf("key %d bytes long, error %v, want the last good key", len(key), err)
	}
	if err := cfg.SecretFiles[0].Check(); err == nil || !strings.Contains(err.Error(), "several lines") {
		t.Errorf("the file is bad: %v", err)
	}
}
