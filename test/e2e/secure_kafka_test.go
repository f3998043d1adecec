//go:build kafka

package e2e

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"convdel/imclient/imtest"
)

// secureUser is the user that deploy/kafka/up.sh creates. Its password is the constant password.
const secureUser = "convdel"

// newSecureStage creates topics over TLS, with a SCRAM login.
func newSecureStage(t *testing.T) (s *stage, flags []string) {
	t.Helper()
	ca := setting(t, "TEST_CA_FILE")
	pem, err := os.ReadFile(ca)
	if err != nil {
		t.Fatal(err)
	}
	trusted := x509.NewCertPool()
	if !trusted.AppendCertsFromPEM(pem) {
		t.Fatalf("no certificate in %s", ca)
	}
	s = newStageOn(t, strings.Split(setting(t, "TEST_SECURE_BROKERS"), ","), 3, imtest.Config{},
		kgo.DialTLSConfig(&tls.Config{RootCAs: trusted, MinVersion: tls.VersionTLS12}),
		kgo.SASL(scram.Auth{User: secureUser, Pass: password}.AsSha512Mechanism()))
	return s, []string{"--kafka-tls", "--kafka-ca-file", ca, "--kafka-sasl", "scram-sha-512", "--kafka-username", secureUser}
}

// TestKafka_TLSAndSCRAM does a whole job over TLS with a login: publish, two replicas, dead letters listed.
func TestKafka_TLSAndSCRAM(t *testing.T) {
	t.Parallel()
	s, secure := newSecureStage(t)
	s.publishWith(secure, events("good", 0, 200)...)
	s.publishWith(secure, events("code-50001", 0, 7)...)
	replicas := []*process{
		s.service(append(secure, "--log-level", "debug")...),
		s.service(append(secure, "--log-level", "debug")...),
	}
	s.await(time.Minute, "every offset committed", s.drained)
	for _, p := range replicas {
		p.stop()
	}
	if again := s.wantDeleted(events("good", 0, 200)); again != 0 {
		t.Errorf("%d events done twice", again)
	}
	list := s.start(nil, append([]string{
		"deadletters", "list", "--brokers", strings.Join(s.brokers, ","), "--topic", s.topic,
		"--dead-letter-topic", s.dlt, "--format", "ndjson",
	}, secure...)...)
	<-list.done
	if n := strings.Count(list.stderr.String(), `"code-50001-`); list.err != nil || n != 7 {
		t.Errorf("list ended with %v and %d letters, want 7:\n%s", list.err, n, list.stderr.String())
	}
}

// TestKafka_RefusedLogins: the service ends with what to check if the brokers refuse it, hints at the reason where they just hang up,
// and does not log the password.
func TestKafka_RefusedLogins(t *testing.T) {
	t.Parallel()
	s, secure := newSecureStage(t)
	ca := setting(t, "TEST_CA_FILE")
	const wrong = "not-the-password-9d1f"
	for _, test := range []struct {
		name, says string
		flags, env []string
		ends       bool
	}{
		{"WrongPassword", "SASL Authentication Failed", secure, []string{"CONVDEL_KAFKA_PASSWORD=" + wrong}, true},
		{"UnknownUser", "check --kafka-username", append(secure, "--kafka-username", "nobody"), nil, true},
		{"WrongMechanism", "the broker offers \"SCRAM-SHA-512", append(secure, "--kafka-sasl", "plain"), nil, true},
		{"UnknownAuthority", "check --kafka-ca-file", []string{"--kafka-tls", "--kafka-sasl", "scram-sha-512", "--kafka-username", secureUser}, nil, true},
		{"NoTLS", "check --kafka-tls", []string{"--kafka-sasl", "scram-sha-512", "--kafka-username", secureUser}, nil, true},
		{"NoLogin", "check --kafka-sasl", []string{"--kafka-tls", "--kafka-ca-file", ca}, nil, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			one := *s
			one.tb, one.env = t, test.env
			p := one.service(append(test.flags, "--log-level", "debug")...)
			message := "brokers not reached, will retry"
			if test.ends {
				message = "convdel stops"
			}
			await(t, 30*time.Second, "the refusal in the log", func() bool { return len(p.lines(message)) > 0 })
			if test.ends {
				<-p.done
			} else {
				p.stop()
			}
			if line := p.lines(message)[0]; !strings.Contains(line.text("error"), test.says) {
				t.Errorf("the log says %q, want %q", line.text("error"), test.says)
			}
			wantNoSecret(t, "output", p.stderr.String(), wrong, password, secretKey)
		})
	}
}
