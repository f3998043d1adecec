package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"convdel/internal/secret"
	"convdel/schema"
)

// secureBroker starts a broker that asks for a password, and for TLS if a configuration is given.
func secureBroker(t *testing.T, method string, config *tls.Config) string {
	t.Helper()
	opts := []kfake.Opt{
		kfake.NumBrokers(1), kfake.SeedTopics(1, schema.Topic), kfake.EnableSASL(), kfake.Superuser(method, "service", testPassword),
	}
	if config != nil {
		opts = append(opts, kfake.TLS(config))
	}
	cluster, err := kfake.NewCluster(opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	return strings.Join(cluster.ListenAddrs(), ",")
}

func TestLoginToKafka(t *testing.T) {
	t.Parallel()
	for flag, method := range map[string]string{
		"plain": "PLAIN", "scram-sha-256": "SCRAM-SHA-256", "scram-sha-512": "SCRAM-SHA-512",
	} {
		t.Run(flag, func(t *testing.T) {
			t.Parallel()
			args := []string{
				"publish", "--brokers", secureBroker(t, method, nil), "--kafka-sasl", flag, "--kafka-username", "service",
				"--from", "a", "--to", "b",
			}
			run := invoke(t, environment{"CONVDEL_KAFKA_PASSWORD": testPassword}, "", args...)
			if run.status != exitDone || run.stdout != "published 1, refused 0\n" {
				t.Errorf("status %d, stdout %q, stderr %q", run.status, run.stdout, run.stderr)
			}
			run = invoke(t, environment{"CONVDEL_KAFKA_PASSWORD": "wrong-one"}, "", args...)
			if run.status != exitFailed || !strings.HasPrefix(run.stdout, "published 0") || strings.Contains(run.stderr, "wrong-one") {
				t.Errorf("wrong password: status %d, stdout %q, stderr %q", run.status, run.stdout, run.stderr)
			}
		})
	}
}

func TestPasswordFileIsReadAgain(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "password")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("first\n")
	login := &saslLogin{mechanism: saslPlain, username: "u", password: secretSource{file: secret.NewFile(path)}}
	for _, password := range []string{"first", "second"} {
		write(password + "\n")
		_, response, err := login.Start(t.Context())
		if err != nil || string(response) != "\x00u\x00"+password {
			t.Errorf("response %q, error %v", response, err)
		}
	}
	write("")
	if _, response, err := login.Start(t.Context()); err != nil || string(response) != "\x00u\x00second" {
		t.Errorf("from a file that has turned bad: response %q, error %v, want the last good password", response, err)
	}
	login.password = secretSource{file: secret.NewFile(path)}
	if _, _, err := login.Start(t.Context()); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("error %v, want one that names the file", err)
	}
}

func TestPasswordStaysOutOfErrors(t *testing.T) {
	t.Parallel()
	odd := testPassword + "\u0007" // SCRAM's SASLprep prohibits control characters
	login := &saslLogin{mechanism: saslSHA256, username: "u", password: secretSource{value: odd}}
	_, _, err := login.Start(t.Context())
	if err == nil {
		t.Fatal("no error")
	}
	for _, text := range []string{err.Error(), fmt.Sprintf("%v %+v %#v %s", login.password, login.password, login.password, login.password)} {
		noSecrets(t, text)
	}
}

func TestTLSWithOwnCertificates(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	server := certificate(t, filepath.Join(dir, "server"))
	client := certificate(t, filepath.Join(dir, "client"))
	pool := x509.NewCertPool()
	pool.AddCert(client.Leaf)
	brokers := secureBroker(t, "PLAIN", &tls.Config{
		Certificates: []tls.Certificate{server}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert, MinVersion: tls.VersionTLS12,
	})
	env := environment{
		"CONVDEL_BROKERS": brokers, "CONVDEL_KAFKA_SASL": "plain", "CONVDEL_KAFKA_USERNAME": "service", "CONVDEL_KAFKA_PASSWORD": testPassword,
		"CONVDEL_KAFKA_TLS": "true", "CONVDEL_KAFKA_CA_FILE": filepath.Join(dir, "server.crt"),
		"CONVDEL_KAFKA_CERT_FILE": filepath.Join(dir, "client.crt"), "CONVDEL_KAFKA_KEY_FILE": filepath.Join(dir, "client.key"),
	}
	if run := invoke(t, env, "", "publish", "--from", "a", "--to", "b"); run.status != exitDone {
		t.Errorf("status %d, stderr %q", run.status, run.stderr)
	}
	env["CONVDEL_KAFKA_CA_FILE"] = filepath.Join(dir, "client.crt") // not the broker's
	if run := invoke(t, env, "", "publish", "--from", "a", "--to", "b"); run.status != exitFailed || !strings.Contains(run.stderr, "x509") {
		t.Errorf("untrusted broker: status %d, stderr %q", run.status, run.stderr)
	}
	env["CONVDEL_KAFKA_KEY_FILE"] = filepath.Join(dir, "server.key")
	if run := invoke(t, env, "", "publish", "--from", "a", "--to", "b"); run.status != exitUsage || !strings.Contains(run.stderr, "must be a PEM certificate that fits --kafka-key-file") {
		t.Errorf("key of another certificate: status %d, stderr %q", run.status, run.stderr)
	}
}

// certificate writes a self-signed certificate for 127.0.0.1 to path.crt and path.key.
func certificate(t *testing.T, path string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{
		path + ".crt": {Type: "CERTIFICATE", Bytes: der}, path + ".key": {Type: "PRIVATE KEY", Bytes: keyDER},
	} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	made, err := tls.LoadX509KeyPair(path+".crt", path+".key")
	if err != nil {
		t.Fatal(err)
	}
	return made
}
