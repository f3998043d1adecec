package tracing

import (
	"context"
	"log/slog"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"convdel/imclient"
)

// Counts are numbers of spans since the start.
type Counts struct{ Sent, Failed, Dropped uint64 }

// sender sends spans in the background. It is a span processor: the SDK's own one in a bound that counts what it drops.
type sender struct {
	sdktrace.SpanProcessor

	exporter sdktrace.SpanExporter
	settings *Settings
	log      *slog.Logger
	// most is how many spans may wait, waiting is how many do, those that are being sent included.
	most    int64
	waiting atomic.Int64

	// sending is held while spans are being sent, so that their end can be waited for.
	sending sync.Mutex

	sent, failed, dropped atomic.Uint64
	// over ends what is being sent.
	over   context.Context //nolint:containedctx // the sender is the scope that it stands for
	giveUp context.CancelFunc
}

func newSender(exporter sdktrace.SpanExporter, s *Settings, log *slog.Logger) *sender {
	n := &sender{exporter: exporter, settings: s, log: log, most: sdktrace.DefaultMaxQueueSize}
	if s.queue > 0 {
		n.most = int64(s.queue)
	}
	n.over, n.giveUp = context.WithCancel(context.Background())
	n.SpanProcessor = sdktrace.NewBatchSpanProcessor(exporting{n}, sdktrace.WithMaxQueueSize(int(n.most)))
	return n
}

// OnEnd takes a span, or drops it if too many wait.
func (n *sender) OnEnd(span sdktrace.ReadOnlySpan) {
	if !span.SpanContext().IsSampled() {
		return // it is not sent
	}
	if n.waiting.Add(1) > n.most {
		n.waiting.Add(-1)
		n.dropped.Add(1)
		return
	}
	n.SpanProcessor.OnEnd(span)
}

// close gives up what is being sent, and returns when the log has told of it.
func (n *sender) close() {
	n.giveUp()
	n.sending.Lock()
	defer n.sending.Unlock()
}

func (n *sender) counts() Counts {
	return Counts{Sent: n.sent.Load(), Failed: n.failed.Load(), Dropped: n.dropped.Load()}
}

// exporting is the exporter that the SDK's processor calls.
type exporting struct{ *sender }

// ExportSpans sends spans. The log has what goes wrong.
func (e exporting) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	e.sending.Lock()
	defer e.sending.Unlock()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(e.over, cancel)() //nolint:contextcheck // it ends with the sender as well
	defer e.waiting.Add(-int64(len(spans)))
	err := e.exporter.ExportSpans(ctx, spans)
	if err == nil {
		e.sent.Add(uint64(len(spans)))
		return nil
	}
	all := uint64(len(spans))
	lost := rejected(err, all)
	e.failed.Add(lost)
	e.sent.Add(all - lost)
	text := slog.String("error", shown(e.settings, err))
	if lost == 0 {
		e.log.LogAttrs(ctx, slog.LevelWarn, "the collector has taken all spans and warns", text)
		return nil
	}
	e.log.LogAttrs(ctx, slog.LevelWarn, "spans not sent: they are lost, no event is", slog.Uint64("spans", lost), text)
	return nil
}

// Shutdown ends the exporter.
func (e exporting) Shutdown(ctx context.Context) error { return e.exporter.Shutdown(ctx) }

// partly finds what the exporter says of an answer by which a collector takes a part of the spans. The collector's own text is within.
var partly = regexp.MustCompile(`(?s)OTLP partial success: .*\((\d+) spans rejected\)`)

// rejected returns how many of the spans are lost by an error: all, unless a collector has taken a part of them.
func rejected(err error, spans uint64) uint64 {
	if found := partly.FindStringSubmatch(err.Error()); found != nil {
		if n, err := strconv.ParseUint(found[1], 10, 64); err == nil {
			return min(n, spans)
		}
	}
	return spans
}

// shown is the text of an error, without secrets and without what a collector has answered, which may repeat them.
func shown(s *Settings, err error) string {
	text := partly.ReplaceAllString(err.Error(), "the collector rejects $1 spans")
	text, _, _ = strings.Cut(text, "body: ")
	return imclient.Scrub(strings.TrimSuffix(s.hide(text), " ("))
}
