package schema_test

import (
	"strings"
	"testing"
	"time"

	"convdel/schema"
)

func TestSettlement(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 1, 8, 30, 0, 250_000_000, time.UTC)
	for _, s := range []schema.Settlement{
		{}, {By: "alice"}, {By: "alice", At: at}, {By: "alice", At: at, Reason: "account closed, OPS-1"}, {Reason: "x"},
	} {
		if got := schema.ParseSettlement(s.Headers()); got != s {
			t.Errorf("%+v came back as %+v", s, got)
		}
	}
	long := schema.Settlement{By: "a\nb\x1b", Reason: strings.Repeat("x", 2000)}
	if got := schema.ParseSettlement(long.Headers()); got.By != "a b" || len(got.Reason) != schema.MaxError {
		t.Errorf("it came back as %+v", got)
	}
}

// TestSettlementOfAnotherProgram: a tombstone with any headers is one.
func TestSettlementOfAnotherProgram(t *testing.T) {
	t.Parallel()
	for _, headers := range [][]schema.Header{
		nil,
		{{Key: schema.HeaderBy}, {Key: schema.HeaderSettled, Value: []byte("yesterday")}, {Key: schema.HeaderReason, Value: []byte{}}},
		{{Key: "by", Value: []byte("x")}},
	} {
		if got := schema.ParseSettlement(headers); got != (schema.Settlement{}) {
			t.Errorf("%v: %+v", headers, got)
		}
	}
	twice := []schema.Header{{Key: schema.HeaderBy, Value: []byte("a")}, {Key: schema.HeaderBy, Value: []byte("b")}}
	if got := schema.ParseSettlement(twice); got.By != "a" {
		t.Errorf("%+v", got)
	}
}
