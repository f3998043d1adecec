package cluster

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"sync"
)

// Certificates are read from files again for each new connection, so that renewed ones need no restart. While a file can't be used,
// because it is half written or the key does not fit the certificate yet, what was read before counts. Make them with
// [ReadCertificates].
type Certificates struct {
	files CertificateFiles

	mu   sync.Mutex
	good pair
	// failing is the last error; empty while the files can be used.
	failing string
}

// CertificateFiles name PEM files. Each may be empty; Cert and Key go together.
type CertificateFiles struct {
	// CA holds the certificates to trust instead of the system's.
	CA string
	// Cert is this client's own certificate, and Key its key.
	Cert, Key string
}

// CertificateError names the file that can't be used.
type CertificateError struct {
	// File is the path. Authorities says that it is the file of certificates to trust.
	File        string
	Authorities bool
	Err         error
}

func (e *CertificateError) Error() string {
	return fmt.Sprintf("certificates in %s: %v", e.File, e.Err)
}

// Unwrap returns the cause.
func (e *CertificateError) Unwrap() error { return e.Err }

// pair is what the files held.
type pair struct {
	trusted *x509.CertPool
	own     []tls.Certificate
	// text is the files' contents, to notice a change.
	text string
}

// ReadCertificates reads the files for the first time. The error is a [*CertificateError].
func ReadCertificates(files CertificateFiles) (*Certificates, error) {
	good, err := files.read()
	if err != nil {
		return nil, err
	}
	return &Certificates{files: files, good: good}, nil
}

// renew reads the files and puts what can be used into config. log, unless nil, is told of files that can't be used, once for
// each reason, and of a change.
func (c *Certificates) renew(ctx context.Context, config *tls.Config, log *slog.Logger) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now, err := c.files.read()
	was, had := c.failing, c.good.text
	c.failing = ""
	if err != nil {
		c.failing = err.Error()
	} else {
		c.good = now
	}
	if c.good.trusted != nil {
		config.RootCAs = c.good.trusted
	}
	if c.good.own != nil {
		config.Certificates = c.good.own
	}
	switch {
	case log == nil:
	case err != nil && c.failing != was:
		log.LogAttrs(ctx, slog.LevelWarn, "certificate files not usable: new connections go on with what was read before", slog.Any("error", err))
	case err == nil && (was != "" || c.good.text != had):
		log.LogAttrs(ctx, slog.LevelInfo, "certificate files read again", slog.Bool("changed", c.good.text != had))
	}
}

var (
	errNoCertificate = errors.New("it must hold PEM certificates, and holds none")
	errCutShort      = errors.New("it ends within a certificate")
)

// maxFile bounds a file of certificates, in bytes. A system's own list of authorities has a quarter of a megabyte.
const maxFile = 4 << 20

var errNoFile = errors.New("it must be a regular file of at most 4 MiB")

// readFile reads a regular file. Another kind of file may never end, or never begin.
func readFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if failed, ok := errors.AsType[*fs.PathError](err); ok {
		return nil, failed.Err // without the path, which by mistake may be the key itself
	}
	if !info.Mode().IsRegular() || info.Size() > maxFile {
		return nil, errNoFile
	}
	return os.ReadFile(path) //nolint:gosec // the operator names the file
}

func (f CertificateFiles) read() (pair, error) {
	var p pair
	if f.CA != "" {
		text, err := readFile(f.CA)
		if err == nil {
			p.trusted, err = authorities(text)
		}
		if err != nil {
			return pair{}, &CertificateError{File: f.CA, Authorities: true, Err: err}
		}
		p.text = string(text)
	}
	if f.Cert == "" {
		return p, nil
	}
	cert, err := readFile(f.Cert)
	if err != nil {
		return pair{}, &CertificateError{File: f.Cert, Err: err}
	}
	key, err := readFile(f.Key)
	if err != nil {
		return pair{}, &CertificateError{File: f.Key, Err: err}
	}
	own, err := tls.X509KeyPair(cert, key)
	if err == nil && cutShort(cert) {
		err = errCutShort
	}
	if err != nil {
		return pair{}, &CertificateError{File: f.Cert, Err: err}
	}
	p.own = []tls.Certificate{own}
	p.text += string(cert)
	return p, nil
}

// authorities reads certificates to trust.
func authorities(text []byte) (*x509.CertPool, error) {
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, errNoCertificate
	}
	if cutShort(text) {
		return nil, errCutShort
	}
	return pool, nil
}

// cutShort says whether PEM text begins a block that it does not end.
func cutShort(text []byte) bool {
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		text = rest
	}
	return strings.Contains(string(text), "-----BEGIN ")
}
