package main

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl/plain"

	"convdel/imclient/imtest"
	"convdel/internal/status"
	"convdel/schema"
)

// right is a right at Kafka.
type right struct {
	on   kmsg.ACLResourceType
	name string
	what kmsg.ACLOperation
}

func (r right) String() string { return fmt.Sprintf("%s on %s %s", r.what, r.on, r.name) }

// documentedRights reads the table of docs/access.md: the rights by command.
func documentedRights(t *testing.T) map[string][]right {
	t.Helper()
	text, err := os.ReadFile("../../docs/access.md")
	if err != nil {
		t.Fatal(err)
	}
	rights := map[string][]right{}
	for _, row := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\|(.*)\\|(.*)\\|(.*)\\|(.*)\\|$").FindAllStringSubmatch(string(text), -1) {
		rights[row[1]] = nil
		for i, on := range []right{
			{kmsg.ACLResourceTypeTopic, schema.Topic, 0},
			{kmsg.ACLResourceTypeTopic, schema.DeadLetterTopic, 0},
			{kmsg.ACLResourceTypeGroup, "convdel", 0},
			{kmsg.ACLResourceTypeTopic, outcomeTopic, 0},
		} {
			for word := range strings.SplitSeq(row[i+2], ",") {
				if word = strings.TrimSpace(word); word == "" {
					continue
				}
				if on.what, err = kmsg.ParseACLOperation(word); err != nil {
					t.Fatal(err)
				}
				rights[row[1]] = append(rights[row[1]], on)
			}
		}
	}
	return rights
}

// guardedShelf starts a broker where each user has some rights, given by its name. The test itself may do all.
func guardedShelf(t *testing.T, topics bool, users map[string][]right) *shelf {
	t.Helper()
	opts := []kfake.Opt{
		kfake.NumBrokers(1), kfake.EnableSASL(), kfake.EnableACLs(), kfake.Superuser("PLAIN", "root", testPassword),
		kfake.BrokerConfigs(map[string]string{"group.initial.rebalance.delay.ms": "0"}),
	}
	if topics {
		opts = append(opts, kfake.SeedTopics(2, schema.Topic, schema.DeadLetterTopic, outcomeTopic))
	}
	for user, rights := range users {
		var acls []kfake.ACL
		for _, r := range rights {
			acls = append(acls, kfake.ACL{
				Resource: r.on, Name: r.name, Pattern: kmsg.ACLResourcePatternTypeLiteral, Operation: r.what, Allow: true,
			})
		}
		opts = append(opts, kfake.User("PLAIN", user, testPassword, acls...))
	}
	cluster := kfake.MustCluster(opts...)
	client, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.MetadataMinAge(watchEvery),
		kgo.SASL(plain.Auth{User: "root", Pass: testPassword}.AsMechanism()))
	if err != nil {
		t.Fatal(err)
	}
	b := &demoBroker{cluster: cluster, client: client, admin: kadm.NewClient(client), address: cluster.ListenAddrs()[0]}
	t.Cleanup(b.close)
	return &shelf{demoBroker: b, t: t}
}

// as is the environment of a user.
func (s *shelf) as(user string) environment {
	return required().with(environment{
		"CONVDEL_BROKERS": s.address, "CONVDEL_KAFKA_SASL": "plain", "CONVDEL_KAFKA_USERNAME": user, "CONVDEL_KAFKA_PASSWORD": testPassword,
	})
}

// TestDocumentedRights: each command works with exactly the rights that docs/access.md names, and with none of them less.
func TestDocumentedRights(t *testing.T) {
	t.Parallel()
	args := map[string]string{
		"publish": "--from a --to b", "deadletters list": "", "deadletters show": id(1), "deadletters export": "",
		"deadletters replay": "--all --yes", "deadletters discard": "--all --yes --reason x",
		"events find": "--account a --outcome-topic " + outcomeTopic,
	}
	rights := documentedRights(t)
	for _, command := range model(t).Leaves(true) {
		for _, flag := range command.Flags {
			if _, documented := rights[command.Path()]; flag.Name == "kafka-sasl" && !documented {
				t.Errorf("docs/access.md lacks %s", command.Path())
			}
		}
	}
	for command, needed := range rights {
		t.Run(command, func(t *testing.T) {
			t.Parallel()
			users := map[string][]right{"all": needed}
			order := []string{}
			for i, r := range needed {
				name := "without " + r.String()
				users[name] = slices.Delete(slices.Clone(needed), i, i+1)
				order = append(order, name)
			}
			line := args[command]
			s := guardedShelf(t, command != "run --create-topics", users)
			if !strings.HasPrefix(command, "run") {
				s.put(letterOf(1))
				event := &kgo.Record{Topic: schema.Topic, Value: goodValue(1)}
				s.produce(event)
				ended := schema.DeadLetter{Topic: schema.Topic, Partition: int(event.Partition), Offset: event.Offset}.ID()
				s.deleted(ended)
				if command == "wait" {
					line = "--id " + ended + " --outcome-topic " + outcomeTopic
				}
			}
			for _, user := range append(order, "all") {
				var worked bool
				switch {
				case strings.HasPrefix(command, "run"):
					worked = s.works(user, strings.Fields(command)...)
				case command == "erase":
					worked = s.erases(user)
				case command == "check":
					worked = s.checks(user)
				case command == "status":
					worked = s.tells(user)
				default:
					run := invoke(t, s.as(user), "", append(strings.Fields(command), strings.Fields(line)...)...)
					worked = run.status == exitDone
					if !worked && user == "all" {
						t.Error(run.stdout, run.stderr)
					}
				}
				if worked != (user == "all") {
					t.Errorf("%s: worked is %t", user, worked)
				}
			}
		})
	}
}

// erases runs an erasure as a user whose parts nobody executes, and returns whether it has published them and waited for their outcomes.
func (s *shelf) erases(user string) bool {
	s.t.Helper()
	sim := startSim(s.t, imtest.Config{})
	run := invoke(s.t, s.as(user).with(environment{"CONVDEL_IM_ENDPOINT": sim.URL, "CONVDEL_OUTCOME_TOPIC": outcomeTopic}), "",
		"erase", "has-2-alice", "--request-id", user, "--yes", "--wait", "2s", "--format", "json")
	if run.status != exitUnfinished {
		return false
	}
	report := readJSON[eraseReport](s.t, run.stdout)
	return report.Conversations == 2 && report.Deleted == 0
}

// checks runs check as a user, and returns whether all is ok.
func (s *shelf) checks(user string, args ...string) bool {
	s.t.Helper()
	sim := startSim(s.t, imtest.Config{})
	run := invoke(s.t, s.as(user).with(environment{"CONVDEL_IM_ENDPOINT": sim.URL}), "", append([]string{"check"}, args...)...)
	if run.status != exitDone && user == "all" {
		s.t.Error(run.stdout, run.stderr)
	}
	return run.status == exitDone
}

// tells asks Kafka for the status as a user, and returns whether all of it was told.
func (s *shelf) tells(user string) bool {
	s.t.Helper()
	run := invoke(s.t, s.as(user), "", "status", "--admin", "http://127.0.0.1:1", "--format", "json")
	if run.status != exitDone {
		return false
	}
	fleet := readJSON[status.Fleet](s.t, run.stdout)
	return fleet.Kafka != nil && fleet.Kafka.DeadLetters >= 0 && len(fleet.Partitions) == 2
}

// works runs the service as a user, and returns whether an event that is deleted and one that becomes a dead letter both end.
func (s *shelf) works(user string, args ...string) bool {
	s.t.Helper()
	sim := startSim(s.t, imtest.Config{})
	p := start(s.t, s.as(user).with(environment{"CONVDEL_IM_ENDPOINT": sim.URL, "CONVDEL_ADMIN_ADDR": ""}), nil, args...)
	drained := func() bool {
		letters, err := s.ends(s.t.Context(), schema.DeadLetterTopic)
		written := int64(0)
		for _, end := range letters {
			written += end
		}
		if err != nil || written == 0 {
			return false
		}
		done, err := s.drained(s.t.Context())
		return done && err == nil
	}
	failed := func() bool {
		select {
		case <-p.done:
			return true
		default:
			return strings.Contains(p.stderr.String(), `"level":"ERROR"`)
		}
	}
	published := false
	await(s.t, user+": it works, or fails", func() bool {
		if !published {
			published = s.client.ProduceSync(s.t.Context(),
				&kgo.Record{Topic: schema.Topic, Value: goodValue(1)}, &kgo.Record{Topic: schema.Topic, Value: []byte("no event")}).FirstErr() == nil
		}
		return drained() || failed()
	})
	worked := drained()
	p.end()
	return worked
}
