package imclient

import (
	"context"
	"crypto/sha256"
	"log/slog"
	"net/url"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/tencentyun/tls-sig-api-v2-golang/tencentyun"
)

// keyCheckInterval is the shortest time between two questions to the key source while there is a valid signature.
const keyCheckInterval = time.Second

// freshFor is how long a signature made after a 70001 counts as fresh. Another 70001 within that time is not due to age.
const freshFor = time.Minute

// signature is a UserSig. It does not change, except for accepted.
type signature struct {
	sig    string
	query  string // The query string up to the value of random.
	keySum [sha256.Size]byte
	// These are wall clock times without a monotonic part, since the wall clock decides about validity and goes on while a
	// machine sleeps.
	issued, renewAt, expires time.Time
	// revoked says that the API has called this signature expired.
	revoked bool
	// afterExpiry says that it was made because the API had called the previous one expired.
	afterExpiry bool
	// accepted says that the API has accepted it at least once.
	accepted atomic.Bool
}

// usable returns true if calls may still be signed with it. A signature that was issued in the future is not usable: the
// clock has been set back since, perhaps by years.
func (s *signature) usable(now time.Time) bool {
	return s != nil && !s.revoked && now.Before(s.expires) && !now.Before(s.issued.Add(-freshFor))
}

// signer makes, keeps and renews the signature.
type signer struct {
	appID      int
	identifier string
	lifetime   time.Duration
	keys       KeySource
	logger     *slog.Logger

	current atomic.Pointer[signature]
	// checked is when the key source was last asked, in Unix nanoseconds.
	checked atomic.Int64
	// renewing holds one token. It is a channel, since a mutex can't be waited for with a context.
	renewing chan struct{}
	// keyFailing keeps an unreadable key from being logged every second. The holder of renewing's token owns it.
	keyFailing bool
}

func newSigner(cfg Config) *signer {
	return &signer{
		appID:      cfg.SDKAppID,
		identifier: cfg.Identifier,
		lifetime:   cfg.SigLifetime,
		keys:       cfg.SecretKey,
		logger:     cfg.Logger,
		renewing:   make(chan struct{}, 1),
	}
}

// get returns a valid signature. While there is one, only the call whose turn it is to ask for the key waits. If there is
// none, all calls wait for the first one.
func (s *signer) get(ctx context.Context) (*signature, error) {
	now := time.Now().Round(0)
	current := s.current.Load()
	if current.usable(now) {
		if !s.checkDue(now) {
			return current, nil
		}
		select {
		case s.renewing <- struct{}{}:
		default:
			return current, nil
		}
	} else {
		select {
		case s.renewing <- struct{}{}:
		case <-ctx.Done():
			return nil, &NetworkError{Reason: "no signature in time", Fault: faultOf(context.Cause(ctx)), Err: newCause(context.Cause(ctx), "")}
		}
	}
	defer func() { <-s.renewing }()
	return s.renew(ctx)
}

func (s *signer) checkDue(now time.Time) bool {
	since := now.UnixNano() - s.checked.Load()
	return since >= int64(keyCheckInterval) || since < 0
}

// renew returns the present signature if it is usable, and otherwise a new one. The calling goroutine holds the token of
// renewing.
func (s *signer) renew(ctx context.Context) (*signature, error) {
	now := time.Now().Round(0)
	current := s.current.Load()
	usable := current.usable(now)
	if usable && !s.checkDue(now) {
		return current, nil
	}
	key, err := s.keys.Key()
	s.checked.Store(now.UnixNano())
	if err != nil {
		if !usable {
			return nil, &KeyError{Err: err}
		}
		if !s.keyFailing {
			s.keyFailing = true
			s.logger.WarnContext(ctx, "secret key cannot be read, going on with the usersig at hand",
				slog.String("error", err.Error()), slog.Time("usersig_expires", current.expires))
		}
		return current, nil
	}
	s.keyFailing = false
	sum := sha256.Sum256([]byte(key))
	reason := "first"
	switch {
	case usable && sum == current.keySum && now.Before(current.renewAt):
		return current, nil
	case current != nil && current.revoked:
		reason = "api_called_it_expired"
	case usable && sum != current.keySum:
		reason = "key_changed"
	case current != nil:
		reason = "age"
	}
	return s.mint(ctx, key, now, reason)
}

// mint makes a signature and stores it.
func (s *signer) mint(ctx context.Context, key string, now time.Time, reason string) (*signature, error) {
	sig, err := tencentyun.GenUserSig(s.appID, key, s.identifier, int(s.lifetime/time.Second))
	if err != nil {
		return nil, &KeyError{Err: newCause(err, key)}
	}
	previous := s.current.Load()
	made := &signature{
		sig: sig,
		// A UserSig has only characters that are safe in URLs (letters, digits, '*', '-', '_'), so it needs no escaping.
		query: "sdkappid=" + strconv.Itoa(s.appID) + "&identifier=" + url.QueryEscape(s.identifier) +
			"&usersig=" + sig + "&random=",
		keySum:      sha256.Sum256([]byte(key)),
		issued:      now,
		renewAt:     now.Add(s.lifetime / 5 * 4),
		expires:     now.Add(s.lifetime),
		afterExpiry: previous != nil && previous.revoked,
	}
	s.current.Store(made)
	s.logger.InfoContext(ctx, "usersig made", slog.String("reason", reason), slog.Time("expires", made.expires))
	return made, nil
}

// expired notes that the API has called a signature expired (70001). It returns true if a call with another signature is
// worth trying at once. Many calls may come back with the same answer, so only the signature that they used is dropped,
// never its successor.
func (s *signer) expired(used *signature) (again bool) {
	s.current.CompareAndSwap(used, &signature{revoked: true})
	fresh := used.afterExpiry && (!used.accepted.Load() || time.Since(used.issued) < freshFor)
	return !fresh
}

// accept notes that the API has accepted a signature.
func (s *signature) accept() {
	// Loading first saves the processors a contended write in every call.
	if !s.accepted.Load() {
		s.accepted.Store(true)
	}
}
