package imclient

import (
	"errors"
	"strconv"
)

// Class is what is to be done about a call that has failed.
type Class int

const (
	// Transient may well work another time: a fault of a server or of the network, or one that nobody
	// has told us about. It uses up an attempt.
	Transient Class = iota
	// Permanent will be answered the same way every time: there is no use in another call.
	Permanent
	// Throttled means that the API takes no more calls just now. It is no fault of the request.
	Throttled
	// Halt means that the service's own credential, configuration or plan is at fault. Every request would fail
	// the same way, so none should be tried, but for a probe, until that has been put right.
	Halt
)

// String returns the name in lower case: transient, permanent, throttled or halt.
func (c Class) String() string {
	switch c {
	case Transient:
		return "transient"
	case Permanent:
		return "permanent"
	case Throttled:
		return "throttled"
	case Halt:
		return "halt"
	}
	return "class " + strconv.Itoa(int(c))
}

// Codes that decide what this package does, not only how it calls it.
const (
	// CodeExpired says that the UserSig has expired (product/269/1671). See [APIError.Renewed].
	CodeExpired = 70001
	// CodeSignatureLocked says that too many calls had a wrong signature; the API asks for a minute
	// without any (product/269/1671).
	CodeSignatureLocked = 70050
)

// Classify sorts the API's codes. 50001 to 50005 are those of the call's own page, 60000 to 79999
// the public ones of product/269/1671. A code that neither names is [Transient], and so is 0, which
// stands for a failure without a code. 70001 is [Halt] here; whether a new signature may help is
// known only to the call, see [APIError.Class].
func Classify(code int) Class {
	switch code {
	case 50001, 50002, 50003:
		return Permanent
	case 60007, 60011, 60018, 60019:
		return Throttled
	case 60004, 60005, 60006, 60009, 60010, 60012, 60016, 60017, 60020, 60021,
		CodeExpired, 70003, 70009, 70013, 70014, 70016, 70020, CodeSignatureLocked, 70051, 70052:
		return Halt
	}
	// 60002, 60003 and 60015 among them: they may be the work of a broken proxy. 70107 too (account
	// not imported): the call's own page has 50001 for what is final.
	return Transient
}

// ClassOf sorts any error of [Client.DeleteConversation]. What is none of this package's own errors
// is [Transient], as is nil, for which it makes no sense to ask.
func ClassOf(err error) Class {
	if api, ok := errors.AsType[*APIError](err); ok {
		return api.Class()
	}
	if _, ok := errors.AsType[*KeyError](err); ok {
		return Halt
	}
	if _, ok := errors.AsType[*RequestError](err); ok {
		return Permanent
	}
	return Transient
}
