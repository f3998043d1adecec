package inspect

import (
	"context"
	"errors"
	"net"
	"strconv"
	"strings"
	"sync"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kmsg"
	"golang.org/x/sync/errgroup"

	"convdel/consumer/cluster"
	"convdel/consumer/internal/recordlog"
)

const (
	// groupsAtOnce is how many groups are asked at a time.
	groupsAtOnce = 8
	// brokersAtOnce is how many brokers are connected to at a time: usually all, so that one that is silent takes no time from another.
	brokersAtOnce = 100
)

// ErrTooOld says that the brokers are older than Kafka 2.3.
var ErrTooOld = recordlog.ErrTooOld

// Inspector asks. It is safe for concurrent use. Make it with [New], and close it.
type Inspector struct {
	// cluster remembers which brokers do not answer, and fresh does not.
	cluster, fresh cluster.Config

	transport *kafka.Transport
	client    *kafka.Client
}

// New connects when it is first used.
func New(c cluster.Config) *Inspector {
	fresh := c
	c = c.WithMemory()
	t := c.Transport()
	return &Inspector{cluster: c, fresh: fresh, transport: t, client: &kafka.Client{Addr: c.Addr(), Transport: t}}
}

// Close closes the connections.
func (i *Inspector) Close() { i.transport.CloseIdleConnections() }

// Rights are what the user may do with a topic or a group. The zero value says that the broker has not told.
type Rights struct {
	bits  int32
	known bool
}

// rightsOf reads the bits of an answer. The lowest number means that there are none.
func rightsOf(bits int32) Rights {
	const untold = -1 << 31
	return Rights{bits: bits, known: bits != untold}
}

// Lack returns true if the user lacks a right. It returns false if that is not known.
func (r Rights) Lack(what kmsg.ACLOperation) bool { return r.known && r.bits&(1<<what) == 0 }

// Rights that the service needs.
const (
	Read            = kmsg.ACLOperationRead
	Write           = kmsg.ACLOperationWrite
	DescribeConfigs = kmsg.ACLOperationDescribeConfigs
)

// Broker is a broker and whether it can be connected to.
type Broker struct {
	// Address is host:port, as the setting or the cluster names it.
	Address string
	// Err is why it can't be connected to; nil if it can.
	Err error
}

// Cluster is what the brokers say of themselves.
type Cluster struct {
	ID string
	// Listed are the brokers of the setting, Known those that the cluster names, with the addresses at which it wants clients to reach them.
	Listed, Known []Broker
}

// Cluster connects to all brokers, those that the cluster names included. It logs in on each connection. An error says that no broker
// answers, or what the one that does refuses.
func (i *Inspector) Cluster(ctx context.Context) (*Cluster, error) {
	found := &Cluster{Listed: make([]Broker, len(i.cluster.Brokers))}
	answer, err := recordlog.Metadata(ctx, i.transport, i.client.Addr)
	if err != nil {
		return nil, err
	}
	if answer.ClusterID != nil {
		found.ID = *answer.ClusterID
	}
	for n, address := range i.cluster.Brokers {
		found.Listed[n].Address = address
	}
	for _, b := range answer.Brokers {
		found.Known = append(found.Known, Broker{Address: net.JoinHostPort(b.Host, strconv.Itoa(int(b.Port)))})
	}
	var asking errgroup.Group
	asking.SetLimit(brokersAtOnce)
	for _, brokers := range [][]Broker{found.Listed, found.Known} {
		for n := range brokers {
			asking.Go(func() error {
				brokers[n].Err = i.connect(ctx, brokers[n].Address)
				return nil
			})
		}
	}
	_ = asking.Wait() // the errors are in the brokers
	return found, nil
}

// connect connects to a broker and asks it for its cluster.
func (i *Inspector) connect(ctx context.Context, address string) error {
	alone := i.fresh
	alone.Brokers = []string{address}
	conn, err := alone.Connect(ctx, "tcp", alone.GroupBrokers()[0])
	if err != nil {
		return err
	}
	return conn.Close()
}

// Topic is what the brokers say of a topic.
type Topic struct {
	Name       string
	Partitions int
	// Replicas is the least number of replicas of a partition, InSync the least number of those that are in sync.
	Replicas, InSync int
	// Leaderless are the partitions without a leader.
	Leaderless []int
	Rights     Rights
	// Settings are the topic's settings by Kafka's names, such as cleanup.policy; empty if SettingsErr says why they are not known.
	Settings    map[string]string
	SettingsErr error
}

// Topic asks for a topic. A missing one is [kafka.UnknownTopicOrPartition], and one that the user may not see is
// [kafka.TopicAuthorizationFailed].
func (i *Inspector) Topic(ctx context.Context, name string) (*Topic, error) {
	answer, err := recordlog.Metadata(ctx, i.transport, i.client.Addr, name)
	if err != nil {
		return nil, err
	}
	if len(answer.Topics) != 1 {
		return nil, errors.New("answer without the topic")
	}
	t := &answer.Topics[0]
	if t.ErrorCode != 0 {
		return nil, kafka.Error(t.ErrorCode)
	}
	found := &Topic{Name: name, Partitions: len(t.Partitions), Rights: rightsOf(t.AuthorizedOperations)}
	for n, p := range t.Partitions {
		if p.Leader < 0 {
			found.Leaderless = append(found.Leaderless, int(p.Partition))
		}
		if n == 0 {
			found.Replicas, found.InSync = len(p.Replicas), len(p.ISR)
		}
		found.Replicas, found.InSync = min(found.Replicas, len(p.Replicas)), min(found.InSync, len(p.ISR))
	}
	found.Settings, found.SettingsErr = i.settings(ctx, name)
	return found, nil
}

// settings asks for the settings of a topic that matter to the service.
func (i *Inspector) settings(ctx context.Context, topic string) (map[string]string, error) {
	res, err := i.client.DescribeConfigs(ctx, &kafka.DescribeConfigsRequest{Resources: []kafka.DescribeConfigRequestResource{{
		ResourceType: kafka.ResourceTypeTopic, ResourceName: topic,
		ConfigNames: []string{
			"cleanup.policy", "retention.ms", "retention.bytes", "max.message.bytes", "min.insync.replicas", "unclean.leader.election.enable", "delete.retention.ms",
		},
	}}})
	if err != nil {
		return nil, err
	}
	settings := make(map[string]string)
	for _, r := range res.Resources {
		if r.Error != nil {
			return nil, r.Error
		}
		for _, e := range r.ConfigEntries {
			settings[e.ConfigName] = e.ConfigValue
		}
	}
	return settings, nil
}

// collect is a list that several goroutines append to.
type collect[T any] struct {
	mu   sync.Mutex
	list []T
}

func (c *collect[T]) add(one T) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.list = append(c.list, one)
}

// word cuts what a stranger has chosen to a bounded length.
func word(text string) string {
	const longest = 100
	if len(text) <= longest {
		return text
	}
	return strings.ToValidUTF8(text[:longest], "") + "…"
}
