package mention

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"strings"
	"unicode"
)

// fields returns true if JSON in data has a field for an account with that account, at any depth, in texts that hold JSON
// too. Fields with equal names, several values in a row and a fault behind the field do no harm. truncated becomes true if
// the JSON ends too early.
func (s *search) fields(data []byte, depth int, truncated *bool) bool {
	data = bytes.TrimPrefix(withoutNUL(data), []byte("\ufeff"))
	for _, mark := range []string{"\xff\xfe", "\xfe\xff"} { // UTF-16's byte order marks
		data = bytes.TrimPrefix(data, []byte(mark))
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	var open walk
	for {
		token, err := decoder.Token()
		if err != nil {
			*truncated = *truncated || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) && len(open) > 0
			return false
		}
		name, value := open.step(token)
		if value != nil && (isAccountField(name) && s.equals(value) || s.within(value, depth, truncated)) {
			return true
		}
	}
}

// walk is the way from the outermost object or list to the present one.
type walk []level

type level struct {
	object bool
	// name is that of the member whose value comes next. A list has that of the list.
	name  string
	named bool
}

// step takes the next token. It returns a value that is neither an object nor a list, with the name of its member.
func (w *walk) step(token json.Token) (name string, value any) {
	var at *level
	if len(*w) > 0 {
		at = &(*w)[len(*w)-1]
		name = at.name
	}
	delim, isDelim := token.(json.Delim)
	switch {
	case delim == '}' || delim == ']':
		*w = (*w)[:len(*w)-1]
		return "", nil
	case at != nil && at.object && !at.named:
		at.name, _ = token.(string)
		at.named = true
		return "", nil
	}
	if at != nil && at.object {
		at.named = false
	}
	if isDelim {
		*w = append(*w, level{object: delim == '{', name: name})
		return "", nil
	}
	return name, token
}

// isAccountField returns true for From_Account and To_Account in any spelling: from-account, toAccount.
func isAccountField(name string) bool {
	plain := strings.ToLower(strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return r
		}
		return -1
	}, name))
	return plain == "fromaccount" || plain == "toaccount"
}

// equals returns true if a value is the account: as text, with space around it, or as a number.
func (s *search) equals(value any) bool {
	switch v := value.(type) {
	case string:
		return v == s.account || strings.TrimSpace(v) == strings.TrimSpace(s.account)
	case json.Number:
		if v.String() == s.account {
			return true
		}
		n, err := strconv.ParseFloat(v.String(), 64)
		a, errAccount := strconv.ParseFloat(s.account, 64)
		return err == nil && errAccount == nil && n == a
	}
	return false
}

// within looks into a text that is JSON itself, as it is or in base64.
func (s *search) within(value any, depth int, truncated *bool) bool {
	text, ok := value.(string)
	if !ok || depth == 0 {
		return false
	}
	if strings.ContainsRune(text, '{') {
		return s.fields([]byte(text), depth-1, truncated)
	}
	data, err := base64.StdEncoding.DecodeString(text)
	return err == nil && bytes.IndexByte(data, '{') >= 0 && s.fields(data, depth-1, truncated)
}
