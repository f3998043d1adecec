package cluster_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/segmentio/kafka-go/sasl"
	"github.com/segmentio/kafka-go/sasl/plain"
	"github.com/twmb/franz-go/pkg/kfake"

	"convdel/consumer/cluster"
)

// countingLogin counts the logins that begin.
type countingLogin struct {
	sasl.Mechanism
	begun atomic.Int64
}

func (l *countingLogin) Start(ctx context.Context) (sasl.StateMachine, []byte, error) {
	l.begun.Add(1)
	return l.Mechanism.Start(ctx)
}

// TestPromise7_LoginInTheClear: a broker on another host gets no login without TLS, also if it was found through a broker on this machine.
func TestPromise7_LoginInTheClear(t *testing.T) {
	t.Parallel()
	broker, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.EnableSASL(), kfake.Superuser("PLAIN", "u", "pencil"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(broker.Close)
	real := broker.ListenAddrs()[0]
	for address, c := range map[string]struct{ insecure, refused bool }{
		"kafka-2:9092":   {false, true},
		"10.0.0.7:9092":  {false, true},
		real:             {false, false},
		"localhost:9092": {false, false},
		"kafka-3:9092":   {true, false},
	} {
		login := &countingLogin{Mechanism: plain.Mechanism{Username: "u", Password: "pencil"}}
		cfg := cluster.Config{
			Brokers: []string{real}, SASL: login, Insecure: c.insecure,
			Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, network, real)
			},
		}
		conn, err := cfg.Connect(t.Context(), "tcp", address)
		if err == nil {
			_ = conn.Close()
		}
		refused, ok := errors.AsType[*cluster.RefusedError](err)
		if ok != c.refused || ok && (refused.Reason != cluster.Encryption || !strings.Contains(err.Error(), "--insecure")) || !ok && err != nil {
			t.Errorf("%s: %v", address, err)
		}
		if begun := login.begun.Load(); (begun == 0) != c.refused {
			t.Errorf("%s: %d logins", address, begun)
		}
	}
}
