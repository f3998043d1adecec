package consumer

import (
	"slices"
	"strings"

	"convdel/schema"
)

// traceParent is the header by which a publisher names the trace that the event belongs to (W3C Trace Context).
const traceParent = "traceparent"

// eventTraceParent is that header of a binary event, where the event keeps the trace itself (CloudEvents' extension Distributed Tracing).
const eventTraceParent = "ce_traceparent"

// traceOf returns the ID of the trace that a record belongs to, 32 hexadecimal digits; empty if it names none, or if its publisher keeps
// no trace of it. The header of the last hop counts before that of the event, and the last of several headers.
func traceOf(headers []schema.Header) string {
	trace := ""
	for _, h := range slices.Backward(headers) {
		if h.Key == traceParent {
			return sampledTrace(h.Value)
		}
		if h.Key == eventTraceParent && trace == "" {
			trace = sampledTrace(h.Value)
		}
	}
	return trace
}

// sampledTrace reads a traceparent, such as 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01. A later version may have more fields.
func sampledTrace(value []byte) string {
	const size = len("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	if len(value) < size || len(value) > size && (string(value[:2]) == "00" || value[size] != '-') {
		return ""
	}
	fields := strings.Split(string(value[:size]), "-")
	if len(fields) != 4 || len(fields[0]) != 2 || len(fields[1]) != 32 || len(fields[2]) != 16 || len(fields[3]) != 2 {
		return ""
	}
	for _, f := range fields {
		if strings.Trim(f, "0123456789abcdef") != "" {
			return ""
		}
	}
	sampled := strings.ContainsAny(fields[3][1:], "13579bdf")
	if fields[0] == "ff" || strings.Trim(fields[1], "0") == "" || strings.Trim(fields[2], "0") == "" || !sampled {
		return ""
	}
	return strings.Clone(fields[1])
}

// traceOfCall is the trace that stands for a call: the first of its events that belongs to one.
func traceOfCall(events []*event) string {
	for _, ev := range events {
		if ev.trace != "" {
			return ev.trace
		}
	}
	return ""
}
