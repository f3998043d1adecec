package testkit_test

import (
	"context"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"convdel/internal/testkit"
)

func TestMostIn(t *testing.T) {
	t.Parallel()
	at := time.Unix(0, 0)
	times := []time.Time{at.Add(2500 * time.Millisecond), at, at.Add(time.Second), at.Add(500 * time.Millisecond), at.Add(2001 * time.Millisecond)}
	if n := testkit.MostIn(time.Second, times); n != 3 {
		t.Errorf("%d within a second, both ends included; want 3", n)
	}
	if n := testkit.MostIn(time.Second, nil); n != 0 {
		t.Errorf("%d of none", n)
	}
}

func TestDialer(t *testing.T) {
	t.Parallel()
	dialer := testkit.NewDialer(func(context.Context, string, string) (net.Conn, error) {
		near, far := net.Pipe()
		t.Cleanup(func() { _ = far.Close() })
		return near, nil
	})
	open := func() net.Conn {
		conn, err := dialer.DialContext(t.Context(), "tcp", "broker:9092")
		if err != nil {
			t.Fatal(err)
		}
		return conn
	}
	isOpen := func(conn net.Conn) bool { return conn.SetDeadline(time.Time{}) == nil }
	first := open()
	dialer.Cut()
	second := open()
	if isOpen(first) || !isOpen(second) {
		t.Error("a cut closes what is open, and nothing else")
	}
	dialer.Sever()
	if _, err := dialer.DialContext(t.Context(), "tcp", "broker:9092"); err == nil || isOpen(second) {
		t.Error("a severed network has a connection")
	}
	dialer.Mend()
	_ = open().Close()
}

// TestReadTopic: aborted records are read, too. A topic that ends with a marker has an end. Records that retention has
// removed are not waited for.
func TestReadTopic(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		network := new(kfake.VirtualNetwork)
		kafka := kfake.MustCluster(kfake.ListenFn(network.Listen), kfake.NumBrokers(1), kfake.Ports(9092), kfake.SeedTopics(2, "events"))
		defer kafka.Close()
		client, err := kgo.NewClient(kgo.SeedBrokers(kafka.ListenAddrs()...), kgo.Dialer(network.DialContext),
			kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.TransactionalID("test"))
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		for _, commit := range []kgo.TransactionEndTry{kgo.TryCommit, kgo.TryAbort} {
			if err := client.BeginTransaction(); err != nil {
				t.Fatal(err)
			}
			for p := range int32(2) {
				if err := client.ProduceSync(t.Context(), &kgo.Record{Topic: "events", Partition: p}).FirstErr(); err != nil {
					t.Fatal(err)
				}
			}
			if err := client.EndTransaction(t.Context(), commit); err != nil {
				t.Fatal(err)
			}
		}
		if err := kafka.DeleteRecords("events", 1, 4); err != nil {
			t.Fatal(err)
		}
		all, err := testkit.ReadTopic(t.Context(), client, "events")
		if err != nil || len(all) != 2 {
			t.Errorf("%d records, %v; want 2", len(all), err)
		}
	})
}
