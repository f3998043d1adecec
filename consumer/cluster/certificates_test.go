package cluster_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kfake"

	"convdel/consumer/cluster"
	"convdel/internal/testkit"
)

// issued is a certificate and its key, in PEM.
type issued struct{ cert, key []byte }

// issue makes a self-signed certificate for 127.0.0.1.
func issue(t *testing.T, name string) issued {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return issued{pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})}
}

func (i issued) pair(t *testing.T) *tls.Certificate {
	t.Helper()
	made, err := tls.X509KeyPair(i.cert, i.key)
	if err != nil {
		t.Fatal(err)
	}
	return &made
}

func write(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// secure is a broker over TLS that notes who connects, and whose certificate changes.
type secure struct {
	t      *testing.T
	config cluster.Config
	log    *testkit.Buffer

	mu   sync.Mutex
	own  *tls.Certificate
	seen string
}

// secureBroker starts a broker with the certificate own. A client gets in with any certificate.
func secureBroker(t *testing.T, own issued, files cluster.CertificateFiles) *secure {
	t.Helper()
	s := &secure{t: t, own: own.pair(t), log: new(testkit.Buffer)}
	broker := kfake.MustCluster(kfake.NumBrokers(1), kfake.TLS(&tls.Config{
		MinVersion: tls.VersionTLS12, ClientAuth: tls.RequireAnyClientCert,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			s.mu.Lock()
			defer s.mu.Unlock()
			return s.own, nil
		},
		VerifyConnection: func(state tls.ConnectionState) error {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.seen = state.PeerCertificates[0].Subject.CommonName
			return nil
		},
	}))
	t.Cleanup(broker.Close)
	certificates, err := cluster.ReadCertificates(files)
	if err != nil {
		t.Fatal(err)
	}
	s.config = cluster.Config{
		Brokers: broker.ListenAddrs(), TLS: &tls.Config{MinVersion: tls.VersionTLS12}, Certificates: certificates,
		Logger: slog.New(slog.NewTextHandler(s.log, nil)),
	}
	return s
}

// wantSeen makes a connection, which must show the certificate of that name.
func (s *secure) wantSeen(name string) {
	s.t.Helper()
	conn, err := s.config.Connect(s.t.Context(), "tcp", s.config.Brokers[0])
	if err != nil {
		s.t.Fatal(err)
	}
	_ = conn.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.seen != name {
		s.t.Errorf("the broker has seen %q, want %q", s.seen, name)
	}
}

// TestCertificatesAreReadAgain: each new connection uses what the files hold then. What can't be used counts as not there.
func TestCertificatesAreReadAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	files := cluster.CertificateFiles{CA: filepath.Join(dir, "ca.crt"), Cert: filepath.Join(dir, "tls.crt"), Key: filepath.Join(dir, "tls.key")}
	brokers, first, second, third := issue(t, "broker"), issue(t, "first"), issue(t, "second"), issue(t, "third")
	write(t, files.CA, brokers.cert)
	write(t, files.Cert, first.cert)
	write(t, files.Key, first.key)
	s := secureBroker(t, brokers, files)
	s.wantSeen("first")

	for what, half := range map[string][]byte{"another pair's": second.cert, "cut short": second.cert[:200], "empty": nil} {
		before := len(s.log.String())
		write(t, files.Cert, half)
		s.wantSeen("first")
		s.wantSeen("first")
		said := s.log.String()[before:]
		if n := strings.Count(said, "level=WARN"); n != 1 || !strings.Contains(said, files.Cert) {
			t.Errorf("%s: %d warnings, want one that names the file:\n%s", what, n, said)
		}
		write(t, files.Cert, first.cert)
		s.wantSeen("first")
	}

	write(t, files.Cert, second.cert)
	write(t, files.Key, second.key)
	s.wantSeen("second")
	if !strings.Contains(s.log.String(), "level=INFO") {
		t.Errorf("no line about the new certificate:\n%s", s.log.String())
	}

	if err := os.Remove(files.Key); err != nil {
		t.Fatal(err)
	}
	s.wantSeen("second")
	write(t, files.Key, third.key)
	write(t, files.Cert, third.cert)
	s.wantSeen("third")
}

// TestAuthoritiesAreReadAgain: the broker's certificate is another authority's now, as the file says too, but only later.
func TestAuthoritiesAreReadAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	files := cluster.CertificateFiles{CA: filepath.Join(dir, "ca.crt"), Cert: filepath.Join(dir, "tls.crt"), Key: filepath.Join(dir, "tls.key")}
	before, after, own := issue(t, "before"), issue(t, "after"), issue(t, "client")
	write(t, files.CA, before.cert)
	write(t, files.Cert, own.cert)
	write(t, files.Key, own.key)
	s := secureBroker(t, before, files)
	s.wantSeen("client")

	both := append(append([]byte{}, before.cert...), after.cert...)
	write(t, files.CA, both[:len(both)-100])
	s.wantSeen("client")
	if !strings.Contains(s.log.String(), "level=WARN") || !strings.Contains(s.log.String(), files.CA) {
		t.Errorf("no warning of a file that is cut short:\n%s", s.log.String())
	}
	s.mu.Lock()
	s.own = after.pair(t)
	s.mu.Unlock()
	_, err := s.config.Connect(t.Context(), "tcp", s.config.Brokers[0])
	if refused, ok := errors.AsType[*cluster.RefusedError](err); !ok || refused.Reason != cluster.Trust || !strings.Contains(err.Error(), "--kafka-ca-file") {
		t.Errorf("a stranger's certificate: %v", err)
	}
	write(t, files.CA, both)
	s.wantSeen("client")
}

// TestCertificatesBehindSymlinks: Kubernetes swaps a symbolic link to a directory with all files.
func TestCertificatesBehindSymlinks(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	brokers := issue(t, "broker")
	for _, name := range []string{"first", "second"} {
		made := issue(t, name)
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, name, "ca.crt"), brokers.cert)
		write(t, filepath.Join(dir, name, "tls.crt"), made.cert)
		write(t, filepath.Join(dir, name, "tls.key"), made.key)
	}
	swap := func(to string) {
		t.Helper()
		if err := errors.Join(os.Symlink(to, filepath.Join(dir, "new")), os.Rename(filepath.Join(dir, "new"), filepath.Join(dir, "data"))); err != nil {
			t.Fatal(err)
		}
	}
	swap("first")
	data := filepath.Join(dir, "data")
	s := secureBroker(t, brokers, cluster.CertificateFiles{
		CA: filepath.Join(data, "ca.crt"), Cert: filepath.Join(data, "tls.crt"), Key: filepath.Join(data, "tls.key"),
	})
	s.wantSeen("first")
	swap("second")
	s.wantSeen("second")
}

// TestCertificatesOfEveryConnection: a transport that was made before uses the new certificate for its next connection.
func TestCertificatesOfEveryConnection(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	files := cluster.CertificateFiles{CA: filepath.Join(dir, "ca.crt"), Cert: filepath.Join(dir, "tls.crt"), Key: filepath.Join(dir, "tls.key")}
	brokers, first, second := issue(t, "broker"), issue(t, "first"), issue(t, "second")
	write(t, files.CA, brokers.cert)
	write(t, files.Cert, first.cert)
	write(t, files.Key, first.key)
	s := secureBroker(t, brokers, files)
	client, closeIdle := s.config.Client()
	defer closeIdle()
	dialer := s.config.Dialer()
	connect := map[string]func(ctx context.Context) error{
		"transport": func(ctx context.Context) error {
			defer closeIdle()
			_, err := client.ApiVersions(ctx, &kafka.ApiVersionsRequest{Addr: s.config.Addr()})
			return err
		},
		"group": func(ctx context.Context) error {
			conn, err := dialer.DialContext(ctx, "tcp", s.config.GroupBrokers()[0])
			if err == nil {
				err = conn.Close()
			}
			return err
		},
	}
	for _, name := range []string{"first", "second"} {
		for what, use := range connect {
			s.mu.Lock()
			s.seen = ""
			s.mu.Unlock()
			if err := use(t.Context()); err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			s.mu.Lock()
			if s.seen != name {
				t.Errorf("%s: the broker has seen %q, want %q", what, s.seen, name)
			}
			s.mu.Unlock()
		}
		write(t, files.Cert, second.cert)
		write(t, files.Key, second.key)
	}
}

// TestCertificateFilesThatAreNone: what is no regular file is refused by name, and does not hang.
func TestCertificateFilesThatAreNone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, path := range []string{dir, "/dev/zero", filepath.Join(dir, "none")} {
		_, err := cluster.ReadCertificates(cluster.CertificateFiles{CA: path})
		if bad, ok := errors.AsType[*cluster.CertificateError](err); !ok || bad.File != path || !bad.Authorities {
			t.Errorf("%s: %v", path, err)
		}
	}
}
