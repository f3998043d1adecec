package inspect

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/segmentio/kafka-go"
	"golang.org/x/sync/errgroup"

	"convdel/consumer"
	"convdel/consumer/internal/recordlog"
)

// Group is what a coordinator says of a group.
type Group struct {
	// State is Kafka's word for it: Stable, Empty, PreparingRebalance, CompletingRebalance, or Dead for a group that does not exist.
	State string
	// Protocol is what the group is for: consumer, or that of another kind of program. It is empty for a group that has had no members.
	Protocol string
	// Assignor is how the members share the partitions; empty if there are none.
	Assignor string
	// Members are the clients' names and hosts.
	Members []Member
	Rights  Rights
}

// Member is a member of a group.
type Member struct{ Client, Host string }

// Group asks for a group. One that the user may not see is [kafka.GroupAuthorizationFailed].
func (i *Inspector) Group(ctx context.Context, name string) (*Group, error) {
	answer, err := recordlog.DescribeGroup(ctx, i.transport, i.client.Addr, name)
	// Newer brokers say so of a group that does not exist, and older ones that it is dead.
	if errors.Is(err, kafka.GroupIdNotFound) {
		return &Group{State: "Dead"}, nil
	}
	if err != nil {
		return nil, err
	}
	g := &Group{State: answer.State, Protocol: answer.ProtocolType, Assignor: word(answer.Protocol), Rights: rightsOf(answer.AuthorizedOperations)}
	for _, m := range answer.Members {
		g.Members = append(g.Members, Member{Client: word(m.ClientID), Host: word(m.ClientHost)})
	}
	return g, nil
}

// Other is another group that consumes the topic.
type Other struct {
	Group string
	// ByService says that the group is another convdel service's, App through which app it deletes; empty if that is unknown.
	ByService bool
	App       string
}

// Others are the other groups of a topic.
type Others struct {
	Groups []Other
	// Asked is how many groups were asked, Unseen how many were left out: there are too many, or they don't let themselves be described.
	Asked, Unseen int
}

// mostGroups is how many groups are asked.
const mostGroups = 200

// Others looks for other groups that have offsets of a topic. It sees those that the user may describe.
func (i *Inspector) Others(ctx context.Context, topic, own string) (*Others, error) {
	answer, err := i.client.ListGroups(ctx, &kafka.ListGroupsRequest{})
	if err == nil {
		err = answer.Error
	}
	if err != nil {
		return nil, err
	}
	var names []string
	for _, g := range answer.Groups {
		if g.GroupID != own && g.GroupID != "" {
			names = append(names, g.GroupID)
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	found := &Others{Unseen: max(0, len(names)-mostGroups)}
	names = names[:min(len(names), mostGroups)]
	reader := consumer.NewGroupReader(i.cluster, own, topic)
	defer reader.Close()
	var others, unseen collect[Other]
	var asking errgroup.Group
	asking.SetLimit(groupsAtOnce)
	for _, name := range names {
		asking.Go(func() error {
			other, consumes, err := otherOf(ctx, reader.Of(name), name)
			switch {
			case err != nil:
				unseen.add(other)
			case consumes:
				others.add(other)
			}
			return nil
		})
	}
	_ = asking.Wait() // the errors are counted
	found.Groups = others.list
	slices.SortFunc(found.Groups, func(a, b Other) int { return cmp.Compare(a.Group, b.Group) })
	found.Unseen += len(unseen.list)
	found.Asked = len(names) - len(unseen.list)
	return found, ctx.Err()
}

// otherOf asks whether a group has offsets of the topic.
func otherOf(ctx context.Context, r *consumer.GroupReader, group string) (o Other, consumes bool, err error) {
	o.Group = word(group)
	progress, err := r.Read(ctx)
	for _, p := range progress {
		if p.Watermark < 0 {
			continue
		}
		consumes = true
		o.ByService = o.ByService || p.ByService
		if p.App != "" {
			o.App = p.App
		}
	}
	return o, consumes, err
}
