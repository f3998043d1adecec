package erase_test

import (
	"context"
	"errors"
	"fmt"
	"go/parser"
	"go/token"
	"log/slog"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"go.uber.org/goleak"

	"convdel/consumer"
	"convdel/consumer/cluster"
	"convdel/examples/erase"
	"convdel/imclient"
	"convdel/imclient/imtest"
	"convdel/internal/service"
	"convdel/schema"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const outcomes = "conversation.delete.ended"

// surroundings starts Kafka, the API's simulator and the service of "convdel run", and returns an eraser. stop ends all of them.
func surroundings(ctx context.Context) (eraser *erase.Eraser, sim *imtest.Server, stop func(), err error) {
	broker := kfake.MustCluster(kfake.NumBrokers(1), kfake.SeedTopics(3, schema.Topic, schema.DeadLetterTopic, outcomes),
		kfake.BrokerConfigs(map[string]string{"group.initial.rebalance.delay.ms": "0"}))
	sim, err = imtest.Start(imtest.Config{SDKAppID: 1400000000, Identifier: "administrator", SecretKey: "key", ListLimit: 20})
	if err != nil {
		return nil, nil, nil, err
	}
	im := imclient.Config{Endpoint: sim.URL, SDKAppID: 1400000000, Identifier: "administrator", SecretKey: imclient.StaticKey("key")}
	client, err := imclient.New(im)
	if err != nil {
		return nil, nil, nil, err
	}
	s, err := service.New(ctx, service.Config{IM: im, Consumer: consumer.Config{
		Cluster: cluster.Config{Brokers: broker.ListenAddrs()}, Topic: schema.Topic, Group: "convdel", DeadLetterTopic: schema.DeadLetterTopic,
		OutcomeTopic: outcomes, CallsPerSecond: 200, ShareByPartitions: true,
	}}, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, nil, nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.Run(ctx) // it is told to stop; an error before that shows in the erasures
	}()
	eraser = &erase.Eraser{
		API: client, Brokers: broker.ListenAddrs(), Topic: schema.Topic, OutcomeTopic: outcomes, Pause: 100 * time.Millisecond,
	}
	return eraser, sim, func() {
		cancel()
		<-done
		client.CloseIdleConnections()
		sim.Close()
		broker.Close()
	}, nil
}

func ExampleEraser_Erase() {
	ctx := context.Background()
	eraser, sim, stop, err := surroundings(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer stop()

	fmt.Println("conversations:", len(sim.Conversations("has-50-alice")))
	request := erase.Request{ID: "R-1", Account: "has-50-alice", Time: time.Now()}
	fmt.Println("erased:", eraser.Erase(ctx, request))
	fmt.Println("left:", len(sim.Conversations("has-50-alice")))
	fmt.Println("again:", eraser.Erase(ctx, request))
	fmt.Println("a typo:", eraser.Erase(ctx, erase.Request{ID: "R-2", Account: "alcie", Time: time.Now()}))
	// Output:
	// conversations: 50
	// erased: <nil>
	// left: 0
	// again: <nil>
	// a typo: the account has no conversation
}

// TestEraseExampleLeavesLaterMessages: what the example can't erase, it says.
func TestEraseExampleLeavesLaterMessages(t *testing.T) {
	t.Parallel()
	eraser, sim, stop, err := surroundings(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	now := time.Now()
	sim.SetConversations("alice", imtest.Conversation{Type: 1, To: "bob", MsgTime: now.Add(-time.Hour)}, imtest.Conversation{Type: 1, To: "carol", MsgTime: now.Add(time.Hour)})
	if err := eraser.Erase(t.Context(), erase.Request{ID: "R-1", Account: "alice", Time: now}); !errors.Is(err, erase.ErrLeft) {
		t.Error(err)
	}
	if left := sim.Conversations("alice"); !slices.ContainsFunc(left, func(c imtest.Conversation) bool { return c.To == "carol" }) {
		t.Errorf("left: %v", left)
	}
}

// TestEraseExampleNeedsNothingElse: an app imports these packages alone.
func TestEraseExampleNeedsNothingElse(t *testing.T) {
	t.Parallel()
	file, err := parser.ParseFile(token.NewFileSet(), "erase.go", nil, parser.ImportsOnly)
	if err != nil {
		t.Fatal(err)
	}
	var others []string
	for _, i := range file.Imports {
		path, err := strconv.Unquote(i.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Contains([]string{"context", "errors", "fmt", "slices", "time"}, path) {
			others = append(others, path)
		}
	}
	if want := []string{"github.com/segmentio/kafka-go", "convdel/imclient", "convdel/schema"}; !slices.Equal(others, want) {
		t.Errorf("imports %v, want %v", others, want)
	}
}
