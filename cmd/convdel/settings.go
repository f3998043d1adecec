package main

import (
	"fmt"
	"sync"

	"github.com/alecthomas/kong"
)

// settingTag marks a flag that is a setting. A setting has an environment variable.
const settingTag = "setting"

// defaultTexts returns the default text of each setting of run, by flag.
var defaultTexts = sync.OnceValue(readDefaultTexts) //nolint:gochecknoglobals // what is compiled in, and takes a parser to find

func readDefaultTexts() map[string]string {
	texts := make(map[string]string)
	parser, err := newParser(&commands{}, &console{}, func(int) {})
	if err != nil {
		return texts // the command line has been parsed by such a parser
	}
	for _, command := range parser.Model.Children {
		for _, flag := range command.Flags {
			if command.Name == "run" && flag.Tag.Has(settingTag) {
				texts[flag.Name] = flag.Default
			}
		}
	}
	return texts
}

// toggle is the text of a switch. Like every setting it stays text until a [checker] reads it, since the parser stops at
// the first value that it cannot decode and so hides other wrong values.
type toggle string

// Decode takes the text of --flag=text or of the environment; a flag without a text is true.
func (t *toggle) Decode(ctx *kong.DecodeContext) error { //nolint:unparam // the signature is kong's
	*t = "true"
	if ctx.Scan.Peek().Type == kong.FlagValueToken {
		*t = toggle(fmt.Sprint(ctx.Scan.Pop().Value))
	}
	return nil
}

// IsBool allows the flag without a text.
func (*toggle) IsBool() bool { return true }

// brokerSettings locate the events.
type brokerSettings struct {
	Brokers string `help:"Addresses of brokers, comma-separated: some are enough. ${brokers_when}" placeholder:"HOST:PORT,..." setting:""`
	Topic   string `default:"${topic}" help:"Topic of the events. Its name must not end with .dead-letter." placeholder:"NAME" setting:""`
}

// memberSettings name the consumer group.
type memberSettings struct {
	Group string `default:"convdel" help:"Consumer group that owns the offsets." placeholder:"NAME" setting:""`
}

// groupSettings say how the topic is consumed.
type groupSettings struct {
	memberSettings      `embed:""`
	letterTopicSettings `embed:""`
	outcomeSettings     `embed:""`
	OutcomeAccounts     toggle `default:"true" help:"Record the conversation of each event in the outcome topic. Without it, IDs and erasures are recorded still, and IDs that publishers choose, or that follow from the account, can be guessed." setting:""`
	InstanceID          string `help:"Name of this replica in the group, different for each: a replica that comes back within --session-timeout has its partitions again without a rebalance. The older of two with the same name ends. Empty = none." name:"instance-id" placeholder:"NAME" setting:""`
	SessionTimeout      string `default:"12s" help:"How long the group keeps the partitions of a replica that it hears nothing of, 6s to 45s. The brokers must allow it." placeholder:"TIME" setting:""`
	CreateTopics        toggle `default:"false" help:"Create missing topics at the start, for development." setting:""`
	Start               string `default:"recent" help:"Where a group without any offset begins: earliest, latest, a time (RFC 3339, a date, or an age such as 36h or 2d), or recent, which is the earliest record if that is younger than an hour and an error otherwise. It has no effect once the group has offsets." placeholder:"WHERE" setting:"" words:"recent,earliest,latest"`
	Adopt               string `help:"Take the group over from the app of this SDKAppID (your own, if only the dead-letter topic has changed). The running replicas of that app end. Remove this setting afterwards." placeholder:"NUMBER" setting:""`
}

// letterTopicSettings locate the dead letters.
type letterTopicSettings struct {
	DeadLetterTopic string `help:"Topic of the dead letters. Default: TOPIC.dead-letter." placeholder:"TOPIC.dead-letter" setting:""`
}

// outcomeSettings locate the outcomes.
type outcomeSettings struct {
	OutcomeTopic string `help:"Topic where the end of every event, and every settlement of a dead letter, is recorded before it counts. Empty = none." placeholder:"NAME" setting:""`
}

// settleOutcomeSettings locate the outcomes of settled dead letters.
type settleOutcomeSettings struct {
	OutcomeTopic string `help:"Topic where settlements are recorded of letters that name a topic for outcomes. Default: the topic that the letter names, if the newest records there are outcomes." placeholder:"NAME" setting:""`
}

// securitySettings are the login to Kafka.
type securitySettings struct {
	TLS      toggle `default:"false" help:"Use TLS to the brokers." name:"kafka-tls" setting:""`
	CAFile   string `help:"Certificates to trust instead of the system's, PEM. Read again for each new connection." name:"kafka-ca-file" placeholder:"FILE" setting:""`
	CertFile string `help:"Own certificate, PEM. Read again for each new connection, with its key." name:"kafka-cert-file" placeholder:"FILE" setting:""`
	KeyFile  string `help:"Key of the own certificate, PEM." name:"kafka-key-file" placeholder:"FILE" setting:""`
	SASL     string `help:"Mechanism of the login: plain, scram-sha-256 or scram-sha-512. Empty = no login." name:"kafka-sasl" placeholder:"HOW" setting:"" words:"plain,scram-sha-256,scram-sha-512"`
	Username string `help:"User to log in as." name:"kafka-username" placeholder:"NAME" setting:""`
	Insecure toggle `default:"false" help:"Allow secrets on unencrypted connections to other hosts: a login without --kafka-tls, an http:// endpoint, a redis:// URL with a password." setting:""`
}

// apiSettings identify the app at Tencent IM.
type apiSettings struct {
	Endpoint   string `default:"https://console.tim.qq.com" help:"Scheme and host of the API." name:"im-endpoint" placeholder:"URL" setting:""`
	SDKAppID   string `help:"The app's SDKAppID. Required." name:"im-sdkappid" placeholder:"NUMBER" setting:""`
	Identifier string `default:"administrator" help:"Account of the app's administrator." name:"im-identifier" placeholder:"USERID" setting:""`
}

// paceSettings say how fast and how often the API is called.
type paceSettings struct {
	CallsPerSecond string `default:"200" help:"The app's quota, all replicas together; 0 = no limit." placeholder:"NUMBER" setting:""`
	Quota          string `default:"partitions" help:"partitions: this replica uses the share of the quota that it owns of the partitions; redis: all replicas share the quota in Redis; local: a single replica uses all of it." placeholder:"HOW" setting:"" words:"partitions,redis,local"`
	RedisKey       string `help:"With --quota=redis: services with the same key share the quota. Default: convdel:quota:SDKAPPID." placeholder:"NAME" setting:""`
	CallTimeout    string `default:"5s" help:"How long one call may take." placeholder:"TIME" setting:""`
	MaxCalls       string `default:"0" help:"Calls under way at once; 0 = as many as the quota and the timeout need." placeholder:"NUMBER" setting:""`
	MaxAttempts    string `default:"6" help:"Failed calls that count, after which an event is a dead letter." placeholder:"NUMBER" setting:""`
	RetryInitial   string `default:"500ms" help:"Wait before an event's second attempt; it doubles with each one." placeholder:"TIME" setting:""`
	RetryMax       string `default:"30s" help:"Longest wait between two attempts." placeholder:"TIME" setting:""`
}

// boundSettings limit memory and time.
type boundSettings struct {
	MaxInFlight      string `default:"2000" help:"Events in memory, waiting or calling." placeholder:"NUMBER" setting:""`
	MaxInFlightBytes string `default:"16777216" help:"Bytes of the events in memory." placeholder:"BYTES" setting:""`
	MaxBatchBytes    string `default:"67108864" help:"Bytes to which a batch may decompress; the rest of a larger batch becomes a dead letter." placeholder:"BYTES" setting:""`
	MaxRecordBytes   string `default:"8388608" help:"Bytes of a record, 64 more for each header; a larger record becomes a dead letter without its value." placeholder:"BYTES" setting:""`
	MaxEventAge      string `default:"0" help:"An older event is not executed and becomes a dead letter, class expired; 0 = no limit." placeholder:"TIME" setting:""`
	RevivedCheck     string `default:"0" help:"An older event is executed only if its account's list of conversations shows no message since; otherwise it becomes a dead letter, class revived; 0 = not checked." placeholder:"TIME" setting:""`
	DrainTimeout     string `default:"15s" help:"How long a stop waits for the calls under way." placeholder:"TIME" setting:""`
}

// operationSettings are about logs and the admin addresses.
type operationSettings struct {
	AdminAddr     string `default:"127.0.0.1:8080" help:"Address of the status page, /status, /metrics, /livez and /readyz; empty = none." placeholder:"HOST:PORT" setting:""`
	AdminHosts    string `help:"More names by which the admin address may be asked for, comma-separated. IP addresses, localhost and the name in --admin-addr always may." placeholder:"NAME,..." setting:""`
	AdminAccounts toggle `default:"false" help:"Show accounts on the admin address, and errors that name them." setting:""`
	LogLevel      string `default:"info" help:"debug, info, warn or error." placeholder:"LEVEL" setting:"" words:"debug,info,warn,error"`
	LogAccounts   toggle `default:"true" help:"Show errors that name accounts as they are in the log; false hides the accounts." setting:""`
	LogFormat     string `default:"auto" help:"text, json, or auto: text on a terminal, JSON elsewhere." placeholder:"FORMAT" setting:"" words:"auto,text,json"`
}

// These are the keys of the groups in which flags are shown.
const (
	groupKafka  = "kafka"
	groupAPI    = "api"
	groupPace   = "pace"
	groupBounds = "bounds"
	groupOps    = "operations"
	groupEvent  = "event"
	groupEvents = "events"
	groupErase  = "erasure"
	groupInput  = "input"
	groupDemo   = "demo"
	groupSim    = "simulator"
	groupFilter = "filter"
	groupOutput = "output"
	groupSettle = "settle"
)

// flagGroups returns the groups' titles. A group with a secret also describes the secret, since a secret has no flag.
func flagGroups() []kong.Group {
	return []kong.Group{
		{Key: groupEvent, Title: "One event"},
		{Key: groupEvents, Title: "Which events"},
		{Key: groupErase, Title: "Erasure"},
		{Key: groupInput, Title: "Input and output"},
		{Key: groupDemo, Title: "Demo"},
		{Key: groupSim, Title: "Simulator"},
		{
			Key: groupFilter, Title: "Which letters",
			Description: "Without a filter, all; replay and discard then take --all. Different filters must all match; of several classes, codes or IDs in one filter, any.",
		},
		{Key: groupOutput, Title: "Output"},
		{Key: groupSettle, Title: "What is done"},
		{
			Key: groupKafka, Title: "Kafka",
			Description: "The password has no flag: " + kafkaPassword.sources() + ".",
		},
		{
			Key: groupAPI, Title: "Tencent IM",
			Description: "The app's secret key has no flag: " + imSecretKey.sources() + ". Required.",
		},
		{
			Key: groupPace, Title: "Quota and retries",
			Description: "Redis's URL, with --quota=redis, has no flag, since it may hold a password: " + redisURL.sources() + ".",
		},
		{Key: groupBounds, Title: "Memory and time"},
		{Key: groupOps, Title: "Operations"},
	}
}
