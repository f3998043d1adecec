package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"strings"
	"testing"
	"time"
)

// TestAllTimesAreUTC: a library's error has its times in UTC too, wherever the machine is. The error here is that of an old certificate.
func TestAllTimesAreUTC(t *testing.T) {
	t.Parallel()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	old := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Unix(1_000_000_000, 0), DNSNames: []string{"localhost"}}
	der, err := x509.CreateCertificate(rand.Reader, old, old, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
		MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
	})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_ = conn.(*tls.Conn).HandshakeContext(t.Context()) //nolint:forcetypeassert // a listener of TLS makes no others
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() {
		_ = listener.Close()
		<-done
	})
	env := required().with(environment{"CONVDEL_BROKERS": listener.Addr().String(), "CONVDEL_KAFKA_TLS": "true", "CONVDEL_ADMIN_ADDR": "", "TZ": "Asia/Tokyo"})
	p := startProcess(t, env, nil, "run")
	<-p.done
	if text := p.log.String(); !strings.Contains(text, "is after 2001-09-09T01:46:40Z") || strings.Contains(text, "+09:00") {
		t.Error("the certificate's end is not told in UTC")
	}
}
