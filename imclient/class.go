package imclient

import (
	"errors"
	"strconv"
)

// Class says what to do about a failed call.
type Class int

const (
	// Transient means that another call may succeed. A server or the network failed, or the reason is unknown. It uses up
	// an attempt.
	Transient Class = iota
	// Permanent means that every further call would get the same answer.
	Permanent
	// Throttled means that the API, or what stands before it, takes no more calls for a moment. The request itself is right.
	Throttled
	// Halt means that the service's own credential, configuration or plan is wrong. Every call would fail the same way. So
	// nothing but a probe should be tried until that has been corrected.
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

// These codes decide what this package does, besides a call's class.
const (
	// CodeExpired says that the UserSig has expired (product/269/1671). See [APIError.Renewed].
	CodeExpired = 70001
	// CodeSignatureLocked says that too many calls had a wrong signature. The API asks for a minute without calls
	// (product/269/1671).
	CodeSignatureLocked = 70050
)

// Classify returns the class of a code. 50001 to 50005 are the codes of the call's own page, 60000 to 79999 the public ones
// of product/269/1671. An unlisted code is [Transient]. So is 0, which stands for a failure without a code. 70001 is [Halt]
// here: only the call knows whether a new signature may help, see [APIError.Class].
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
	// 60002, 60003 and 60015 are transient, since a broken proxy may cause them. So is 70107 (account not imported), since
	// the call's own page has 50001 for a missing account.
	return Transient
}

// ClassOf returns the class of any error of [Client.DeleteConversation] and [List.Err]. Any other error is [Transient], and so is nil.
func ClassOf(err error) Class {
	if api, ok := errors.AsType[*APIError](err); ok {
		return api.Class()
	}
	if network, ok := errors.AsType[*NetworkError](err); ok {
		return network.Class()
	}
	if _, ok := errors.AsType[*KeyError](err); ok {
		return Halt
	}
	if _, ok := errors.AsType[*RequestError](err); ok {
		return Permanent
	}
	return Transient
}

// Codes returns the codes that [Explain] knows, apart from 0, in ascending order. There are few: a metric may have one as a label.
func Codes() []int {
	var known []int
	unknown, _ := explainUnknown()
	for code := 50000; code < 80000; code++ {
		if meaning, _ := Explain(code); meaning != unknown {
			known = append(known, code)
		}
	}
	return known
}
