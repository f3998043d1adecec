package redisbudget

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"convdel/internal/testkit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// realRedis is an environment variable: the host:port of a Redis to test with instead of the embedded one.
const realRedis = "TEST_REDIS"

// stage is a Redis under test and the test's own key.
type stage struct {
	address, key string
	client       *redis.Client
}

func newStage(tb testing.TB) stage {
	tb.Helper()
	address := os.Getenv(realRedis)
	if address == "" {
		address = miniredis.RunT(tb).Addr()
	}
	s := stage{address: address, key: fmt.Sprintf("test:%s:%d", tb.Name(), time.Now().UnixNano())}
	s.client = redis.NewClient(&redis.Options{Addr: address, Protocol: 2})
	tb.Cleanup(func() {
		s.client.Del(context.Background(), s.key)
		_ = s.client.Close()
	})
	return s
}

func (s stage) budget(tb testing.TB, callsPerSecond int) *Budget {
	tb.Helper()
	b, err := New(Config{
		URL: func() (string, error) { return "redis://" + s.address, nil }, Key: s.key, CallsPerSecond: callsPerSecond,
	})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = b.Close() })
	return b
}

// TestSpacedForAll: however many departures several clients ask for at once, no second holds more than the quota and no
// departure is further away than a second.
func TestSpacedForAll(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	if err := s.client.Set(t.Context(), s.key, "1", 0).Err(); err != nil { // in use since long ago
		t.Fatal(err)
	}
	var (
		mu      sync.Mutex
		times   []time.Time
		all     int
		clients sync.WaitGroup
	)
	for c := range 4 {
		b := s.budget(t, 200)
		clients.Go(func() {
			for ask := range 40 {
				asked := time.Now()
				departures, again, err := b.Reserve(t.Context(), (ask+c)%7)
				now := time.Now()
				if err != nil {
					t.Error(err)
					return
				}
				if len(departures) > (ask+c)%7 {
					t.Errorf("%d departures where %d were asked for", len(departures), (ask+c)%7)
				}
				mu.Lock()
				all += len(departures)
				for _, d := range departures {
					if now.Sub(asked) < 5*time.Millisecond { // otherwise the test does not know the time that it counts from
						times = append(times, now.Add(d))
					}
					if d > horizon+window {
						t.Errorf("a departure in %s", d)
					}
				}
				mu.Unlock()
				if len(departures) == 0 && (ask+c)%7 > 0 && (again <= 0 || again > horizon) {
					t.Errorf("nothing to be had, again in %s", again)
				}
			}
		})
	}
	clients.Wait()
	if all < 195 { // a second's worth, for 480 were asked for
		t.Errorf("only %d departures", all)
	}
	if most := testkit.MostIn(time.Second, times); most > 200 {
		t.Errorf("%d departures in a second", most)
	}
}

// TestScriptKeepsItsDistance asks in any order, while Redis's clock jumps forwards and backwards and the key is lost now
// and then. Departures between two losses are at least the distance apart, and nothing is handed out for a window after a
// loss.
func TestScriptKeepsItsDistance(t *testing.T) {
	t.Parallel()
	server := miniredis.RunT(t)
	server.ClockTTL(true)
	client := redis.NewClient(&redis.Options{Addr: server.Addr(), Protocol: 2})
	t.Cleanup(func() { _ = client.Close() })
	script := redis.NewScript(reserveText)
	rapid.Check(t, func(t *rapid.T) {
		server.FlushAll()
		clock := time.Unix(1_700_000_000, 0)
		last, free := time.Time{}, clock.Add(window) // nothing before free
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			switch rapid.SampledFrom([]string{"ask", "ask", "ask", "ask", "lose", "set back"}).Draw(t, "step") {
			case "lose":
				server.FlushAll()
				last, free = time.Time{}, clock.Add(window)
			case "set back":
				clock = clock.Add(-time.Duration(rapid.IntRange(4, 4000).Draw(t, "seconds")) * time.Second)
				last, free = time.Time{}, clock.Add(window)
			}
			clock = clock.Add(time.Duration(rapid.IntRange(0, 50_000).Draw(t, "µs")) * time.Microsecond)
			if rapid.IntRange(0, 20).Draw(t, "pause") == 0 {
				clock = clock.Add(time.Duration(rapid.IntRange(0, 90_000).Draw(t, "long")) * time.Second)
				if last.IsZero() || clock.Sub(last) > expiry-time.Hour {
					last, free = time.Time{}, time.Time{} // lost for certain or perhaps
				}
			}
			server.SetTime(clock)
			distance := distanceOf(rapid.SampledFrom([]int{1, 7, 200, 5000}).Draw(t, "quota"))
			n := rapid.IntRange(0, 30).Draw(t, "n")
			reply, err := script.Run(t.Context(), client, []string{"key"}, n, distance.Microseconds(),
				window.Microseconds(), horizon.Microseconds(), expiry.Milliseconds()).Int64Slice()
			if err != nil {
				t.Fatal(err)
			}
			first, granted := time.UnixMicro(reply[1]), int(reply[2])
			if !time.UnixMicro(reply[0]).Equal(clock) || granted < 0 || granted > n {
				t.Fatalf("answer %v at %s to %d", reply, clock, n)
			}
			if granted == 0 {
				continue
			}
			end := first.Add(time.Duration(granted-1) * distance)
			if first.Before(clock) || first.Before(free) || end.Sub(clock) > horizon {
				t.Fatalf("%d departures from %s to %s, now %s, nothing before %s", granted, first, end, clock, free)
			}
			last, free = end, end.Add(distance)
		}
	})
}

// TestAfterALoss: a Redis that has lost the key hands out nothing for a window, and then at the normal pace.
func TestAfterALoss(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	b := s.budget(t, 200)
	if departures, again, err := b.Reserve(t.Context(), 5); err != nil || len(departures) != 0 || again <= 0 || again > window {
		t.Fatalf("%v, again in %s, %v: of a key that is not there", departures, again, err)
	}
	for _, text := range []string{"", "nonsense", "9e99"} {
		if err := s.client.Set(t.Context(), s.key, text, 0).Err(); err != nil {
			t.Fatal(err)
		}
		if departures, again, err := b.Reserve(t.Context(), 5); err != nil || len(departures) != 0 || again <= 0 || again > window {
			t.Errorf("%v, again in %s, %v: of a key that is %q", departures, again, err, text)
		}
	}
	if err := s.client.Set(t.Context(), s.key, "1", 0).Err(); err != nil { // long ago
		t.Fatal(err)
	}
	if departures, _, err := b.Reserve(t.Context(), 5); err != nil || len(departures) != 5 || departures[0] > 0 {
		t.Errorf("%v, %v: of a budget that was idle", departures, err)
	}
	if ttl := s.client.PTTL(t.Context(), s.key).Val(); ttl <= 0 || ttl > expiry {
		t.Errorf("the key expires in %s", ttl)
	}
}

func TestErrors(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	b := s.budget(t, 200)
	if err := s.client.LPush(t.Context(), s.key, "x").Err(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := b.Reserve(t.Context(), 1); err == nil || !strings.Contains(err.Error(), "WRONGTYPE") {
		t.Errorf("a key that is a list: %v", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := b.Reserve(ended, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("a context that has ended: %v", err)
	}
}

// TestPasswordChanges: the password is read anew for each connection, and no error shows it.
func TestPasswordChanges(t *testing.T) {
	t.Parallel()
	server := miniredis.RunT(t)
	server.RequireUserAuth("u", "secret-1")
	file := filepath.Join(t.TempDir(), "url")
	write := func(password string) {
		t.Helper()
		if err := os.WriteFile(file, []byte("redis://u:"+password+"@"+server.Addr()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("secret-0")
	b, err := New(Config{Key: "key", CallsPerSecond: 1, URL: func() (string, error) {
		text, err := os.ReadFile(file)
		return string(text), err
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	if _, _, err := b.Reserve(t.Context(), 1); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("with a wrong password: %v", err)
	}
	write("secret-1")
	if _, _, err := b.Reserve(t.Context(), 1); err != nil {
		t.Errorf("with the right one: %v", err)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if _, _, err := b.Reserve(t.Context(), 1); err != nil {
		t.Errorf("on the same connection: %v", err)
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	url := func(text string) func() (string, error) { return func() (string, error) { return text, nil } }
	for text, want := range map[string]server{
		"redis://h":                {address: "h:6379"},
		"redis://:p%40@h:1/2":      {address: "h:1", password: "p@", database: 2},
		"rediss://u:p@[::1]:6380/": {address: "[::1]:6380", user: "u", password: "p"},
	} {
		got, err := Config{URL: url(text)}.read()
		if err != nil || (got.tls != nil) != strings.HasPrefix(text, "rediss") {
			t.Errorf("%s: %v, TLS %v", text, err, got.tls)
		}
		if got.tls = nil; got != want {
			t.Errorf("%s: %+v, want %+v", text, got, want)
		}
	}
	for _, text := range []string{
		"", "h:6379", "http://u:pass@h", "redis://", "redis://u:pass@", "redis://u:pass@h:x", "redis://u:pass@h:0", "redis://u:pass@h:99999",
		"redis://u:pass@h/x", "redis://u:pass@h/-1", "redis://u:pass@h/1/2", "redis://u:pass@h?pool_size=9", "redis://u:pass@h#f", "redis://u:pass%@h", "unix:///x",
	} {
		err := Config{URL: url(text), Key: "k", CallsPerSecond: 1}.Validate()
		if wrong, ok := errors.AsType[*ConfigError](err); !ok || wrong.Field != "URL" || strings.Contains(err.Error(), "pass@") {
			t.Errorf("%q: %v", text, err)
		}
	}
	for field, c := range map[string]Config{
		"URL":            {Key: "k", CallsPerSecond: 1},
		"Key":            {URL: url("redis://h"), CallsPerSecond: 1},
		"CallsPerSecond": {URL: url("redis://h"), Key: "k"},
	} {
		_, err := New(c)
		if wrong, ok := errors.AsType[*ConfigError](err); !ok || wrong.Field != field {
			t.Errorf("without %s: %v", field, err)
		}
	}
}

// TestUnevenNetwork: the estimate of Redis's clock is as good as the best exchange so far allows, however long other
// exchanges take in either direction, and however far apart the clocks are.
func TestUnevenNetwork(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		trip := rapid.Custom(func(t *rapid.T) time.Duration {
			return time.Duration(rapid.IntRange(50, 100_000).Draw(t, "µs")) * time.Microsecond
		})
		ahead := time.Duration(rapid.Int64Range(-1e13, 1e13).Draw(t, "ahead"))
		var c clock
		now, best := time.Duration(0), time.Hour // best is the width of the bounds by the best exchange
		for i := range 50 {
			sent := now
			there, back := trip.Draw(t, "there"), trip.Draw(t, "back")
			now += there + back
			c.observe(sent, now, sent+there+ahead)
			best = min(best+2*time.Duration(float64(25*time.Millisecond+there+back)*drift), there+back)
			if off := (c.local(now+ahead) - now).Abs(); off > best/2+time.Microsecond {
				t.Fatalf("exchange %d: off by %s, the best took %s", i, off, best)
			}
			now += 25 * time.Millisecond
		}
	})
}

// TestClockIsSet: an answer that no drift explains starts the estimate anew.
func TestClockIsSet(t *testing.T) {
	t.Parallel()
	var c clock
	for i, ahead := range []time.Duration{0, 0, time.Hour, time.Hour, -time.Hour} {
		now := time.Duration(i) * time.Second
		c.observe(now, now+time.Millisecond, now+ahead)
		if off := c.local(now+ahead) - now; off < 0 || off > time.Millisecond {
			t.Errorf("exchange %d: off by %s", i, off)
		}
	}
}

// TestInABubble: the budget works on an in-memory network in virtual time, so that package consumer can test with it.
func TestInABubble(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := miniredis.NewMiniRedis()
		m.ClockTTL(true)
		b, err := New(Config{
			URL: func() (string, error) { return "redis://redis", nil }, Key: "k", CallsPerSecond: 100,
			Dial: func(context.Context, string, string) (net.Conn, error) { return m.Dial() },
		})
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		defer func() { _ = b.Close() }()
		var times []time.Time
		for began := time.Now(); time.Since(began) < 10*time.Second; {
			departures, again, err := b.Reserve(t.Context(), 3)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range departures {
				times = append(times, time.Now().Add(d))
			}
			time.Sleep(max(again, 30*time.Millisecond))
		}
		if most := testkit.MostIn(time.Second, times); most > 100 || len(times) < 870 {
			t.Errorf("%d departures in a second, %d in 10", most, len(times))
		}
	})
}

// TestPasswordInTheClear: no password leaves this machine unencrypted, also none that the URL gets later.
func TestPasswordInTheClear(t *testing.T) {
	t.Parallel()
	server := miniredis.RunT(t)
	for text, refused := range map[string]bool{
		"redis://:pencil@redis": true, "redis://u:pencil@10.0.0.7:1/2": true, "redis://redis": false, "redis://u@redis": false,
		"redis://:pencil@localhost": false, "redis://:pencil@[::1]": false, "rediss://:pencil@redis": false,
	} {
		c := Config{URL: func() (string, error) { return text, nil }, Key: "k", CallsPerSecond: 1}
		wrong, ok := errors.AsType[*ConfigError](c.Validate())
		if ok != refused || ok && (wrong.Field != "URL" || strings.Contains(wrong.Error(), "pencil")) {
			t.Errorf("%s: %v", text, c.Validate())
		}
		if c.Insecure = true; c.Validate() != nil {
			t.Errorf("%s, allowed: %v", text, c.Validate())
		}
	}
	text := "redis://redis"
	b, err := New(Config{
		URL: func() (string, error) { return text, nil }, Key: "k", CallsPerSecond: 1,
		Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, server.Addr())
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	text = "redis://:pencil@redis"
	if _, _, err := b.Reserve(t.Context(), 1); !errors.Is(err, errExposed) {
		t.Errorf("%v", err)
	}
}
