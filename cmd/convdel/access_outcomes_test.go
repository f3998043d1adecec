package main

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"convdel/schema"
)

// accessOutcomes is the outcome topic of the tests of rights.
const accessOutcomes = "conversation.delete.ended"

// documentedOutcomeRights reads the second table of docs/access.md: the rights on the outcome topic by command.
func documentedOutcomeRights(t *testing.T) map[string][]right {
	t.Helper()
	text, err := os.ReadFile("../../docs/access.md")
	if err != nil {
		t.Fatal(err)
	}
	rights := map[string][]right{}
	for _, row := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\| ([A-Za-z, ]+) \\|$").FindAllStringSubmatch(string(text), -1) {
		for word := range strings.SplitSeq(row[2], ",") {
			what, err := kmsg.ParseACLOperation(strings.TrimSpace(word))
			if err != nil {
				t.Fatal(err)
			}
			rights[row[1]] = append(rights[row[1]], right{kmsg.ACLResourceTypeTopic, accessOutcomes, what})
		}
	}
	return rights
}

// TestDocumentedOutcomeRights: each command works with exactly the rights on the outcome topic that docs/access.md names, and with none of
// them less. An operator who names the topic needs no right to read it.
func TestDocumentedOutcomeRights(t *testing.T) {
	t.Parallel()
	rights, outcomes := documentedRights(t), documentedOutcomeRights(t)
	for _, command := range []string{"run", "run --create-topics", "check", "deadletters replay", "deadletters discard"} {
		if outcomes[command] == nil {
			t.Errorf("docs/access.md lacks the rights of %s on the outcome topic", command)
		}
	}
	for command, needed := range outcomes {
		t.Run(command, func(t *testing.T) {
			t.Parallel()
			users := map[string][]right{"all": slices.Concat(rights[command], needed)}
			var order []string
			for i, r := range needed {
				name := "without " + r.String()
				users[name] = slices.Concat(rights[command], slices.Delete(slices.Clone(needed), i, i+1))
				order = append(order, name)
			}
			s := guardedShelf(t, command != "run --create-topics", users)
			if command != "run --create-topics" {
				s.recordOne()
			}
			for _, user := range append(order, "all") {
				if worked := s.worksWithOutcomes(user, command); worked != (user == "all") {
					t.Errorf("%s: worked is %t", user, worked)
				}
			}
			if user := "without " + (right{kmsg.ACLResourceTypeTopic, accessOutcomes, kmsg.ACLOperationRead}).String(); users[user] != nil {
				if !s.worksWithOutcomes(user, command, "--outcome-topic", accessOutcomes) {
					t.Error("an operator who names the topic can't settle without reading it")
				}
			}
		})
	}
}

// recordOne creates the outcome topic and puts an outcome into it.
func (s *shelf) recordOne() {
	s.t.Helper()
	if _, err := s.admin.CreateTopic(s.t.Context(), 1, 1, nil, accessOutcomes); err != nil {
		s.t.Fatal(err)
	}
	r, err := schema.Outcome{Topic: schema.Topic, Partition: 3, Offset: 1, Kind: schema.OutcomeExhausted, Ended: time.Now()}.Encode()
	if err != nil {
		s.t.Fatal(err)
	}
	s.produce(&kgo.Record{Topic: accessOutcomes, Key: r.Key, Value: r.Value})
}

// worksWithOutcomes runs a command as a user. It returns whether it does its work.
func (s *shelf) worksWithOutcomes(user, command string, more ...string) bool {
	s.t.Helper()
	if strings.HasPrefix(command, "run") {
		return s.works(user, append(strings.Fields(command), "--outcome-topic", accessOutcomes)...)
	}
	if command == "check" {
		return s.checks(user, "--outcome-topic", accessOutcomes)
	}
	s.put(letterOf(1, func(l *testLetter) { l.OutcomeTopic = accessOutcomes }))
	args := append(strings.Fields(command), "--all", "--yes")
	if command == "deadletters discard" {
		args = append(args, "--reason", "x")
	}
	run := invoke(s.t, s.as(user), "", append(args, more...)...)
	return run.status == exitDone && strings.Contains(run.stdout, "ed 1 of 1\n")
}
