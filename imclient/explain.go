package imclient

// Explain says in one line each what a code of the API means and what to do about it. It knows the codes of [Classify], and
// says so of any other code.
func Explain(code int) (meaning, advice string) {
	switch {
	case code == 0:
		return "failed without a code", "look at the API's text; it is tried again"
	case code >= 50001 && code <= 50005:
		return explainDelete(code)
	case code >= 60000 && code <= 69999:
		return explainRequest(code)
	case code >= 70000 && code <= 79999:
		return explainAccount(code)
	}
	return explainUnknown()
}

func explainUnknown() (meaning, advice string) {
	return "not a code that convdel knows", "look it up in the vendor's list of error codes; it is tried again"
}

// explainDelete explains the codes of the call's own page.
func explainDelete(code int) (meaning, advice string) {
	switch code {
	case 50001:
		return "the account was never imported into the app", "nothing to delete; check who published this account"
	case 50002:
		return "a parameter of the request is wrong", "correct the event at its publisher; the API's text says which parameter"
	case 50003:
		return "only an app administrator may do this", "make im-identifier an administrator in the console, then replay"
	case 50004:
		return "internal error of the API", "it is tried again; ask the vendor if it lasts"
	case 50005:
		return "the API ran into a timeout", "it is tried again; ask the vendor if it lasts"
	}
	return explainUnknown()
}

// explainRequest explains the codes about calls in general.
func explainRequest(code int) (meaning, advice string) {
	switch code {
	case 60002:
		return "the API could not parse the HTTP request", "look for a proxy that alters requests"
	case 60003:
		return "the API could not parse the JSON of the request", "look for a proxy that alters bodies"
	case 60004:
		return "account or signature missing or wrong in URL or body", "check im-identifier and the secret key"
	case 60005:
		return "account or signature in URL or body did not verify", "check im-identifier and the secret key"
	case 60006:
		return "the SDKAppID is not a valid one", "check im-sdkappid"
	case 60007:
		return "calls come faster than this call's quota", "lower calls-per-second, or find who else calls with this app"
	case 60008:
		return "the API timed out or found the HTTP request malformed", "it is tried again; if it lasts, look at proxies"
	case 60009:
		return "the API does not know this URL", "check im-endpoint: scheme and host of the app's own region"
	case 60010:
		return "the signing account is no app administrator", "make im-identifier an administrator in the console"
	case 60011:
		return "calls come faster than the whole app's quota", "find who else calls with this SDKAppID, or ask for more"
	case 60012:
		return "the SDKAppID is missing from the URL", "check im-sdkappid, and proxies that alter URLs"
	case 60013:
		return "the API could not parse the answer of its own back end", "it is tried again; ask the vendor if it lasts"
	case 60014:
		return "the API timed out while looking up the account", "it is tried again; ask the vendor if it lasts"
	case 60015:
		return "an account in the body is not a string", "look for a proxy that alters bodies"
	case 60016:
		return "the app is disabled", "enable the SDKAppID in the console"
	case 60017:
		return "the app may not make this call", "ask the vendor why calls of this SDKAppID are forbidden"
	case 60018, 60019:
		return "calls come too fast for the API just now", "it slows down by itself; lower calls-per-second if it lasts"
	case 60020:
		return "the app's plan has run out", "renew the plan; it works again five minutes later"
	case 60021:
		return "the API takes no calls from this IP address", "add this machine's public address to the console's allow list"
	}
	return explainUnknown()
}

// explainAccount explains the codes about signatures and accounts.
func explainAccount(code int) (meaning, advice string) {
	switch code {
	case CodeExpired:
		return "the signature has expired", "it is made anew by itself; if it comes back, set this machine's clock"
	case 70003:
		return "the signature cannot be parsed, it may be cut off", "look for a proxy that alters URLs"
	case 70009:
		return "the signature does not verify", "the secret key is not that of im-sdkappid: check IM_SECRET_KEY"
	case 70013:
		return "the signature was made for another account", "check im-identifier, and proxies that alter URLs"
	case 70014:
		return "the signature was made for another app", "check im-sdkappid, and proxies that alter URLs"
	case 70016:
		return "the API has no key for this app", "check that im-sdkappid has a secret key in the console"
	case 70020:
		return "the API does not know this SDKAppID", "check im-sdkappid, and that im-endpoint is of the app's region"
	case CodeSignatureLocked:
		return "too many calls with a wrong signature", "put key and account right; the API wants a minute of quiet first"
	case 70051:
		return "the signing account is on the API's blacklist", "ask the vendor, or use another administrator"
	case 70052:
		return "the signature was revoked or does not verify", "check the secret key, and the account in the console"
	case 70107:
		return "the account does not exist", "check who published this account"
	case 70169:
		return "the API's account service timed out", "it is tried again; ask the vendor if it lasts"
	case 70500:
		return "internal error of the API's account service", "it is tried again; ask the vendor if it lasts"
	}
	return explainUnknown()
}
