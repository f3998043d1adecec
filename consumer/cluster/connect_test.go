package cluster_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/sasl/plain"
	"github.com/twmb/franz-go/pkg/kfake"
	"go.uber.org/goleak"

	"convdel/consumer/cluster"
	"convdel/internal/testkit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const testTopic = "events"

// onWard runs test with three brokers in virtual time, the first of which is another address that is unwell.
func onWard(t *testing.T, a testkit.Ailment, test func(t *testing.T, config cluster.Config)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		network := new(kfake.VirtualNetwork)
		broker := kfake.MustCluster(kfake.ListenFn(network.Listen), kfake.NumBrokers(2), kfake.Ports(9092, 9093), kfake.SeedTopics(1, testTopic))
		defer broker.Close()
		ward := testkit.NewWard(network.DialContext)
		ward.Make("unwell:9092", a)
		test(t, cluster.Config{Brokers: append([]string{"unwell:9092"}, broker.ListenAddrs()...), Dial: ward.DialContext})
		synctest.Wait()
	})
}

// TestUnwellBroker_Paths: whatever ails a broker of the list, each way to Kafka takes another one, again and again.
func TestUnwellBroker_Paths(t *testing.T) {
	t.Parallel()
	for _, ailment := range testkit.Ailments() {
		t.Run(string(ailment), func(t *testing.T) {
			t.Parallel()
			onWard(t, ailment, func(t *testing.T, config cluster.Config) {
				t.Helper()
				for range 5 { // the brokers take turns to be the first
					for name, use := range paths(config) {
						began := time.Now()
						if err := use(t.Context()); err != nil || time.Since(began) > 10*time.Second {
							t.Errorf("%s: %v, after %s", name, err, time.Since(began))
						}
					}
				}
			})
		})
	}
}

// paths are the ways to Kafka.
func paths(config cluster.Config) map[string]func(ctx context.Context) error {
	return map[string]func(ctx context.Context) error{
		"writer": func(ctx context.Context) error {
			w, closeAll := config.Writer(testTopic)
			return errors.Join(w.WriteMessages(ctx, kafka.Message{Value: []byte("x")}), closeAll())
		},
		"client": func(ctx context.Context) error {
			client, closeIdle := config.Client(testTopic)
			defer closeIdle()
			_, err := client.ListOffsets(ctx, &kafka.ListOffsetsRequest{Topics: map[string][]kafka.OffsetRequest{testTopic: {kafka.LastOffsetOf(0)}}})
			return err
		},
		"coordinator": func(ctx context.Context) error {
			client, closeIdle := config.Client()
			defer closeIdle()
			_, err := client.OffsetFetch(ctx, &kafka.OffsetFetchRequest{GroupID: "g", Topics: map[string][]int{testTopic: {0}}})
			return err
		},
		"group": func(ctx context.Context) error {
			conn, err := config.Dialer().DialContext(ctx, "tcp", config.GroupBrokers()[0])
			if err != nil {
				return err
			}
			_, err = conn.ReadPartitions(testTopic)
			return errors.Join(err, conn.Close())
		},
	}
}

// TestUnwellBroker_TLS: a broker answers the handshake of TLS, and then nothing.
func TestUnwellBroker_TLS(t *testing.T) {
	t.Parallel()
	own := issue(t, "broker").pair(t)
	synctest.Test(t, func(t *testing.T) {
		server := &tls.Config{Certificates: []tls.Certificate{*own}, MinVersion: tls.VersionTLS12}
		network := new(kfake.VirtualNetwork)
		broker := kfake.MustCluster(kfake.ListenFn(network.Listen), kfake.NumBrokers(1), kfake.Ports(9092), kfake.SeedTopics(1, testTopic), kfake.TLS(server))
		defer broker.Close()
		config := cluster.Config{
			Brokers: append([]string{"silent:9092"}, broker.ListenAddrs()...),
			TLS:     &tls.Config{InsecureSkipVerify: true},
			Dial: func(ctx context.Context, kind, address string) (net.Conn, error) {
				if address != "silent:9092" {
					return network.DialContext(ctx, kind, address)
				}
				near, far := net.Pipe()
				go func() { _, _ = io.Copy(io.Discard, tls.Server(far, server)) }()
				return near, nil
			},
		}
		for range 3 {
			for name, use := range paths(config) {
				if err := use(t.Context()); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
		}
		synctest.Wait()
	})
}

// TestNoBrokerAnswers: the error names each broker and what is wrong with it, within fifteen seconds.
func TestNoBrokerAnswers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ward := testkit.NewWard(nil)
		config := cluster.Config{Dial: ward.DialContext}
		for i, a := range testkit.Ailments() {
			address := fmt.Sprintf("kafka-%d:9092", i)
			ward.Make(address, a)
			config.Brokers = append(config.Brokers, address)
		}
		began := time.Now()
		_, err := config.Connect(t.Context(), "tcp", config.GroupBrokers()[0])
		unreachable, ok := errors.AsType[*cluster.UnreachableError](err)
		if !ok || len(unreachable.Errs) != len(config.Brokers) || time.Since(began) > 15*time.Second {
			t.Fatalf("after %s: %v", time.Since(began), err)
		}
		for _, want := range append(config.Brokers, "no answer", "connection refused", "no such host", "check --kafka-tls") {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%q is not in %v", want, err)
			}
		}
		synctest.Wait()
	})
}

// TestBrokerListedTwice is one broker: whether it answers, or not, nothing waits for a second attempt.
func TestBrokerListedTwice(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		network := new(kfake.VirtualNetwork)
		broker := kfake.MustCluster(kfake.ListenFn(network.Listen), kfake.NumBrokers(1), kfake.Ports(9092))
		ward := testkit.NewWard(network.DialContext)
		address := broker.ListenAddrs()[0]
		config := cluster.Config{Brokers: []string{address, address}, Dial: ward.DialContext}
		ward.Make(address, testkit.Closing)
		_, err := config.Connect(t.Context(), "tcp", config.GroupBrokers()[0])
		if unreachable, ok := errors.AsType[*cluster.UnreachableError](err); !ok || len(unreachable.Errs) != 1 {
			t.Errorf("a broker that closes connections: %v", err)
		}
		ward.Make(address, "")
		conn, err := config.Connect(t.Context(), "tcp", config.GroupBrokers()[0])
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.Close()
		broker.Close()
		synctest.Wait()
	})
}

// TestSilentBrokerIsNamedOnce: operators learn which broker of the list does not answer.
func TestSilentBrokerIsNamedOnce(t *testing.T) {
	t.Parallel()
	onWard(t, testkit.Frozen, func(t *testing.T, config cluster.Config) {
		t.Helper()
		var log bytes.Buffer
		config.Logger = slog.New(slog.NewTextHandler(&log, nil))
		config = config.WithMemory()
		slow := 0
		for range 12 {
			began := time.Now()
			conn, err := config.Connect(t.Context(), "tcp", config.GroupBrokers()[0])
			if err != nil {
				t.Fatal(err)
			}
			_ = conn.Close()
			if time.Since(began) > 0 {
				slow++
			}
		}
		if n := strings.Count(log.String(), "level=WARN"); n != 1 || slow != 1 || !strings.Contains(log.String(), "broker=unwell:9092") {
			t.Errorf("%d warnings, %d of 12 connections slow:\n%s", n, slow, log.String())
		}
	})
}

// TestNotKafka: what answers is something else. Nothing allocates what it seems to announce.
func TestNotKafka(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		answer, says string
		tls          bool
	}{
		"a web server":          {"HTTP/1.1 400 Bad Request\r\n\r\n", "not Kafka", false},
		"TLS, an alert":         {"\x15\x03\x03\x00\x02\x02\x46", "check --kafka-tls", false},
		"TLS, a handshake":      {"\x16\x03\x01\x00\x02\x02\x46", "check --kafka-tls", false},
		"another answer":        {"\x00\x00\x00\x06\x00\x00\x00\x09\x00\x00", "not Kafka", false},
		"too short":             {"\x00\x00\x00\x01\x00", "not Kafka", false},
		"no TLS, a web server":  {"HTTP/1.1 400 Bad Request\r\n\r\n", "check --kafka-tls", true},
		"no TLS, a hung up one": {"", "check --kafka-tls", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config := cluster.Config{Dial: func(context.Context, string, string) (net.Conn, error) {
				near, far := net.Pipe()
				go func() {
					_, _ = far.Read(make([]byte, 4096))
					_, _ = far.Write([]byte(test.answer))
					_ = far.Close()
				}()
				return near, nil
			}}
			if test.tls {
				config.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
			}
			_, err := config.Connect(t.Context(), "tcp", "kafka-1:9092")
			if err == nil || !strings.Contains(err.Error(), test.says) || !strings.HasPrefix(err.Error(), "kafka-1:9092: ") {
				t.Errorf("%v, want %q", err, test.says)
			}
		})
	}
}

// TestRefusalIsRemembered: a broker that refuses the login is asked less and less often, up to every 30 seconds.
func TestRefusalIsRemembered(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		network := new(kfake.VirtualNetwork)
		broker := kfake.MustCluster(kfake.ListenFn(network.Listen), kfake.NumBrokers(1), kfake.Ports(9092), kfake.EnableSASL(), kfake.Superuser("PLAIN", "u", "right"))
		defer broker.Close()
		dials := 0
		config := cluster.Config{
			Brokers: broker.ListenAddrs(), SASL: plain.Mechanism{Username: "u", Password: "wrong"},
			Dial: func(ctx context.Context, kind, address string) (net.Conn, error) {
				dials++
				return network.DialContext(ctx, kind, address)
			},
		}.WithMemory()
		for range 600 {
			_, err := config.Connect(t.Context(), "tcp", config.Brokers[0])
			if refused, ok := errors.AsType[*cluster.RefusedError](err); !ok || refused.Reason != cluster.Login {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
		}
		// Within 10 minutes: after 1, 2, 4, 8 and 16 seconds, and then every 30; twice each, since the broker just hangs up.
		if dials < 40 || dials > 2*(1+5+20) {
			t.Errorf("%d dials", dials)
		}
		config.SASL = plain.Mechanism{Username: "u", Password: "right"}
		time.Sleep(cluster.RefusalPause)
		conn, err := config.Connect(t.Context(), "tcp", config.Brokers[0])
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.Close()
		synctest.Wait()
	})
}
