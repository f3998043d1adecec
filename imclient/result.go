package imclient

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// result is the API's answer. The call's page has the code and its text under two names each and does not say when which is
// used, so both are read. Pointers tell "0" from "not there".
type result struct {
	actionStatus          *string
	errorCode, resultCode *int
	errorInfo, resultInfo string
}

var errNoResult = errors.New("no code in it")

// decodeResult returns what an answer's body says: ok, or the code (0 if it names none) and text of a failure. The error means
// that it says neither, or that another reader could take it for something else. In doubt, nothing was deleted: to delete again
// does no harm.
func decodeResult(body []byte) (ok bool, code int, info string, err error) {
	r, err := readResult(body)
	if err != nil {
		return false, 0, "", err
	}
	if r.errorCode == nil && r.resultCode == nil { // whatever ActionStatus says
		return false, 0, "", errNoResult
	}
	info = r.errorInfo
	switch {
	case r.errorCode != nil && *r.errorCode != 0:
		code = *r.errorCode
	case r.resultCode != nil && *r.resultCode != 0:
		code = *r.resultCode
		if r.resultInfo != "" {
			info = r.resultInfo
		}
	}
	if info == "" {
		info = r.resultInfo
	}
	ok = code == 0 && (r.actionStatus == nil || *r.actionStatus == "OK")
	if ok && !utf8.Valid(body) {
		return false, 0, "", errors.New("not UTF-8")
	}
	return ok, code, info, nil
}

// readResult reads a body. encoding/json would match names without regard to case, take the last of several equal names, take null for a
// missing value, and ignore what is in values that it does not know.
func readResult(body []byte) (*result, error) {
	var whole json.RawMessage
	if err := json.Unmarshal(body, &whole); err != nil { // one document, and valid: the rest relies on that
		return nil, err
	}
	w := &resultReader{tokens: json.NewDecoder(bytes.NewReader(body))}
	w.tokens.UseNumber()
	if first, err := w.tokens.Token(); err != nil || first != json.Delim('{') {
		return nil, errNoResult
	}
	if err := w.object(true); err != nil {
		return nil, err
	}
	return &w.result, nil
}

// resultReader reads a body token by token.
type resultReader struct {
	tokens *json.Decoder
	result result
}

// fields are the names that have a meaning at the top.
func fields() []string {
	return []string{"ActionStatus", "ErrorCode", "ErrorInfo", "ResultCode", "ResultInfo"}
}

// object reads an object behind its brace.
func (w *resultReader) object(top bool) error {
	seen := map[string]bool{}
	for w.tokens.More() {
		token, err := w.tokens.Token()
		if err != nil {
			return err
		}
		name, _ := token.(string)
		key := strings.ToLower(strings.ToUpper(name)) // folds all letters that are equal but for their case
		if seen[key] {
			return fmt.Errorf("%q is given more than once", name)
		}
		seen[key] = true
		if err := w.member(name, top); err != nil {
			return err
		}
	}
	_, err := w.tokens.Token()
	return err
}

// member reads the value of a member. Further in, a code other than 0 contradicts a 0 at the top.
func (w *resultReader) member(name string, top bool) error {
	value, err := w.tokens.Token()
	if err != nil {
		return err
	}
	field := slices.IndexFunc(fields(), func(f string) bool { return strings.EqualFold(f, name) })
	switch {
	case field < 0:
	case !top && strings.HasSuffix(fields()[field], "Code") && value != json.Number("0"):
		return fmt.Errorf("a further %s in it", name)
	case !top:
	case fields()[field] != name:
		return fmt.Errorf("%q in place of %s", name, fields()[field])
	default:
		return w.result.set(name, value)
	}
	return w.rest(value)
}

// rest reads what is left of a value that begins with a token.
func (w *resultReader) rest(begin json.Token) error {
	switch begin {
	case json.Delim('{'):
		return w.object(false)
	case json.Delim('['):
		for w.tokens.More() {
			value, err := w.tokens.Token()
			if err != nil {
				return err
			}
			if err := w.rest(value); err != nil {
				return err
			}
		}
		_, err := w.tokens.Token()
		return err
	}
	return nil
}

// set notes the value of a field.
func (r *result) set(name string, value json.Token) error {
	text, isText := value.(string)
	switch name {
	case "ErrorInfo", "ResultInfo":
		if value != nil && !isText {
			return fmt.Errorf("%s is no text", name)
		}
		if name == "ErrorInfo" {
			r.errorInfo = text
		} else {
			r.resultInfo = text
		}
		return nil
	case "ActionStatus":
		if !isText {
			return fmt.Errorf("%s is no text", name)
		}
		r.actionStatus = &text
		return nil
	}
	number, _ := value.(json.Number)
	code, err := strconv.Atoi(number.String())
	if err != nil || strconv.Itoa(code) != number.String() {
		return fmt.Errorf("%s is no whole number in its usual form", name)
	}
	if name == "ErrorCode" {
		r.errorCode = &code
	} else {
		r.resultCode = &code
	}
	return nil
}
