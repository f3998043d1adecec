package imclient_test

import (
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"convdel/imclient"
	"convdel/imclient/imtest"
)

// slowKeys is a key source that takes a while, can fail, and counts how often it was asked.
type slowKeys struct {
	takes time.Duration

	mu     sync.Mutex
	key    string
	err    error
	asked  int
	now    int
	atOnce int
}

func (k *slowKeys) Key() (string, error) {
	k.mu.Lock()
	k.asked++
	k.now++
	k.atOnce = max(k.atOnce, k.now)
	k.mu.Unlock()
	time.Sleep(k.takes)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.now--
	return k.key, k.err
}

func (k *slowKeys) set(key string, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.key, k.err = key, err
}

// TestRenewalUnderLoad makes calls for two days, 20 at once, with a key source that takes half a second. One call at a time
// renews the signature when four fifths of its lifetime are over. While the old one is valid, at most that call waits.
func TestRenewalUnderLoad(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const workers = 20
		keys := &slowKeys{takes: 500 * time.Millisecond, key: secretKey}
		sim, client := bubbleSim(t, simConfig(), func(c *imclient.Config) { c.SecretKey = keys })
		var signatures []string
		var made time.Time
		start := time.Now()
		for round := 0; time.Since(start) < 48*time.Hour; round++ {
			var waited atomic.Int32
			var all sync.WaitGroup
			for range workers {
				all.Go(func() {
					called := time.Now()
					if err := client.DeleteConversation(t.Context(), request); err != nil {
						t.Error(err)
					}
					if time.Since(called) > 0 {
						waited.Add(1)
					}
				})
			}
			all.Wait()
			if n := waited.Load(); n > 1 && round > 0 {
				t.Errorf("%d of %d calls waited at %v", n, workers, time.Since(start))
			}
			if sig := client.Sig(); len(signatures) == 0 || signatures[len(signatures)-1] != sig {
				const wantAge = 24 * time.Hour / 5 * 4
				if age := time.Since(made); round > 0 && (age < wantAge || age > wantAge+11*time.Minute) {
					t.Errorf("signature %d made after %v, want %v", len(signatures)+1, age, wantAge)
				}
				signatures, made = append(signatures, sig), time.Now()
			}
			time.Sleep(10 * time.Minute)
		}
		if len(signatures) != 3 { // At 0h, 19.2h and 38.4h, or a little later.
			t.Errorf("%d signatures in 48h", len(signatures))
		}
		if keys.atOnce != 1 {
			t.Errorf("the key was asked for %d times at once", keys.atOnce)
		}
		if stats := sim.Stats(); stats.Deletes != stats.Calls {
			t.Errorf("%+v", stats)
		}
	})
}

func TestKeyIsAskedForOnceASecond(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		keys := &slowKeys{key: secretKey}
		_, client := bubbleSim(t, simConfig(), func(c *imclient.Config) { c.SecretKey = keys })
		for range 1000 { // Ten seconds.
			if err := client.DeleteConversation(t.Context(), request); err != nil {
				t.Fatal(err)
			}
			time.Sleep(10 * time.Millisecond)
		}
		if keys.asked != 10 {
			t.Errorf("asked %d times in 10s", keys.asked)
		}
	})
}

// TestFirstSignatureInTime: the call timeout also bounds the waiting for the first signature, even if another call asks for
// it.
func TestFirstSignatureInTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		keys := &slowKeys{takes: time.Minute, key: secretKey}
		_, client := bubbleSim(t, simConfig(), func(c *imclient.Config) { c.SecretKey = keys })
		go func() { _ = client.DeleteConversation(t.Context(), request) }()
		synctest.Wait()
		start := time.Now()
		err := client.DeleteConversation(t.Context(), request)
		if took := time.Since(start); took != 5*time.Second {
			t.Errorf("waited %v", took)
		}
		checkNetworkError(t, err, 0, "no signature in time")
		time.Sleep(time.Minute)
	})
}

// checkExpired checks that an error is a 70001 with or without a renewed signature.
func checkExpired(t *testing.T, err error, renewed bool) {
	t.Helper()
	var api *imclient.APIError
	if !errors.As(err, &api) || api.Code != 70001 || api.Renewed != renewed {
		t.Fatalf("got %+v, want 70001 with Renewed %v", err, renewed)
	}
	want := imclient.Halt
	if renewed {
		want = imclient.Transient
	}
	if class := imclient.ClassOf(err); class != want {
		t.Errorf("class %v, want %v", class, want)
	}
}

func TestExpiredSignatureIsRenewed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		sim, client := bubbleSim(t, simConfig(), nil)
		if err := client.DeleteConversation(t.Context(), request); err != nil {
			t.Fatal(err)
		}
		for range 3 { // A renewal helps each time, if a while has passed.
			time.Sleep(2 * time.Minute)
			old := client.Sig()
			outage := sim.Script(imtest.Fault{Code: 70001, Times: 1})
			checkExpired(t, client.DeleteConversation(t.Context(), request), true)
			if err := client.DeleteConversation(t.Context(), request); err != nil {
				t.Errorf("again with a new signature: %v", err)
			}
			if client.Sig() == old {
				t.Error("same signature")
			}
			outage.Remove()
		}
	})
}

// TestExpiredTwice: a server whose clock is two days ahead refuses every signature. Each call makes a new one, but only the
// first is told to call again. Once the clock is right, calls succeed.
func TestExpiredTwice(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		sim, client := bubbleSim(t, simConfig(), nil)
		sim.SetClockSkew(48 * time.Hour)
		err := client.DeleteConversation(t.Context(), request)
		checkExpired(t, err, true)
		if first, ok := errors.AsType[*imclient.APIError](err); !ok || first.ClockSkew != -48*time.Hour {
			t.Errorf("clock skew of %+v", err)
		}
		for range 3 {
			time.Sleep(time.Hour)
			before := client.Sig()
			err := client.DeleteConversation(t.Context(), request)
			checkExpired(t, err, false)
			if !strings.HasSuffix(err.Error(), "(this machine's clock is 48h0m0s behind the server's)") {
				t.Errorf("text %q", err)
			}
			if before != "" {
				t.Error("the refused signature was kept")
			}
		}
		sim.SetClockSkew(0)
		if err := client.DeleteConversation(t.Context(), request); err != nil {
			t.Error(err)
		}
		sim.SetClockSkew(48 * time.Hour) // At once: no time for a signature to age.
		checkExpired(t, client.DeleteConversation(t.Context(), request), false)
		sim.SetClockSkew(0)
		if err := client.DeleteConversation(t.Context(), request); err != nil {
			t.Error(err)
		}
		time.Sleep(2 * time.Minute)
		sim.SetClockSkew(48 * time.Hour)
		checkExpired(t, client.DeleteConversation(t.Context(), request), true)
	})
}

// TestExpiredForMany: all calls that were under way with the same signature are told that it was renewed. It is renewed
// once.
func TestExpiredForMany(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const workers = 30
		cfg := simConfig()
		cfg.Latency = imtest.Uniform(10*time.Millisecond, 90*time.Millisecond)
		keys := &slowKeys{key: secretKey}
		sim, client := bubbleSim(t, cfg, func(c *imclient.Config) { c.SecretKey = keys })
		if err := client.DeleteConversation(t.Context(), request); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Minute)
		sim.Script(imtest.Fault{Code: 70001, Times: workers})
		var all sync.WaitGroup
		for range workers {
			all.Go(func() {
				checkExpired(t, client.DeleteConversation(t.Context(), request), true)
				if err := client.DeleteConversation(t.Context(), request); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if keys.asked != 3 { // The first, the check when two minutes had passed, and the renewal.
			t.Errorf("asked for the key %d times", keys.asked)
		}
	})
}

// TestShortLivedSignature: if calls are far apart, each one finds that its signature is due for renewal.
func TestShortLivedSignature(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		sim, client := bubbleSim(t, simConfig(), func(c *imclient.Config) { c.SigLifetime = time.Minute })
		for range 20 {
			if err := client.DeleteConversation(t.Context(), request); err != nil {
				t.Fatal(err)
			}
			time.Sleep(49 * time.Second) // Each time a little more than four fifths.
		}
		if stats := sim.Stats(); stats.Deletes != 20 {
			t.Errorf("%+v", stats)
		}
	})
}

func TestKeyChanges(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log logBuffer
		keys := &slowKeys{key: secretKey}
		sim, client := bubbleSim(t, simConfig(), func(c *imclient.Config) {
			c.SecretKey = keys
			c.Logger = log.logger()
		})
		call := func() error { return client.DeleteConversation(t.Context(), request) }
		if err := call(); err != nil {
			t.Fatal(err)
		}
		// An unreadable key does not stop the calls, and is logged once.
		keys.set("", errors.New("file is gone"))
		for range 10 {
			time.Sleep(2 * time.Second)
			if err := call(); err != nil {
				t.Errorf("with a valid signature: %v", err)
			}
		}
		if n := strings.Count(log.String(), "file is gone"); n != 2 { // Once in each of the two formats.
			t.Errorf("said %d times:\n%s", n, log.String())
		}
		// A changed key is used at most a second later.
		sim.SetSecretKey("other")
		keys.set("other", nil)
		time.Sleep(time.Second)
		if err := call(); err != nil {
			t.Errorf("after the change of key: %v", err)
		}
		if !strings.Contains(log.String(), "key_changed") {
			t.Errorf("log:\n%s", log.String())
		}
		// An error that comes back is logged again.
		keys.set("", errors.New("disk is gone"))
		time.Sleep(time.Second)
		if err := call(); err != nil || strings.Count(log.String(), "disk is gone") != 2 {
			t.Errorf("%v, log:\n%s", err, log.String())
		}
		// Without a key, the signature is used until its end and no longer.
		keys.set("", errors.New("file is gone"))
		time.Sleep(24*time.Hour - 2*time.Second)
		if err := call(); err != nil {
			t.Errorf("a second before the end: %v", err)
		}
		time.Sleep(2 * time.Second)
		var key *imclient.KeyError
		if err := call(); !errors.As(err, &key) || imclient.ClassOf(err) != imclient.Halt ||
			err.Error() != "im secret key: file is gone" {
			t.Errorf("after the end: %v", err)
		}
		keys.set("other", nil)
		if err := call(); err != nil {
			t.Errorf("with the key back: %v", err)
		}
	})
}

func TestWrongKeyIsHalt(t *testing.T) {
	t.Parallel()
	sim, client := startSim(t, simConfig())
	sim.SetSecretKey("other")
	err := client.DeleteConversation(t.Context(), request)
	var api *imclient.APIError
	if !errors.As(err, &api) || api.Code != 70009 || imclient.ClassOf(err) != imclient.Halt {
		t.Errorf("got %v", err)
	}
}
