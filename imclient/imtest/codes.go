package imtest

// The simulator answers with these codes without a script (product/269/1671, and the page of the call for 50002).
const (
	codeBadParameter    = 50002
	codeBadHTTP         = 60002
	codeBadJSON         = 60003
	codeNoSignature     = 60004
	codeBadApp          = 60006
	codeTooFast         = 60007
	codeWrongURL        = 60009
	codeNotAdmin        = 60010
	codeNoApp           = 60012
	codeAccountNoString = 60015
	codeSigExpired      = 70001
	codeSigUnparsable   = 70003
	codeSigWrong        = 70009
	codeSigOtherAccount = 70013
	codeSigOtherApp     = 70014
	codeUnknownApp      = 70020
)

// infoOf returns the text for a code. The text is the simulator's own.
func infoOf(code int) string {
	switch code {
	case codeBadParameter:
		return "invalid parameter"
	case codeBadHTTP:
		return "invalid http request"
	case codeBadJSON:
		return "request body is not json"
	case codeNoSignature:
		return "identifier or usersig missing"
	case codeBadApp:
		return "sdkappid is not a number"
	case codeTooFast:
		return "request rate over the limit"
	case codeWrongURL:
		return "no such resource"
	case codeNotAdmin:
		return "app administrator required"
	case codeNoApp:
		return "sdkappid missing"
	case codeAccountNoString:
		return "account is not a string"
	case codeSigExpired:
		return "usersig expired"
	case codeSigUnparsable:
		return "usersig does not parse"
	case codeSigWrong:
		return "usersig does not verify"
	case codeSigOtherAccount:
		return "usersig is of another identifier"
	case codeSigOtherApp:
		return "usersig is of another sdkappid"
	case codeUnknownApp:
		return "unknown sdkappid"
	}
	return "simulated failure"
}
