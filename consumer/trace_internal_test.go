package consumer

import (
	"testing"

	"convdel/schema"
)

// TestTraceOf: a traceparent counts if it is one, and if its publisher keeps the trace.
func TestTraceOf(t *testing.T) {
	t.Parallel()
	const trace, span = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
	for parent, want := range map[string]string{
		"00-" + trace + "-" + span + "-01":                            trace,
		"00-" + trace + "-" + span + "-03":                            trace,
		"00-" + trace + "-" + span + "-ff":                            trace,
		"01-" + trace + "-" + span + "-01-more":                       trace,
		"00-" + trace + "-" + span + "-00":                            "",
		"00-" + trace + "-" + span + "-02":                            "",
		"00-" + trace + "-" + span + "-01-more":                       "",
		"01-" + trace + "-" + span + "-01more":                        "",
		"ff-" + trace + "-" + span + "-01":                            "",
		"00-00000000000000000000000000000000-" + span + "-01":         "",
		"00-" + trace + "-0000000000000000-01":                        "",
		"00-0AF7651916CD43DD8448EB211C80319C-" + span + "-01":         "",
		"00-0af7651916cd43dd8448eb211c80319-c" + span + "-01":         "",
		"00-0af7651916cd43dd8448eb211c8\xff\xff9c-" + span + "-01":    "",
		"0-" + trace + "-" + span + "-001":                            "",
		"00-" + trace + "-" + span:                                    "",
		"":                                                            "",
		"-----------------------------------------------------------": "",
	} {
		if got := traceOf([]schema.Header{{Key: "traceparent", Value: []byte(parent)}}); got != want {
			t.Errorf("%q: %q, want %q", parent, got, want)
		}
	}
	of := func(key, id string) schema.Header {
		return schema.Header{Key: key, Value: []byte("00-" + id + "-" + span + "-01")}
	}
	other := "1" + trace[1:]
	if got := traceOf([]schema.Header{of("traceparent", other), of("traceparent", trace), of("x", other)}); got != trace {
		t.Errorf("of two headers %q counts", got)
	}
	if got := traceOf([]schema.Header{of("ce_traceparent", trace), of("ce_traceparent", other)}); got != other {
		t.Errorf("of an event's own headers %q counts", got)
	}
	for _, headers := range [][]schema.Header{{of("ce_traceparent", other), of("traceparent", trace)}, {of("traceparent", trace), of("ce_traceparent", other)}} {
		if got := traceOf(headers); got != trace {
			t.Errorf("beside the event's own header %q counts", got)
		}
	}
	if got := traceOf(nil); got != "" {
		t.Errorf("without headers: %q", got)
	}
}
