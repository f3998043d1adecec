package cluster_test

import (
	"encoding/binary"
	"io"
	"net"
	"testing"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"convdel/consumer/cluster"
	"convdel/internal/testkit"
)

// TestCloseTakesBackWhatIsUnsent: what a broker has not got of a request when its connection is closed never reaches the broker. A request that is cut off
// would arrive after the membership that it is of, or after the next request.
func TestCloseTakesBackWhatIsUnsent(t *testing.T) {
	t.Parallel()
	broker := testkit.NewUnread(t)
	accepted := make(chan *net.TCPConn, 1)
	go func() {
		server := broker.Conn()
		if err := answerVersions(server); err != nil {
			t.Error(err)
		}
		accepted <- server
	}()
	config := cluster.Config{Brokers: []string{broker.Address()}, Dial: broker.DialContext}
	conn, err := config.Connect(t.Context(), "tcp", broker.Address())
	server := <-accepted
	if err != nil {
		t.Fatal(err)
	}
	if err := broker.Fill(conn); err != nil {
		t.Fatal(err)
	}
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	broker.WantReset(server)
}

// answerVersions reads a request and answers it as a broker that knows ApiVersions alone.
func answerVersions(conn io.ReadWriter) error {
	var head [12]byte // size, key, version, number
	if _, err := io.ReadFull(conn, head[:]); err != nil {
		return err
	}
	if _, err := io.CopyN(io.Discard, conn, int64(binary.BigEndian.Uint32(head[:])-8)); err != nil {
		return err
	}
	answer := kmsg.NewPtrApiVersionsResponse().AppendTo(head[8:12:12])
	_, err := conn.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(answer))), answer...))
	return err
}

// TestConnectionsCloseAfterTheirAnswers: that connections end by a reset loses no record that was written before.
func TestConnectionsCloseAfterTheirAnswers(t *testing.T) {
	t.Parallel()
	broker := kfake.MustCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, testTopic))
	t.Cleanup(broker.Close)
	config := cluster.Config{Brokers: broker.ListenAddrs()}
	const writers = 20
	for range writers {
		if err := paths(config)["writer"](t.Context()); err != nil { // it closes its connections
			t.Fatal(err)
		}
	}
	client, closeIdle := config.Client(testTopic)
	defer closeIdle()
	ends, err := client.ListOffsets(t.Context(), &kafka.ListOffsetsRequest{Topics: map[string][]kafka.OffsetRequest{testTopic: {kafka.LastOffsetOf(0)}}})
	if err != nil {
		t.Fatal(err)
	}
	if end := ends.Topics[testTopic][0].LastOffset; end != writers {
		t.Errorf("%d records arrived, want %d", end, writers)
	}
}
