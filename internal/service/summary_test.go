package service

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"convdel/consumer"
)

// TestSummary: the log sums up each ten seconds in which something was done, and no others.
func TestSummary(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newIdleService(t)
		var log bytes.Buffer
		s.log = slog.New(slog.NewTextHandler(&log, nil))
		registry := prometheus.NewRegistry()
		s.registry = registry
		events := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "convdel_events_total"}, []string{"outcome"})
		calls := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "convdel_calls_total"}, []string{"code", "reason"})
		share := prometheus.NewGauge(prometheus.GaugeOpts{Name: "convdel_quota_calls_per_second"})
		registry.MustRegister(events, calls, share)
		events.WithLabelValues("deleted").Add(1000) // before the start
		ctx := t.Context()
		go func() { _ = s.summarize(ctx) }() // it ends with ctx
		work := func(deleted, permanent, made float64) string {
			log.Reset()
			events.WithLabelValues("deleted").Add(deleted)
			events.WithLabelValues("permanent").Add(permanent)
			calls.WithLabelValues("0", "").Add(made)
			share.Set(66.66)
			time.Sleep(summaryEvery)
			synctest.Wait()
			_, text, _ := strings.Cut(log.String(), "msg=")
			return text
		}
		time.Sleep(time.Second)
		if text := work(0, 0, 0); text != "" {
			t.Errorf("idle: %s", text)
		}
		const want = "summary ended.deleted=300 ended.permanent=2 ended.exhausted=0 ended.undecodable=0 ended.expired=0 ended.revived=0 " +
			"calls=301 calls_per_second=30.1 share=66.7 unfinished=0\n"
		if text := work(300, 2, 301); text != want {
			t.Errorf("got  %s\nwant %s", text, want)
		}
		if text := work(0, 0, 1); !strings.Contains(text, "ended.deleted=0 ") || !strings.Contains(text, " calls=1 ") {
			t.Errorf("a call alone: %s", text)
		}
		if text := work(0, 0, 0); text != "" {
			t.Errorf("idle again: %s", text)
		}
	})
}

func TestSummaryOfPartitions(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 31, 0, 0, 0, 0, time.UTC)
	attrs := summary(work{}, work{}, time.Second, 0, []consumer.OwnedPartition{
		{Partition: 0, Unfinished: 3, Oldest: at.Add(time.Hour)}, {Partition: 1}, {Partition: 2, Unfinished: 4, Oldest: at},
	})
	last := attrs[len(attrs)-2:]
	if last[0].Key != "unfinished" || last[0].Value.Int64() != 7 || last[1].Key != "oldest" || !last[1].Value.Time().Equal(at) {
		t.Errorf("got %v", last)
	}
}
