package imclient_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"convdel/imclient"
)

// codes is the vendor's whole list, as far as it is known, with the class of each code.
var codes = map[imclient.Class][]int{
	imclient.Permanent: {50001, 50002, 50003},
	imclient.Transient: {50004, 50005, 60002, 60003, 60008, 60013, 60014, 60015, 70107, 70169, 70500},
	imclient.Throttled: {60007, 60011, 60018, 60019},
	imclient.Halt: {
		60004, 60005, 60006, 60009, 60010, 60012, 60016, 60017, 60020, 60021,
		70001, 70003, 70009, 70013, 70014, 70016, 70020, 70050, 70051, 70052,
	},
}

func TestClassOfEveryCode(t *testing.T) {
	t.Parallel()
	known := map[int]bool{}
	for class, list := range codes {
		for _, code := range list {
			known[code] = true
			if got := imclient.Classify(code); got != class {
				t.Errorf("Classify(%d) = %v, want %v", code, got, class)
			}
		}
	}
	for code := -1; code < 100_000; code++ {
		if got := imclient.Classify(code); !known[code] && got != imclient.Transient {
			t.Errorf("Classify(%d) = %v for an unknown code, want transient", code, got)
		}
	}
}

func TestExplainEveryCode(t *testing.T) {
	t.Parallel()
	unknown, _ := imclient.Explain(12345)
	seen := map[string]int{}
	for _, list := range codes {
		for _, code := range list {
			meaning, advice := imclient.Explain(code)
			if meaning == unknown || meaning == "" || advice == "" {
				t.Errorf("Explain(%d) = %q, %q", code, meaning, advice)
			}
			if strings.ContainsAny(meaning+advice, "\n\t") {
				t.Errorf("Explain(%d) is not one line each: %q, %q", code, meaning, advice)
			}
			if other, twice := seen[meaning]; twice && code != 60018 && code != 60019 {
				t.Errorf("Explain(%d) means the same as %d: %q", code, other, meaning)
			}
			seen[meaning] = code
		}
	}
	known := 0
	for code := range 100_000 {
		if meaning, _ := imclient.Explain(code); meaning != unknown {
			known++
		}
	}
	if want := 1 + 3 + 11 + 4 + 20; known != want { // 1 for code 0.
		t.Errorf("%d codes explained, want the %d of the list", known, want)
	}
}

// TestCodes: the list of codes is the vendor's, in order.
func TestCodes(t *testing.T) {
	t.Parallel()
	var want []int
	for _, list := range codes {
		want = append(want, list...)
	}
	slices.Sort(want)
	if got := imclient.Codes(); !slices.Equal(got, want) {
		t.Errorf("Codes() = %v, want %v", got, want)
	}
}

func TestClassOf(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		err  error
		want imclient.Class
	}{
		{&imclient.APIError{Code: 50001}, imclient.Permanent},
		{fmt.Errorf("event 7: %w", &imclient.APIError{Code: 50003}), imclient.Permanent},
		{&imclient.APIError{Code: 60011}, imclient.Throttled},
		{&imclient.APIError{Code: 70001}, imclient.Halt},
		{&imclient.APIError{Code: 70001, Renewed: true}, imclient.Transient},
		{&imclient.APIError{Code: 0}, imclient.Transient},
		{&imclient.APIError{Code: 99999}, imclient.Transient},
		{&imclient.NetworkError{Reason: "http status 502", HTTPStatus: 502}, imclient.Transient},
		{&imclient.KeyError{Err: io.EOF}, imclient.Halt},
		{&imclient.RequestError{Field: "Type"}, imclient.Permanent},
		{context.DeadlineExceeded, imclient.Transient},
		{errors.New("anything"), imclient.Transient},
		{nil, imclient.Transient},
	} {
		if got := imclient.ClassOf(tt.err); got != tt.want {
			t.Errorf("ClassOf(%v) = %v, want %v", tt.err, got, tt.want)
		}
	}
}

func TestClassString(t *testing.T) {
	t.Parallel()
	for class, want := range map[imclient.Class]string{
		imclient.Transient: "transient",
		imclient.Permanent: "permanent",
		imclient.Throttled: "throttled",
		imclient.Halt:      "halt",
		imclient.Class(9):  "class 9",
	} {
		if got := class.String(); got != want {
			t.Errorf("String() = %q, want %q", got, want)
		}
	}
}

func TestErrorTexts(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		err  error
		want string
	}{
		{&imclient.APIError{Code: 50002, Info: "To_Account invalid"}, "im api: code 50002: To_Account invalid"},
		{&imclient.APIError{Code: 50004}, "im api: code 50004: internal error of the API"},
		{
			&imclient.APIError{Code: 70001, Info: "expired", ClockSkew: -26 * time.Hour},
			"im api: code 70001: expired (this machine's clock is 26h0m0s behind the server's)",
		},
		{
			&imclient.APIError{Code: 70003, Info: "invalid", ClockSkew: 90 * time.Second},
			"im api: code 70003: invalid (this machine's clock is 1m30s ahead of the server's)",
		},
		{&imclient.APIError{Code: 70001, Info: "expired", ClockSkew: time.Second}, "im api: code 70001: expired"},
		{&imclient.APIError{Code: 50004, Info: "x", ClockSkew: time.Hour}, "im api: code 50004: x"},
		{&imclient.NetworkError{Reason: "http status 502", HTTPStatus: 502}, "im api: http status 502"},
		{&imclient.NetworkError{Reason: "no answer", Err: io.EOF}, "im api: no answer: EOF"},
		{&imclient.KeyError{Err: errors.New("empty")}, "im secret key: empty"},
		{&imclient.RequestError{Field: "Type", Problem: "3"}, "im request: Type: 3"},
	} {
		if got := tt.err.Error(); got != tt.want {
			t.Errorf("Error() = %q, want %q", got, tt.want)
		}
	}
}
