package check

import (
	"errors"
	"fmt"
	"net/url"
	"time"

	"convdel/imclient"
)

// These are how far the clock may be off. A Date header names whole seconds, and an answer may take some. Signatures and the ages of events
// depend on the clock.
const (
	oddSkew   = time.Minute
	wrongSkew = 5 * time.Minute
)

const setClock = "set this machine's clock (NTP): signatures and the ages of events depend on it"

// ClockRow rules on this machine's clock, by the API's.
func ClockRow(found *imclient.Reached, err error) Row {
	switch {
	case err != nil:
		return NotChecked(Clock, "the endpoint has not answered", "see im-endpoint")
	case !found.Dated:
		return Row{Name: Clock, OK: true, Warning: true, Detail: "the endpoint's answer has no Date header to compare with", Fix: "compare this machine's clock with another one"}
	}
	var r ruling
	off := found.Ahead.Abs()
	switch {
	case off >= wrongSkew:
		r.wrong(setClock, "this machine's clock is %s", apart(found.Ahead, "the API's"))
	case off >= oddSkew:
		r.odd(setClock, "this machine's clock is %s", apart(found.Ahead, "the API's"))
	default:
		r.fact("this machine's clock is %s", apart(found.Ahead, "the API's"))
	}
	return r.row(Clock)
}

// apart says how far two clocks are apart.
func apart(ahead time.Duration, other string) string {
	switch {
	case ahead >= 2*time.Second:
		return fmt.Sprintf("%s ahead of %s", ahead.Round(time.Second), other)
	case ahead <= -2*time.Second:
		return fmt.Sprintf("%s behind %s", -ahead.Round(time.Second), other)
	}
	return "within 2s of " + other
}

const checkEndpoint = "check --im-endpoint, and proxies on the way"

// EndpointRow rules on the endpoint.
func EndpointRow(endpoint string, found *imclient.Reached, err error) Row {
	var r ruling
	u, parseErr := url.Parse(endpoint)
	if parseErr != nil {
		return Failed(Endpoint, "not a URL", checkEndpoint)
	}
	e := endpointRuling{ruling: &r, host: u.Hostname(), region: imclient.RegionOf(u.Hostname())}
	e.place(u.Scheme)
	if err != nil {
		e.unreached(err)
	} else {
		e.answered(found)
	}
	return r.row(Endpoint)
}

type endpointRuling struct {
	*ruling

	host, region string
}

// place rules on where the endpoint is.
func (e *endpointRuling) place(scheme string) {
	switch {
	case e.region != "" && scheme == "http":
		e.wrong("use https://"+e.host, "the vendor serves https only")
	case e.region != "":
		e.fact("%s, the vendor's endpoint in %s", e.host, e.region)
	default:
		e.odd("if it is no simulator and no proxy of your own: docs/check.md lists the vendor's endpoints by region", "%s is none of the vendor's endpoints", e.host)
	}
	if scheme == "http" && e.region == "" {
		e.odd("use https, unless it is a simulator", "http is not encrypted")
	}
}

// unreached rules on an endpoint that has not answered.
func (e *endpointRuling) unreached(err error) {
	fix := "check --im-endpoint, names (DNS), firewalls and proxies (HTTPS_PROXY)"
	if network, ok := errors.AsType[*imclient.NetworkError](err); ok && network.HTTPStatus != 0 {
		fix = checkEndpoint
	}
	e.wrong(fix, "%v", err)
}

// answered rules on an answer to a request without a signature.
func (e *endpointRuling) answered(found *imclient.Reached) {
	meaning, advice := imclient.Explain(found.Code)
	switch {
	case found.HTTPStatus != 200:
		e.wrong(checkEndpoint, "it answers HTTP status %d, which the API does not", found.HTTPStatus)
	case !found.API:
		e.wrong(checkEndpoint, "what answers is not the API: its answer is not the API's JSON")
	case found.Code == 60021, found.Code == 60009:
		e.wrong(advice, "code %d: %s", found.Code, meaning)
	case imclient.Classify(found.Code) == imclient.Throttled:
		e.odd(advice, "code %d: %s", found.Code, meaning)
	case found.Code == 0:
		e.odd("check that it is the API", "it accepts a request without a signature, which the API does not")
	default:
		e.fact("it answers as the API, in %s", span(max(time.Millisecond, found.Took)))
	}
}

// CredentialEvidence is what is known of the credential.
type CredentialEvidence struct {
	SDKAppID   int
	Identifier string
	// Expires is when the signature does that was made. Err says why none was made.
	Expires time.Time
	Err     error
	// Probe is the account whose list was asked for; empty if none was. ProbeErr is how that failed; nil if the API has answered.
	Probe    string
	ProbeErr error
}

// CredentialRow rules on the credential.
func CredentialRow(e CredentialEvidence) Row {
	var r ruling
	if e.Err != nil {
		r.wrong("check CONVDEL_IM_SECRET_KEY, or its _FILE", "no signature can be made: %v", e.Err)
		return r.row(Credential)
	}
	r.fact("a signature was made for %s of app %d, good until %s", e.Identifier, e.SDKAppID, e.Expires.UTC().Format(time.RFC3339))
	api, answered := errors.AsType[*imclient.APIError](e.ProbeErr)
	switch {
	case e.Probe == "":
		r.fact("whether the API takes it, --probe ACCOUNT tells")
	case e.ProbeErr == nil:
		r.fact("the API takes it: it has listed an account's conversations")
	case !answered:
		r.wrong("see im-endpoint", "whether the API takes the signature is not known: %v", e.ProbeErr)
	default:
		e.probed(&r, api)
	}
	return r.row(Credential)
}

// probed rules on a code of the API.
func (e *CredentialEvidence) probed(r *ruling, api *imclient.APIError) {
	meaning, advice := imclient.Explain(api.Code)
	text := fmt.Sprintf("%v (%s)", api, meaning)
	if api.Info == "" {
		text = api.Error()
	}
	if api.ClockSkew.Abs() >= oddSkew && api.Code >= 70001 && api.Code <= 70052 {
		advice += "; " + setClock
	}
	switch {
	case api.Code == 50001, api.Code == 70107:
		r.odd("probe an account that exists", "the API takes the signature, and does not know the account: %s", text)
	case api.Code == 50003:
		r.wrong(advice, "%s", text)
	case api.Class() == imclient.Throttled:
		r.odd(advice, "whether the API takes the signature is not known: %s", text)
	case api.Class() == imclient.Permanent:
		r.odd("", "the API takes the signature, and not the request: %s", text)
	default:
		r.wrong(advice, "%s", text)
	}
}
