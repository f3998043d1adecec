package imclient_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"convdel/imclient"
)

func TestStaticKey(t *testing.T) {
	t.Parallel()
	if key, err := imclient.StaticKey(" abc\r\n").Key(); key != "abc" || err != nil {
		t.Errorf("got %q, %v", key, err)
	}
	if key, err := imclient.StaticKey(" \n").Key(); key != "" || err == nil {
		t.Errorf("empty: got %q, %v", key, err)
	}
}

func TestKeyFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "key")
	source := imclient.KeyFile(path)
	if _, err := source.Key(); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), path) {
		t.Errorf("no file: %v", err)
	}
	now := time.Now()
	check := func(content string, age time.Duration, want string) {
		t.Helper()
		if want == "" {
			source = imclient.KeyFile(path) // one that remembers no good key
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		at := now.Add(-age)
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
		key, err := source.Key()
		if key != want || (err != nil) != (want == "") {
			t.Errorf("%.20q: got %q, %v", content, key, err)
		}
	}
	check("first\n", 9*time.Hour, "first")
	check("other\r\n\n", 8*time.Hour, "other")
	check("third", 7*time.Hour, "third")
	check("fifth", 6*time.Hour, "fifth")   // Same size, other time.
	check("larger", 6*time.Hour, "larger") // Same time, other size.
	check("", 5*time.Hour, "")
	check(" \n", 5*time.Hour, "")
	check(strings.Repeat("x", 5000), 4*time.Hour, "")
	check("sixth", 3*time.Hour, "sixth")

	// Kubernetes and careful scripts replace a file with another one of the same name, even with the same time.
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	next := path + ".next"
	if err := os.WriteFile(next, []byte("eight"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Chtimes(next, info.ModTime(), info.ModTime()), os.Rename(next, path)); err != nil {
		t.Fatal(err)
	}
	if key, err := source.Key(); key != "eight" || err != nil {
		t.Errorf("renamed over: got %q, %v", key, err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if key, err := source.Key(); key != "eight" || err != nil {
		t.Errorf("after the file has gone: got %q, %v", key, err)
	}
	if _, err := imclient.KeyFile(path).Key(); err == nil {
		t.Error("no error for a file that is gone")
	}
}

// TestKeyFileIsReadAgain: a changed key reaches the server.
func TestKeyFileIsReadAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "key")
		write := func(key string) {
			if err := os.WriteFile(path, []byte(key), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		write(secretKey + "\n")
		sim, client := bubbleSim(t, simConfig(), func(c *imclient.Config) { c.SecretKey = imclient.KeyFile(path) })
		if err := client.DeleteConversation(t.Context(), request); err != nil {
			t.Fatal(err)
		}
		write("changed\n")
		sim.SetSecretKey("changed")
		time.Sleep(time.Second)
		if err := client.DeleteConversation(t.Context(), request); err != nil {
			t.Error(err)
		}
	})
}
