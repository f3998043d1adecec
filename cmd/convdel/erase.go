package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"convdel/consumer/evidence"
	"convdel/imclient"
	"convdel/internal/erasure"
	"convdel/internal/erasure/desk"
	"convdel/internal/publish"
	"convdel/schema"
)

// eraseCommand erases all conversations of an account.
type eraseCommand struct {
	Account     string  `arg:"" help:"The account (UserID)." name:"account"`
	RequestID   string  `group:"erasure" help:"Names the request (erasureid). The same one goes on where it was. Required." name:"request-id" placeholder:"ID"`
	OtherSides  bool    `group:"erasure" help:"For each conversation of two also the other account's entry."`
	ClearRamble bool    `group:"erasure" help:"Clear the messages stored for roaming, too."`
	Also        *string `group:"erasure" help:"Conversations that the list does not show: lines such as \"c2c bob\" or \"g2c @TGS#1\", or JSON objects of From_Account, Type and To_Account." placeholder:"FILE"`
	Yes         bool    `group:"erasure" help:"Do it. Without this flag, the plan is shown."`
	Rate        string  `default:"50" group:"erasure" help:"Parts published, and calls for lists, a second." placeholder:"NUMBER"`
	Wait        string  `default:"30m" group:"erasure" help:"How long all of it may take." placeholder:"TIME"`
	ListFlags   string  `default:"63" group:"erasure" help:"AssistFlags of get_list: what lists show." placeholder:"NUMBER"`
	Since       *string `group:"erasure" help:"When the request was begun at the earliest: RFC 3339, a date, or an age such as 2d. It saves reading what is older; if it is too late, parts are published again. Default: all is read." placeholder:"TIME"`
	Format      string  `default:"table" group:"output" help:"table; json, the report as one object." placeholder:"FORMAT" words:"table,json"`
	Report      *string `group:"output" help:"Write the report (JSON) to this file, which nobody else may read (mode 0600)." placeholder:"FILE"`

	evidenceSettings `embed:""`
	apiSettings      `embed:"" group:"api"`
}

// Help explains more than the flags' texts can.
func (*eraseCommand) Help() string {
	return `Reads the account's list of conversations, publishes an event for each, waits for their outcomes, and reads
the list again, in rounds, since the API shows the most recent 100 to 500 conversations only. It ends when
the list is empty, or nothing but exceptions is left. The service must be running, with --outcome-topic, and
this command needs the same one.

    convdel erase alice --request-id R-1                                       # the plan
    convdel erase alice --request-id R-1 --other-sides --yes --report R-1.json

The same command goes on where it was, after kill -9 too: all it knows is in Kafka. A conversation that gets a
message after the request's first event is reported and left alone; a new request deletes it. With --clear-ramble
or --other-sides besides, it asks for that of what is deleted already, too.

Block the account's logins first, and delete the account last. docs/erasure.md says what a report proves.

Exit status: 0 verified, or a plan; 3 not finished in the time; 4 finished with exceptions, or nothing was
ever found for the account; 1 it failed; 2 wrong usage, no outcome topic, or a group of another app.`
}

// eraseConfig is what an erasure needs, read and checked.
type eraseConfig struct {
	request  erasure.Request
	evidence evidence.Config
	im       imclient.Config
	wait     time.Duration
	since    time.Time
	rate     int
	flags    int
}

// Run erases, or shows the plan.
func (e *eraseCommand) Run(ctx context.Context, con *console) error {
	cfg, err := e.check(con)
	if err != nil {
		return err
	}
	client, err := imclient.New(cfg.im)
	if err != nil {
		return asUsage(err)
	}
	defer client.CloseIdleConnections()
	if err := checkGroup(ctx, con, &cfg); err != nil {
		return err
	}
	reader, err := openEvidence(ctx, con, cfg.evidence)
	if err != nil {
		return err
	}
	defer reader.Close()
	writer := publish.NewWriter(cfg.evidence.Cluster, cfg.evidence.Topic)
	defer func() { _ = writer.Close() }() // each write was acknowledged, or has failed
	patience := cfg.wait
	if !e.Yes {
		patience = min(patience, planPatience)
	}
	now := time.Now()
	deadline := now.Add(patience)
	clerk := desk.New(desk.Config{
		Topic: cfg.evidence.Topic, RequestID: cfg.request.ID, Account: cfg.request.Account, Since: cfg.since, Rate: cfg.rate, Flags: cfg.flags,
		Deadline: deadline, ReadUntil: now.Add(max(patience, readPatience)),
		Finding: func() (end func()) { return showReading(con, reader) },
		Trouble: func(of desk.Task, err error) { sayTrouble(con, of, err) },
	}, reader, client, writer)
	if !e.Yes {
		res, err := erasure.Plan(ctx, clerk, &cfg.request)
		if err != nil {
			return stoppedBy(ctx, err)
		}
		return e.show(con, &cfg, clerk, &res)
	}
	res, err := erasure.Run(ctx, clerk, &cfg.request, erasure.Options{
		Deadline: deadline, Pause: listPause, Looks: lingerLooks, Round: func(r erasure.Ruling) { sayRound(con, &r) },
	})
	if err == nil {
		return e.show(con, &cfg, clerk, &res)
	}
	if res.State != "" {
		res.State = erasure.InProgress
		if shown := e.show(con, &cfg, clerk, &res); shown != nil && shown != errUnfinished { //nolint:errorlint // it is returned as it is
			say(con.stderr, "%s\n", visible(shown.Error()))
		}
	}
	return fmt.Errorf("%w; the same command goes on", stoppedBy(ctx, err))
}

// checkGroup refuses the group of another app, and warns of one that nobody knows.
func checkGroup(ctx context.Context, con *console, cfg *eraseConfig) error {
	known, err := desk.CheckGroup(ctx, cfg.evidence, cfg.im.SDKAppID)
	if other, ok := errors.AsType[*desk.OtherAppError](err); ok {
		return &usageError{lines: []string{fmt.Sprintf("--im-sdkappid (CONVDEL_IM_SDKAPPID) is %q: %v", other.Ours, other)}}
	}
	if err != nil {
		return stoppedBy(ctx, err)
	}
	if !known {
		say(con.stderr, "group %s has committed nothing of %s: is the service running?\n", cfg.evidence.Group, cfg.evidence.Topic)
	}
	return nil
}

const (
	// planPatience is how long a plan tries to read lists.
	planPatience = time.Minute
	// readPatience is how long lists are read at least, however short the time is: there is a report then.
	readPatience = 10 * time.Second
	// listPause is the time between two looks at a list, lingerLooks how often one is read again that shows what was deleted.
	listPause   = 2 * time.Second
	lingerLooks = 3
)

func (e *eraseCommand) check(con *console) (eraseConfig, error) {
	c := checker{flagsOnly: []string{
		"request-id", "other-sides", "clear-ramble", "also", "yes", "rate", "wait", "list-flags", "since", "format", "report", "account",
	}}
	var cfg eraseConfig
	cfg.evidence = c.evidence(e.evidenceSettings, con.env)
	c.eventTopic(cfg.evidence.Topic)
	if cfg.evidence.OutcomeTopic == "" {
		c.wrong("outcome-topic", "", "the topic where the service records the end of every event: nothing else proves an erasure")
	}
	c.checkAPI(e.apiSettings, cfg.evidence.Cluster.Insecure, con.env, &cfg.im)
	cfg.rate = int(c.number("rate", e.Rate, 1, 200, ""))
	cfg.flags = int(c.number("list-flags", e.ListFlags, 1, 1<<20, ""))
	cfg.wait = c.duration("wait", e.Wait, 0, 365*24*time.Hour)
	cfg.since = c.moment("since", e.Since, time.Now())
	c.oneOf("format", e.Format, formatTable, formatJSON)
	c.reportFile(e.Report)
	cfg.request = erasure.Request{ID: e.RequestID, Account: e.Account, OtherSides: e.OtherSides, ClearRamble: e.ClearRamble}
	c.checkErasure(&cfg.request)
	if len(c.problems) == 0 && e.Also != nil {
		cfg.request.Also = c.also(*e.Also, e.Account)
	}
	return cfg, c.err()
}

// checkErasure checks the names of a request.
func (c *checker) checkErasure(q *erasure.Request) {
	if q.ID == "" {
		c.wrong("request-id", "", "the request's name, which the same command uses to go on")
	} else {
		c.line("request-id", q.ID)
	}
	event := schema.Event{Conversation: schema.Conversation{From: q.Account, Type: schema.G2C, To: "g"}}
	err := event.Validate()
	if err == nil {
		err = checkSides(event)
	}
	if err != nil {
		c.problems = append(c.problems, fmt.Sprintf("ACCOUNT is %s: %v", quote(q.Account), err))
	}
}

// reportFile checks early what would only fail once the work is done.
func (c *checker) reportFile(name *string) {
	if name != nil && (*name == "" || *name == "-" || !canWritePrivate(*name)) {
		c.wrong("report", *name, "the name of a file that can be written, in a directory that is there")
	}
}
