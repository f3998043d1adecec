package imtest

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

const (
	deletePath = "/v4/recentcontact/delete"
	listPath   = "/v4/recentcontact/get_list"
	// maxRequest bounds a request's body, in bytes.
	maxRequest = 64 << 10
)

// query holds the recorded parts of a call's query.
type query struct {
	random uint32
}

// checkQuery checks everything but the body. It returns 0, or the code with which the call is refused.
func (s *Server) checkQuery(r *http.Request) (query, int) {
	values, err := url.ParseQuery(r.URL.RawQuery)
	random, randomErr := strconv.ParseUint(values.Get("random"), 10, 32)
	q := query{random: uint32(random)}
	sdkAppID := values.Get("sdkappid")
	appID, appErr := strconv.Atoi(sdkAppID)
	identifier, sig := values.Get("identifier"), values.Get("usersig")
	switch {
	case r.URL.Path != deletePath && r.URL.Path != listPath:
		return q, codeWrongURL
	case r.Method != http.MethodPost, err != nil:
		return q, codeBadHTTP
	case sdkAppID == "":
		return q, codeNoApp
	case appErr != nil:
		return q, codeBadApp
	case appID != s.cfg.SDKAppID:
		return q, codeUnknownApp
	case identifier == "" || sig == "":
		return q, codeNoSignature
	case randomErr != nil || values.Get("contenttype") != "json":
		return q, codeBadHTTP
	}
	if code := s.sigs.check(sig, identifier, appID, s.now()); code != 0 {
		return q, code
	}
	if identifier != s.cfg.Identifier {
		return q, codeNotAdmin
	}
	return q, 0
}

// body holds the recorded parts of a call's body.
type body struct {
	from, to    string
	kind        int
	clearRamble bool
	list        listing
}

func (b body) conversation() conversation {
	return conversation{from: b.from, to: b.to, kind: b.kind}
}

// readBody reads a call's body to its end, so that net/http can notice when the caller has gone. It returns 0, or the code
// with which the call is refused.
func readBody(r *http.Request, api API) (body, int) {
	// http.MaxBytesReader is not used: with it net/http would keep the connection for half a second, even after Close.
	text, err := io.ReadAll(io.LimitReader(r.Body, maxRequest+1))
	if err != nil || len(text) > maxRequest {
		return body{}, codeBadHTTP
	}
	if api == APIGetList {
		return readList(text)
	}
	return readDelete(text)
}

// mistyped returns the code for a body that does not fit the call's fields; 0 for no error.
func mistyped(err error) int {
	var wrong *json.UnmarshalTypeError
	switch {
	case err == nil:
		return 0
	case !errors.As(err, &wrong) || wrong.Field == "":
		return codeBadJSON
	case strings.HasSuffix(wrong.Field, "_Account"):
		return codeAccountNoString
	}
	return codeBadParameter
}

// readList reads the body of a call for a list, all of whose fields are required.
func readList(text []byte) (body, int) {
	var in struct {
		From                                                            string `json:"From_Account"`
		TimeStamp, StartIndex, TopTimeStamp, TopStartIndex, AssistFlags *int64
	}
	if code := mistyped(json.Unmarshal(text, &in)); code != 0 {
		return body{from: in.From}, code
	}
	for _, number := range []*int64{in.TimeStamp, in.StartIndex, in.TopTimeStamp, in.TopStartIndex, in.AssistFlags} {
		if number == nil || *number < 0 {
			return body{from: in.From}, codeBadParameter
		}
	}
	if in.From == "" {
		return body{}, codeBadParameter
	}
	return body{from: in.From, list: listing{
		time: *in.TimeStamp, start: *in.StartIndex, topTime: *in.TopTimeStamp, topStart: *in.TopStartIndex, flags: *in.AssistFlags,
	}}, 0
}

// readDelete reads the body of a delete.
func readDelete(text []byte) (body, int) {
	var in struct {
		From        string `json:"From_Account"`
		Type        int
		To          string `json:"To_Account"`
		ToGroup     string `json:"ToGroupid"`
		ClearRamble int
	}
	code := mistyped(json.Unmarshal(text, &in))
	if code == codeBadJSON {
		return body{}, code
	}
	b := body{from: in.From, to: in.To, kind: in.Type, clearRamble: in.ClearRamble == 1}
	group := in.Type == 2
	if group && b.to == "" {
		b.to = in.ToGroup
	}
	switch {
	case code != 0:
	case b.from == "" || b.to == "",
		in.Type != 1 && !group,
		in.ClearRamble != 0 && in.ClearRamble != 1,
		group && in.ToGroup != "" && in.ToGroup != b.to:
		code = codeBadParameter
	}
	return b, code
}
