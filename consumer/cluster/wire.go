package cluster

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// maxAnswer bounds an answer until the connection is ready, in bytes. The largest one lists the brokers.
const maxAnswer = 1 << 20

// wire is a connection that is being made ready, for requests of versions whose head has no tags.
type wire struct {
	rw    io.ReadWriter
	asked int32
	// bare says that logins go without a head.
	bare bool
}

// ask sends a request and reads the answer into res.
func (w *wire) ask(req kmsg.Request, res kmsg.Response) error {
	w.asked++
	if _, err := w.rw.Write(kmsg.NewRequestFormatter(kmsg.FormatterClientID(clientID)).AppendRequest(nil, req, w.asked)); err != nil {
		return err
	}
	body, err := w.frame()
	if err != nil {
		return err
	}
	const head = 4                                                           // the request's number
	if len(body) < head || int32(binary.BigEndian.Uint32(body)) != w.asked { //nolint:gosec // the number that was sent
		return errNoKafka
	}
	if err := res.ReadFrom(body[head:]); err != nil {
		return fmt.Errorf("%w: %w", errNoKafka, err)
	}
	return nil
}

// frame reads an answer with its size before it.
func (w *wire) frame() ([]byte, error) {
	var size [4]byte
	if _, err := io.ReadFull(w.rw, size[:]); err != nil {
		return nil, err
	}
	// A TLS record begins with its type (21: alert, 22: handshake) and the major version 3.
	if (size[0] == 21 || size[0] == 22) && size[1] == 3 {
		return nil, errTLS
	}
	n := binary.BigEndian.Uint32(size[:])
	if n > maxAnswer {
		return nil, errNoKafka
	}
	body := make([]byte, n)
	_, err := io.ReadFull(w.rw, body)
	return body, err
}

func kafkaError(code int16) error { return kafka.Error(code) }

// handshake names the mechanism.
func (o *opening) handshake(version int16) error {
	req := kmsg.NewPtrSASLHandshakeRequest()
	req.Version, req.Mechanism = version, o.SASL.Name()
	res := kmsg.NewPtrSASLHandshakeResponse()
	res.Version = version
	if err := o.wire.ask(req, res); err != nil {
		return err
	}
	if res.ErrorCode == 0 {
		return nil
	}
	err := kafkaError(res.ErrorCode)
	if len(res.SupportedMechanisms) > 0 {
		const longest = 200
		offered := fmt.Sprintf("%q", strings.Join(res.SupportedMechanisms, ", "))
		err = fmt.Errorf("%w; the broker offers %s", err, offered[:min(len(offered), longest)])
	}
	return &loginError{Mechanism, err}
}

// authenticate sends one message of the login and returns the broker's. The broker's own words on a refusal are left out: it knows
// the password.
func (o *opening) authenticate(message []byte) ([]byte, error) {
	if o.wire.bare {
		return o.authenticateBare(message)
	}
	req := kmsg.NewPtrSASLAuthenticateRequest()
	req.SASLAuthBytes = message
	res := kmsg.NewPtrSASLAuthenticateResponse()
	if err := o.wire.ask(req, res); err != nil {
		return nil, hungUp(err)
	}
	if res.ErrorCode != 0 {
		return nil, &loginError{Login, kafkaError(res.ErrorCode)}
	}
	return res.SASLAuthBytes, nil
}

func (o *opening) authenticateBare(message []byte) ([]byte, error) {
	framed := append(binary.BigEndian.AppendUint32(nil, uint32(len(message))), message...) //nolint:gosec // a short text
	if _, err := o.conn.Write(framed); err != nil {
		return nil, hungUp(err)
	}
	challenge, err := o.wire.frame()
	return challenge, hungUp(err)
}

// hungUp marks a login that the broker has ended without a word.
func hungUp(err error) error {
	if isHangUp(err) {
		return fmt.Errorf("%w: %w", errHungUp, err)
	}
	return err
}

// silentConn gives up a connection on which nothing comes for a while, until it is ready.
type silentConn struct {
	net.Conn
	done bool
}

func (s *silentConn) Read(b []byte) (int, error) {
	if !s.done {
		if err := s.SetReadDeadline(time.Now().Add(silence)); err != nil {
			return 0, err
		}
	}
	return s.Conn.Read(b)
}

func (s *silentConn) Write(b []byte) (int, error) {
	if !s.done {
		if err := s.SetWriteDeadline(time.Now().Add(silence)); err != nil {
			return 0, err
		}
	}
	return s.Conn.Write(b)
}

// ready ends the watch.
func (s *silentConn) ready() error {
	s.done = true
	return s.SetDeadline(time.Time{})
}
