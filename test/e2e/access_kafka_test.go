//go:build kafka

package e2e

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kmsg"

	"convdel/imclient/imtest"
)

// right is a right on a topic, or on the group.
type right struct {
	what kadm.ACLOperation
	on   string
}

// documentedRights reads the two tables of docs/access.md: the rights of each command with an outcome topic.
func (s *stage) documentedRights() map[string][]right {
	s.tb.Helper()
	text, err := os.ReadFile("../../docs/access.md")
	if err != nil {
		s.tb.Fatal(err)
	}
	rights := make(map[string][]right)
	for _, row := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\|(.*)\\|$").FindAllStringSubmatch(string(text), -1) {
		on := []string{s.topic, s.dlt, s.group, s.outcomeTopic()}
		cells := strings.Split(row[2], "|")
		for i, cell := range cells {
			for word := range strings.SplitSeq(cell, ",") {
				if word = strings.TrimSpace(word); word == "" {
					continue
				}
				what, err := kmsg.ParseACLOperation(word)
				if err != nil {
					s.tb.Fatal(err)
				}
				rights[row[1]] = append(rights[row[1]], right{what, on[len(on)-len(cells)+i]})
			}
		}
	}
	return rights
}

// allow makes users with the given rights.
func (s *stage) allow(users map[string][]right) {
	s.tb.Helper()
	ctx := s.tb.Context()
	var made []kadm.UpsertSCRAM
	for user, rights := range users {
		made = append(made, kadm.UpsertSCRAM{User: user, Mechanism: kadm.ScramSha512, Iterations: 4096, Password: password})
		for _, r := range rights {
			acl := kadm.NewACLs().Allow("User:" + user).AllowHosts("*").ResourcePatternType(kadm.ACLPatternLiteral).Operations(r.what)
			if r.on == s.group {
				acl.Groups(r.on)
			} else {
				acl.Topics(r.on)
			}
			done, err := s.admin.CreateACLs(ctx, acl)
			if err != nil || len(done) != 1 || done[0].Err != nil {
				s.tb.Fatal(err, done)
			}
		}
	}
	done, err := s.admin.AlterUserSCRAMs(ctx, nil, made)
	if err != nil || done.Error() != nil {
		s.tb.Fatal(err, done.Error())
	}
	s.tb.Cleanup(func() {
		var gone []kadm.DeleteSCRAM
		for user := range users {
			gone = append(gone, kadm.DeleteSCRAM{User: user, Mechanism: kadm.ScramSha512})
			acl := kadm.NewACLs().Allow("User:" + user).AllowHosts("*").AnyResource().ResourcePatternType(kadm.ACLPatternAny).Operations()
			_, _ = s.admin.DeleteACLs(context.Background(), acl)
		}
		_, _ = s.admin.AlterUserSCRAMs(context.Background(), gone, nil)
	})
}

// as runs a command as a user.
func (s *stage) as(user, ca, command string, flags ...string) *process {
	s.tb.Helper()
	secure := []string{"--brokers", os.Getenv("TEST_SECURE_BROKERS"), "--kafka-tls", "--kafka-ca-file", ca, "--kafka-sasl", "scram-sha-512", "--kafka-username", user}
	if command == "erase" { // an account of its own
		flags = append(slices.Clone(flags), "has-2-"+strconv.FormatUint(rand.Uint64(), 36), "--request-id", user)
	}
	return s.start(nil, slices.Concat(strings.Fields(command), secure, flags)...)
}

// TestKafka_DocumentedRights: on a real Kafka, too, each command works with the rights that docs/access.md names for it. Those that read evidence, and
// the service that writes outcomes, do not work with one of these less.
func TestKafka_DocumentedRights(t *testing.T) {
	t.Parallel()
	ca := setting(t, "TEST_CA_FILE")
	s := newStage(t, 2, imtest.Config{})
	s.group = s.topic + ".group"
	s.createOutcomeTopic(2)
	rights := s.documentedRights()
	bad := []byte("no event")
	s.produce(append(values(t, events("user", 0, 4)), bad, bad, bad)...)
	ended, letter, other := s.topic+"/0/0", s.topic+"/0/2", s.topic+"/1/2"
	where := []string{"--topic", s.topic}
	letters := slices.Concat(where, []string{"--dead-letter-topic", s.dlt})
	evidence := slices.Concat(letters, []string{"--group", s.group, "--outcome-topic", s.outcomeTopic()})
	with := func(flags []string, more ...string) []string { return slices.Concat(flags, more) }
	service := slices.Concat(evidence, s.imFlags(), []string{"--admin-addr", "", "--log-format", "json", "--start", "earliest"})
	flags := map[string][]string{
		"run": service, "publish": with(where, "--from", "a", "--to", "b"),
		"wait": with(evidence, "--id", ended), "events find": with(evidence, "--account", "user-0"),
		"erase":            with(evidence, append(s.imFlags(), "--yes", "--wait", "1m")...),
		"deadletters list": letters, "deadletters show": with(letters, letter), "deadletters export": letters,
		"deadletters replay":  with(letters, "--id", letter, "--yes"),
		"deadletters discard": with(letters, "--id", other, "--yes", "--reason", "x"),
	}
	all, fewer := s.users(rights, slices.Collect(maps.Keys(flags)))
	s.allow(all)
	s.allow(fewer)

	p := s.as(s.user("run"), ca, "run", flags["run"]...)
	s.await(time.Minute, "every offset committed", s.drained)
	if n := len(s.records(s.outcomeTopic())); n != 7 {
		t.Errorf("%d outcomes, want 7", n)
	}
	for _, command := range []string{
		"publish", "wait", "events find", "erase", "deadletters list", "deadletters show", "deadletters export", "deadletters replay", "deadletters discard",
	} {
		one := s.as(s.user(command), ca, command, flags[command]...)
		if status := one.status(time.Minute); status != 0 {
			t.Errorf("%s: exit status %d\n%s", command, status, one.stderr.String())
		}
	}
	for user := range fewer {
		command, without, _ := strings.Cut(user, " without ")
		command = command[strings.LastIndex(command, "/")+1:]
		one := s.as(user, ca, command, flags[command]...)
		if status := one.status(time.Minute); status != 1 {
			t.Errorf("%s without %s: exit status %d\n%s", command, without, status, one.stderr.String())
		}
	}
	p.stop()
}

// user is the user that runs a command.
func (s *stage) user(command string) string { return s.topic + "/" + command }

// users are a user for each command, and further users that lack one right, of the commands that work with outcomes.
func (s *stage) users(rights map[string][]right, commands []string) (all, fewer map[string][]right) {
	all, fewer = make(map[string][]right), make(map[string][]right)
	for _, command := range commands {
		needed := rights[command]
		if all[s.user(command)] = needed; len(needed) == 0 {
			s.tb.Errorf("docs/access.md has no rights of %s", command)
		}
		for i, r := range needed {
			if command == "run" && r.on != s.outcomeTopic() || strings.HasPrefix(command, "deadletters") || command == "publish" {
				continue
			}
			name := fmt.Sprintf("%s without %v on %s", s.user(command), r.what, strings.TrimPrefix(r.on, s.topic))
			fewer[name] = slices.Delete(slices.Clone(needed), i, i+1)
		}
	}
	return all, fewer
}
