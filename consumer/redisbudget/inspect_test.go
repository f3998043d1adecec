package redisbudget

import (
	"os"
	"testing"
	"time"
)

// TestInspectRedis: an inspection says what the Redis is, leaves the budget's key as it is, and sees a key that is none.
func TestInspectRedis(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	cfg := Config{URL: func() (string, error) { return "redis://" + s.address, nil }, Key: s.key, CallsPerSecond: 200}
	look := func() *Inspection {
		t.Helper()
		found, err := Inspect(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	found := look()
	if found.Foreign || found.Ahead.Abs() > time.Minute || found.Took <= 0 {
		t.Errorf("%+v", found)
	}
	if os.Getenv(realRedis) != "" && (found.Version == "" || found.Role != "master" || found.Eviction == "" || found.Cluster) {
		t.Errorf("%+v", found)
	}
	if n := s.client.Exists(t.Context(), s.key).Val(); n != 0 {
		t.Error("the inspection has made the key")
	}
	if _, _, err := s.budget(t, 200).Reserve(t.Context(), 3); err != nil {
		t.Fatal(err)
	}
	before := s.client.Get(t.Context(), s.key).Val()
	if found := look(); found.Foreign || s.client.Get(t.Context(), s.key).Val() != before {
		t.Errorf("%+v, and the key was %s", found, before)
	}
	for _, edit := range []func() error{
		func() error { return s.client.Set(t.Context(), s.key, "x", 0).Err() },
		func() error {
			s.client.Del(t.Context(), s.key)
			return s.client.LPush(t.Context(), s.key, "x").Err()
		},
	} {
		if err := edit(); err != nil {
			t.Fatal(err)
		}
		if found := look(); !found.Foreign {
			t.Errorf("%+v", found)
		}
	}
}
