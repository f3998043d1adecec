package main

import (
	"crypto/tls"
	"crypto/x509"
	"path/filepath"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"convdel/schema"
)

// refusingBroker starts a broker with the topics that the commands need.
func refusingBroker(t *testing.T, opts ...kfake.Opt) environment {
	t.Helper()
	broker, err := kfake.NewCluster(append([]kfake.Opt{
		kfake.NumBrokers(1), kfake.SeedTopics(1, schema.Topic, schema.DeadLetterTopic),
	}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(broker.Close)
	return required().with(environment{"CONVDEL_BROKERS": strings.Join(broker.ListenAddrs(), ","), "CONVDEL_ADMIN_ADDR": ""})
}

// kafkaCommands are one command for each way to Kafka.
func kafkaCommands() map[string][]string {
	return map[string][]string{
		"run":     {"run", "--log-format", "text"},
		"publish": {"publish", "--from", "a", "--to", "b"},
		"list":    {"deadletters", "list"},
		"replay":  {"deadletters", "replay", "--class", "exhausted", "--yes"},
	}
}

// wantRefused runs the commands, which must end with status 1 and say in one line what to check.
func wantRefused(t *testing.T, env environment, check string, commands ...string) {
	t.Helper()
	for _, name := range commands {
		run := invoke(t, env, "", kafkaCommands()[name]...)
		var lines []string
		for line := range strings.Lines(run.stderr) {
			if name != "run" || strings.Contains(line, "convdel stops") {
				lines = append(lines, line)
			}
		}
		if run.status != exitFailed || len(lines) != 1 || !strings.Contains(lines[0], check) {
			t.Errorf("%s: status %d, want one line with %q:\n%s", name, run.status, check, run.stderr)
		}
	}
}

// TestRefusedLogin: a broker that refuses the login is not a broker that is away.
func TestRefusedLogin(t *testing.T) {
	t.Parallel()
	login := func(mechanism, user, password string) environment {
		return environment{"CONVDEL_KAFKA_SASL": mechanism, "CONVDEL_KAFKA_USERNAME": user, "CONVDEL_KAFKA_PASSWORD": password}
	}
	for name, test := range map[string]struct {
		method string
		login  environment
		check  string
	}{
		"wrong password, plain":     {"PLAIN", login("plain", "service", "wrong"), "check --kafka-username, CONVDEL_KAFKA_PASSWORD"},
		"wrong password, scram-256": {"SCRAM-SHA-256", login("scram-sha-256", "service", "wrong"), "check --kafka-username, CONVDEL_KAFKA_PASSWORD"},
		"wrong password, scram-512": {"SCRAM-SHA-512", login("scram-sha-512", "service", "wrong"), "check --kafka-username, CONVDEL_KAFKA_PASSWORD"},
		"unknown user":              {"SCRAM-SHA-512", login("scram-sha-512", "nobody", testPassword), "check --kafka-username, CONVDEL_KAFKA_PASSWORD"},
		"password SCRAM can't take": {"SCRAM-SHA-256", login("scram-sha-256", "service", testPassword+"\u05d0"), "check --kafka-username, CONVDEL_KAFKA_PASSWORD"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			env := refusingBroker(t, kfake.EnableSASL(), kfake.Superuser(test.method, "service", testPassword)).with(test.login)
			wantRefused(t, env, test.check, "run", "publish", "list", "replay")
		})
	}
}

// TestRefusedCertificates: so do brokers, or this side, that refuse certificates or TLS.
func TestRefusedCertificates(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	server, client := certificate(t, at("server")), certificate(t, at("client"))
	certificate(t, at("stranger"))
	trusted := x509.NewCertPool()
	trusted.AddCert(client.Leaf)
	for version, name := range map[uint16]string{tls.VersionTLS12: "TLS 1.2", tls.VersionTLS13: "TLS 1.3"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			base := refusingBroker(t, kfake.TLS(&tls.Config{
				Certificates: []tls.Certificate{server}, ClientCAs: trusted, ClientAuth: tls.RequireAndVerifyClientCert,
				MinVersion: version, MaxVersion: version,
			}))
			secure := base.with(environment{"CONVDEL_KAFKA_TLS": "true", "CONVDEL_KAFKA_CA_FILE": at("server.crt")})
			wantRefused(t, secure, "check --kafka-cert-file", "run", "publish", "list")
			wantRefused(t, secure.with(environment{"CONVDEL_KAFKA_CERT_FILE": at("stranger.crt"), "CONVDEL_KAFKA_KEY_FILE": at("stranger.key")}),
				"check --kafka-cert-file", "run", "publish")
			wantRefused(t, secure.with(environment{"CONVDEL_KAFKA_CA_FILE": at("client.crt")}), "check --kafka-ca-file", "run", "publish", "list")
		})
	}
}

// TestRefusedRights: the brokers let the user in, and not do what it has to do.
func TestRefusedRights(t *testing.T) {
	t.Parallel()
	may := func(kind kmsg.ACLResourceType, name string, what kmsg.ACLOperation) kfake.ACL {
		return kfake.ACL{Resource: kind, Name: name, Pattern: kmsg.ACLResourcePatternTypeLiteral, Operation: what, Allow: true}
	}
	readTopic := may(kmsg.ACLResourceTypeTopic, schema.Topic, kmsg.ACLOperationRead)
	letters := may(kmsg.ACLResourceTypeTopic, schema.DeadLetterTopic, kmsg.ACLOperationWrite)
	group := may(kmsg.ACLResourceTypeGroup, "convdel", kmsg.ACLOperationRead)
	for name, test := range map[string]struct {
		rights   []kfake.ACL
		names    string
		commands []string
	}{
		"none":                    {nil, "conversation.delete.requested", []string{"run", "publish", "list"}},
		"not the dead letters":    {[]kfake.ACL{readTopic, group}, schema.DeadLetterTopic, []string{"run", "list"}},
		"not the group":           {[]kfake.ACL{readTopic, letters}, "Group Authorization Failed", []string{"run"}},
		"not to read the events":  {[]kfake.ACL{may(kmsg.ACLResourceTypeTopic, schema.Topic, kmsg.ACLOperationDescribe), letters, group}, "Topic Authorization Failed", []string{"run"}},
		"not to write the events": {[]kfake.ACL{readTopic}, "write to topic conversation.delete.requested", []string{"publish"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			env := refusingBroker(t, kfake.EnableSASL(), kfake.EnableACLs(), kfake.Superuser("PLAIN", "admin", "admin"),
				kfake.User("PLAIN", "service", testPassword, test.rights...)).with(environment{
				"CONVDEL_KAFKA_SASL": "plain", "CONVDEL_KAFKA_USERNAME": "service", "CONVDEL_KAFKA_PASSWORD": testPassword,
			})
			wantRefused(t, env, "check the ACLs of the user in --kafka-username", test.commands...)
			wantRefused(t, env, test.names, test.commands...)
		})
	}
}

// TestHints: where a broker closes the connection, the reason can't be known. The message names what it may be.
func TestHints(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "server")
	server := certificate(t, path)
	for name, test := range map[string]struct {
		broker []kfake.Opt
		says   string
	}{
		"no TLS to a port with":   {[]kfake.Opt{kfake.TLS(&tls.Config{Certificates: []tls.Certificate{server}, MinVersion: tls.VersionTLS12})}, "check --kafka-tls"},
		"no login to a port with": {[]kfake.Opt{kfake.EnableSASL(), kfake.Superuser("PLAIN", "service", testPassword)}, "check --kafka-sasl and --brokers"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			env := refusingBroker(t, test.broker...)
			for _, command := range []string{"publish", "list"} {
				run := invoke(t, env, "", kafkaCommands()[command]...)
				if run.status != exitFailed || !strings.Contains(run.stderr, test.says) {
					t.Errorf("%s: status %d, want %q:\n%s", command, run.status, test.says, run.stderr)
				}
			}
			if strings.Contains(name, "no TLS") {
				return // some brokers say so themselves, and then `run` ends
			}
			p := start(t, env, nil, kafkaCommands()["run"]...)
			await(t, "the hint in the log", func() bool { return strings.Contains(p.stderr.String(), test.says) })
		})
	}
}
