package main

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"convdel/consumer"
	"convdel/consumer/cluster"
	"convdel/internal/status"
)

// statusCommand shows what the replicas are doing.
type statusCommand struct {
	Admin  string `default:"http://127.0.0.1:8080" group:"output" help:"Admin addresses of the replicas, comma-separated." placeholder:"URL,..."`
	Watch  bool   `group:"output" help:"Ask again and again, until it is told to stop."`
	Every  string `default:"2s" group:"output" help:"With --watch: how often." placeholder:"TIME"`
	Format string `default:"table" group:"output" help:"table; json, one object." placeholder:"FORMAT" words:"table,json"`

	brokerSettings      `embed:"" group:"kafka" set:"brokers_when=Asked if no replica answers."`
	memberSettings      `embed:"" group:"kafka"`
	letterTopicSettings `embed:"" group:"kafka"`
	securitySettings    `embed:"" group:"kafka"`
}

// Help explains more than the flags' texts can.
func (*statusCommand) Help() string {
	return `One screen: what the replicas are doing, why not, how long still; each partition by its owner, the oldest
unfinished events, dead letters. If no replica answers, and --brokers is given, Kafka is asked for the
group's offsets.

    convdel status
    convdel status --admin http://convdel-0:8080,http://convdel-1:8080 --watch
    convdel status --brokers kafka-1:9092 --format json

Exit status: 0 a replica or Kafka has answered, whatever it says; 1 nothing has; 2 wrong usage.`
}

// statusAsker asks replicas, and Kafka if none of them answers.
type statusAsker struct {
	replicas       []string
	brokers        *cluster.Config // nil if there are none to ask
	group          string
	topic, letters string
}

// errNoStatus says that nothing has answered.
var errNoStatus = errors.New("neither a replica nor Kafka has answered")

// Run asks, once or again and again.
func (s *statusCommand) Run(ctx context.Context, con *console) error {
	c := checker{flagsOnly: []string{"admin", "every", "format"}}
	asker := statusAsker{
		replicas: c.adminURLs("admin", s.Admin), topic: c.topic("topic", s.Topic), group: c.printable("group", s.Group, 255),
		letters: c.letterTopic(s.Topic, s.DeadLetterTopic),
	}
	every := c.duration("every", s.Every, 100*time.Millisecond, 24*time.Hour)
	c.oneOf("format", s.Format, formatTable, formatJSON)
	if s.Brokers != "" {
		brokers := c.cluster(s.brokerSettings, s.securitySettings, con.env)
		asker.brokers = &brokers
	}
	if err := c.err(); err != nil {
		return err
	}
	screen := statusScreen{con: con, format: s.Format, watch: s.Watch}
	for {
		f := asker.ask(ctx)
		if ctx.Err() != nil {
			return screen.stopped(ctx)
		}
		if err := screen.show(&f); err != nil {
			return err
		}
		if !s.Watch {
			return screen.result
		}
		timer := time.NewTimer(every)
		select {
		case <-ctx.Done():
			timer.Stop()
			return screen.stopped(ctx)
		case <-timer.C:
		}
	}
}

// adminURLs reads comma-separated addresses of replicas.
func (c *checker) adminURLs(flag, text string) []string {
	c.note(flag, text)
	var all []string
	for one := range strings.SplitSeq(text, ",") {
		one = strings.TrimSpace(one)
		if !strings.Contains(one, "://") && one != "" {
			one = "http://" + one
		}
		u, err := url.Parse(one)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
			c.wrong(flag, text, "comma-separated URLs of scheme, host and port, such as http://127.0.0.1:8080")
			return nil
		}
		if one = u.Scheme + "://" + u.Host; !slices.Contains(all, one) {
			all = append(all, one)
		}
	}
	return all
}

// ask asks all replicas at once.
func (s *statusAsker) ask(ctx context.Context) status.Fleet {
	answers := make([]status.Answer, len(s.replicas))
	var asking sync.WaitGroup
	for i, replica := range s.replicas {
		asking.Go(func() { answers[i] = askReplica(ctx, replica) })
	}
	asking.Wait()
	f := status.FleetOf(answers, time.Now())
	if !f.Answered() && ctx.Err() == nil {
		s.askKafka(ctx, &f)
	}
	return f
}

// kafkaTakes bounds how long Kafka is asked.
const kafkaTakes = 20 * time.Second

// askKafka adds what the brokers say of the group.
func (s *statusAsker) askKafka(ctx context.Context, f *status.Fleet) {
	if s.brokers == nil {
		f.Notes = append(f.Notes, "Kafka was not asked: --brokers is not given")
		return
	}
	ctx, cancel := context.WithTimeout(ctx, kafkaTakes)
	defer cancel()
	k := &status.Kafka{Group: s.group, Members: -1, DeadLetters: -1}
	f.Kafka = k
	reader := consumer.NewGroupReader(*s.brokers, s.group, s.topic)
	defer reader.Close()
	state, err := reader.State(ctx)
	if err != nil {
		if refusal := cluster.Refusal(err); refusal != nil {
			err = refusal
		}
		k.Error = err.Error()
		return
	}
	f.TakeGroup(state)
	letters := consumer.NewGroupReader(*s.brokers, s.group, s.letters)
	defer letters.Close()
	if n, err := letters.Offsets(ctx); err == nil {
		k.DeadLetters = n
	} else {
		f.Notes = append(f.Notes, "dead letters not counted: "+err.Error())
	}
}
