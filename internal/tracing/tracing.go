// Package tracing makes spans of events and calls with OpenTelemetry's SDK, and sends them to a collector (OTLP over HTTP). What goes wrong
// on the way costs spans, never events: nothing waits for a collector.
//
//	settings, err := tracing.Read(os.LookupEnv, false)
//	if settings != nil {
//		traces, err := tracing.New(ctx, settings, tracing.Config{API: "https://console.tim.qq.com", Version: "v1.2.3"}, logger)
//		defer traces.Close()
//	}
package tracing

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/go-logr/logr"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
)

// closeWithin is how long Close waits for the last spans to be taken.
const closeWithin = time.Second

// serviceName is the service's name, unless OTEL_SERVICE_NAME or OTEL_RESOURCE_ATTRIBUTES have another.
const serviceName = "convdel"

// Config is what spans say of the service.
type Config struct {
	// API is the endpoint that calls go to. Its host and port are in the spans.
	API string
	// Version is that of the binary.
	Version string
}

// Tracing makes spans. It is a [consumer.Traces]. It is safe for concurrent use.
type Tracing struct {
	tracer   trace.Tracer
	provider *sdktrace.TracerProvider
	sender   *sender
	api      []attribute.KeyValue
}

// New returns a Tracing that sends spans as the settings and the SDK's own variables say. Its errors name a variable that can't be used, without
// secrets. It makes the process's OpenTelemetry errors lines of the log.
func New(ctx context.Context, s *Settings, cfg Config, log *slog.Logger) (*Tracing, error) {
	takeOver(s, log) //nolint:contextcheck // it is for the whole process
	exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(s.endpoint.String()), otlptracehttp.WithProxy(s.proxy))
	if err != nil {
		return nil, fmt.Errorf("traces: %s", shown(s, err))
	}
	return with(ctx, s, exporter, cfg, log)
}

func with(ctx context.Context, s *Settings, exporter sdktrace.SpanExporter, cfg Config, log *slog.Logger) (*Tracing, error) {
	described, err := resource.New(ctx,
		resource.WithAttributes(semconv.ServiceName(serviceName), semconv.ServiceVersion(cfg.Version)), resource.WithTelemetrySDK(), resource.WithFromEnv())
	if err != nil && !errors.Is(err, resource.ErrPartialResource) && !errors.Is(err, resource.ErrSchemaURLConflict) {
		return nil, fmt.Errorf("traces: OTEL_RESOURCE_ATTRIBUTES: %s", shown(s, err))
	}
	t := &Tracing{sender: newSender(exporter, s, log), api: apiAttributes(cfg.API)}
	t.provider = sdktrace.NewTracerProvider(sdktrace.WithResource(described), sdktrace.WithSpanProcessor(t.sender))
	t.tracer = t.provider.Tracer("convdel", trace.WithInstrumentationVersion(cfg.Version), trace.WithSchemaURL(semconv.SchemaURL))
	return t, nil
}

// Close sends the spans that have ended, for a second at most.
func (t *Tracing) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), closeWithin)
	defer cancel()
	_ = t.provider.Shutdown(ctx) // the log tells of spans that get lost
	t.sender.close()
}

// Counts returns how many spans were sent, were sent in vain, and were dropped since the queue was full.
func (t *Tracing) Counts() Counts { return t.sender.counts() }

// errElsewhere says that a collector has sent a request on to another place, which is not to have its headers.
var errElsewhere = errors.New("the collector redirects to another address: set the endpoint to that")

// proxy names the proxy for a request, as the environment has it. It refuses requests to any other place than the endpoint.
func (s *Settings) proxy(r *http.Request) (*url.URL, error) {
	if r.URL.Scheme != s.endpoint.Scheme || r.URL.Host != s.endpoint.Host {
		return nil, errElsewhere
	}
	return http.ProxyFromEnvironment(r)
}

// takeOver makes lines of the log of what the SDK says on its own. Its own log shows headers that it can't read.
func takeOver(s *Settings, log *slog.Logger) {
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) {
		log.LogAttrs(context.Background(), slog.LevelWarn, "the library for traces says", slog.String("error", shown(s, err)))
	}))
	otel.SetLogger(logr.FromSlogHandler(saying{log.Handler()}))
}

// saying is a handler that writes errors and warnings without their attributes.
type saying struct{ slog.Handler }

// Enabled is true for warnings and errors.
func (h saying) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn && h.Handler.Enabled(ctx, level)
}

// Handle writes a line.
func (h saying) Handle(ctx context.Context, r slog.Record) error {
	line := slog.NewRecord(r.Time, slog.LevelWarn, "the library for traces says", 0)
	line.AddAttrs(slog.String("error", r.Message))
	return h.Handler.Handle(ctx, line)
}

// WithAttrs drops the attributes.
func (h saying) WithAttrs([]slog.Attr) slog.Handler { return h }

// WithGroup drops the group.
func (h saying) WithGroup(string) slog.Handler { return h }

// apiAttributes are those of every call.
func apiAttributes(endpoint string) []attribute.KeyValue {
	attrs := []attribute.KeyValue{semconv.HTTPRequestMethodPost, semconv.URLTemplate(callPath)}
	u, err := url.Parse(endpoint)
	if err != nil || u.Hostname() == "" {
		return attrs
	}
	port, err := strconv.Atoi(u.Port())
	switch {
	case err == nil:
	case u.Scheme == "http":
		port = 80
	default:
		port = 443
	}
	return append(attrs, semconv.ServerAddress(u.Hostname()), semconv.ServerPort(port))
}
