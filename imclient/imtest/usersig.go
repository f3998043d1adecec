package imtest

import (
	"bytes"
	"compress/zlib"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

const (
	// maxSig bounds a signature, and its unpacked size, in bytes. Real ones have a few hundred.
	maxSig = 16 << 10
	// maxVerified bounds the cache of verified signatures. A client uses one at a time.
	maxVerified = 1024
)

// ticket is the content of a UserSig (product/269/32688).
type ticket struct {
	Ver        string `json:"TLS.ver"`
	Identifier string `json:"TLS.identifier"`
	SDKAppID   int    `json:"TLS.sdkappid"`
	Expire     int64  `json:"TLS.expire"` // Seconds from Time on.
	Time       int64  `json:"TLS.time"`   // Unix seconds.
	UserBuf    string `json:"TLS.userbuf"`
	Sig        []byte `json:"TLS.sig"`
}

// verdict is the result of checking a signature, without its expiry. It does not change over time.
type verdict struct {
	ticket  ticket
	parsed  bool
	genuine bool
}

// verifier checks signatures. It checks each one once, since unpacking costs more than the rest of a call.
type verifier struct {
	mu    sync.Mutex
	key   string
	known map[string]verdict
}

func (v *verifier) setKey(key string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.key = key
	v.known = nil
}

// check returns 0 or the code with which the API refuses the signature.
func (v *verifier) check(sig, identifier string, appID int, now time.Time) int {
	v.mu.Lock()
	found, ok := v.known[sig]
	if !ok {
		found = verify(sig, v.key)
		if v.known == nil || len(v.known) >= maxVerified {
			v.known = make(map[string]verdict)
		}
		v.known[sig] = found
	}
	v.mu.Unlock()
	switch {
	case !found.parsed:
		return codeSigUnparsable
	case found.ticket.SDKAppID != appID:
		return codeSigOtherApp
	case found.ticket.Identifier != identifier:
		return codeSigOtherAccount
	case !found.genuine:
		return codeSigWrong
	case now.Unix() > found.ticket.Time+found.ticket.Expire:
		return codeSigExpired
	}
	return 0
}

func verify(sig, key string) verdict {
	t, err := unpack(sig)
	if err != nil || t.Ver != "2.0" {
		return verdict{}
	}
	signed := fmt.Sprintf("TLS.identifier:%s\nTLS.sdkappid:%d\nTLS.time:%d\nTLS.expire:%d\n",
		t.Identifier, t.SDKAppID, t.Time, t.Expire)
	if t.UserBuf != "" {
		signed += "TLS.userbuf:" + t.UserBuf + "\n"
	}
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(signed))
	return verdict{ticket: t, parsed: true, genuine: hmac.Equal(mac.Sum(nil), t.Sig)}
}

// unpack decodes the URL-safe base64, the compression and the JSON of a UserSig.
func unpack(sig string) (ticket, error) {
	if len(sig) > maxSig {
		return ticket{}, fmt.Errorf("usersig of %d bytes", len(sig))
	}
	packed, err := base64.StdEncoding.DecodeString(strings.NewReplacer("*", "+", "-", "/", "_", "=").Replace(sig))
	if err != nil {
		return ticket{}, err
	}
	unzip, err := zlib.NewReader(bytes.NewReader(packed))
	if err != nil {
		return ticket{}, err
	}
	text, err := io.ReadAll(io.LimitReader(unzip, maxSig))
	if err != nil {
		return ticket{}, err
	}
	var t ticket
	if err := json.Unmarshal(text, &t); err != nil {
		return ticket{}, err
	}
	return t, nil
}
