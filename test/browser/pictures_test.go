package browser

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"image/png"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"convdel/consumer"
	"convdel/internal/notable"
	"convdel/internal/status"
	"convdel/internal/status/page"
	"convdel/schema"
)

var update = flag.Bool("update", false, "write the pictures of the documents anew")

const (
	pictures = "../../docs/pictures"
	// mostBytes bounds a picture.
	mostBytes = 150 << 10
)

// noon is when the pictures are taken.
var noon = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

// scene is a moment of a replica that never was.
type scene struct {
	name     string
	snapshot consumer.Snapshot
	history  *status.History
	lines    []notable.Line
}

// TestPictures: the pictures of docs/status.md show the page as it is now. Fonts differ from machine to machine, so their bytes are not
// compared: with -update they are written, and without it, the page's texts must be those of the picture's scene, and the picture be there.
func TestPictures(t *testing.T) {
	w := openWindow(t)
	for _, s := range []scene{working(), paused(), withoutKafka()} {
		report := status.Of(s.snapshot, status.Source{
			Replica: status.Replica{Version: "v1.4.0", Commit: "3f9c2ab41d07", Started: noon.Add(-26 * time.Hour), Group: "convdel", Topic: schema.Topic, SDKAppID: 1400000001},
			Settings: []status.Setting{
				{Name: "brokers", Value: "kafka-1:9092,kafka-2:9092,kafka-3:9092"}, {Name: "im-sdkappid", Value: "1400000001"}, {Name: "admin-addr", Value: ":8080"},
			},
			Lines: s.lines, History: s.history,
		})
		body, err := page.New().Write(report, s.history.Samples(), false)
		if err != nil {
			t.Fatal(err)
		}
		server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("Content-Security-Policy", page.Policy())
			rw.Header().Set("Content-Type", "text/html; charset=utf-8")
			_, _ = rw.Write(body)
		}))
		for _, night := range []bool{false, true} {
			w.size(360, 740, night)
			w.do(chromedp.Navigate(server.URL))
			w.wantSound(s.name)
			w.wantContrast(fmt.Sprintf("%s, at night %v", s.name, night))
		}
		if n := ask[int](w, `document.querySelectorAll('svg path').length`); n < 9 {
			t.Errorf("%s: the charts have %d paths", s.name, n)
		}
		w.size(920, 1000, s.name == "paused")
		w.wantSound(s.name + " on a desk")
		w.picture(s.name)
		server.Close()
	}
}

// picture writes or checks a picture.
func (w *window) picture(name string) {
	w.t.Helper()
	taken := see(w, chromedp.CaptureScreenshot())
	path := filepath.Join(pictures, "status-"+name+".png")
	if *update {
		if err := errors.Join(os.MkdirAll(pictures, 0o755), os.WriteFile(path, taken, 0o644)); err != nil {
			w.t.Fatal(err)
		}
	}
	kept, err := os.ReadFile(path)
	if err != nil {
		w.t.Fatal(err)
	}
	config, err := png.DecodeConfig(bytes.NewReader(kept))
	if err != nil || config.Width != 920 || len(kept) > mostBytes {
		w.t.Errorf("%s: %d wide, %d bytes, %v", path, config.Width, len(kept), err)
	}
}

// past makes the samples of the last minutes; of changes the sample that is so many steps before the last one.
func past(of func(before int, s *status.Sample)) *status.History {
	h := &status.History{}
	steps := int(status.Span / status.Every)
	for before := steps; before >= 0; before-- {
		s := status.Sample{At: noon.Add(-time.Duration(before) * status.Every), Share: 100, Generation: 7, Partitions: 6}
		of(before, &s)
		h.Add(s)
	}
	return h
}

func partitions(unfinished ...int64) []consumer.OwnedPartition {
	var all []consumer.OwnedPartition
	for i, n := range unfinished {
		p := consumer.OwnedPartition{Partition: i, Committed: 1_204_310 + int64(i)*977, Unfinished: n}
		p.End = p.Committed + n + 20
		if n > 0 {
			p.Oldest = noon.Add(-time.Duration(41-i) * time.Second)
		}
		all = append(all, p)
	}
	return all
}

func line(before time.Duration, level slog.Level, message string, attrs ...notable.Attr) notable.Line {
	return notable.Line{Time: noon.Add(-before), Level: level, Message: message, Attrs: attrs}
}

func working() scene {
	owned := partitions(812, 640, 655, 701, 590, 633)
	owned[3].Oldest = noon.Add(-4 * time.Minute)
	return scene{
		name: "working",
		snapshot: consumer.Snapshot{
			At: noon, Status: consumer.Status{Live: true, Generation: 7, Partitions: 6, Since: noon.Add(-26 * time.Hour)}, Share: 100, Limit: 200,
			Unfinished: consumer.Unfinished{Ready: 1951, Waiting: 4, Calling: 8}, Partitions: owned,
			Counts: consumer.Counts{
				Ended:   map[consumer.Outcome]int64{consumer.OutcomeDeleted: 1_204_000, consumer.OutcomePermanent: 41},
				Letters: []consumer.LetterCount{{Class: consumer.OutcomePermanent, Code: "50001", Letters: 38}, {Class: consumer.OutcomeUndecodable, Code: "0", Letters: 3}},
			},
			Oldest: []consumer.UnfinishedEvent{
				{Partition: 3, Offset: 1_207_260, Time: noon.Add(-4 * time.Minute), State: consumer.StateWaiting, Attempts: 4, Code: 50004, Due: noon.Add(11 * time.Second), Err: errors.New("im api: code 50004: internal error"), Conversation: schema.Conversation{From: "alice", Type: schema.C2C, To: "bob"}},
				{Partition: 0, Offset: 1_204_311, Time: noon.Add(-41 * time.Second), State: consumer.StateCalling},
				{Partition: 4, Offset: 1_208_219, Time: noon.Add(-40 * time.Second), State: consumer.StateReady},
			},
		},
		history: past(func(before int, s *status.Sample) {
			since := int64(180 - before)
			busy := max(0, since-60)
			s.Ended = since*60 + busy*430
			s.Calls, s.Failed = since*62+busy*435, since*2+busy*4
			s.Letters = since / 20
			s.Unfinished = max(0, 4031+int64(before)*60)
			if before > 120 {
				s.Unfinished = int64(math.Abs(math.Sin(float64(before)))*20) + 3
			}
		}),
		lines: []notable.Line{
			line(26*time.Hour, slog.LevelInfo, "convdel starts", notable.Attr{Name: "version", Value: "v1.4.0"}),
			line(8*time.Minute, slog.LevelWarn, "dead letter", notable.Attr{Name: "id", Value: schema.Topic + "/2/1205901"}, notable.Attr{Name: "class", Value: "permanent"}, notable.Attr{Name: "code", Value: "50001"}),
		},
	}
}

func paused() scene {
	since := noon.Add(-3 * time.Minute)
	held := partitions(3120, 2904, 3001, 2988, 3040, 2950)
	for i := range held {
		held[i].Oldest = since.Add(time.Duration(i-2) * time.Second)
	}
	refused := errors.New("im api: code 70009: the signature does not match the secret key")
	return scene{
		name: "paused",
		snapshot: consumer.Snapshot{
			At: noon, Share: 100, Limit: 200, Unfinished: consumer.Unfinished{Ready: 2000}, Partitions: held,
			Status: consumer.Status{
				Live: true, Generation: 7, Partitions: 6, Since: noon.Add(-26 * time.Hour),
				Paused: &consumer.Pause{Reason: consumer.PauseHalt, Since: since, NextProbe: noon.Add(12 * time.Second), Err: refused, LastError: refused.Error()},
			},
			Counts: consumer.Counts{Letters: []consumer.LetterCount{{Class: consumer.OutcomePermanent, Code: "50001", Letters: 38}}},
			Oldest: []consumer.UnfinishedEvent{
				{Partition: 0, Offset: 1_204_311, Time: since.Add(-2 * time.Second), State: consumer.StateReady, Code: 70009, Err: refused},
				{Partition: 4, Offset: 1_208_219, Time: since.Add(-1 * time.Second), State: consumer.StateReady},
			},
		},
		history: past(func(before int, s *status.Sample) {
			since := int64(180 - max(before, 36))
			s.Ended, s.Calls, s.Failed, s.Letters = since*490, since*500, since*9, since/20
			s.Unfinished = 40
			if before < 36 {
				s.Unfinished = int64(36-before) * 500
				s.Calls += int64(36-before) / 6
				s.Failed += int64(36-before) / 6
			}
		}),
		lines: []notable.Line{
			line(3*time.Minute, slog.LevelError, "calls paused: the fault is not the events' own; probing until it is over", notable.Attr{Name: "reason", Value: "halt"}, notable.Attr{Name: "error", Value: refused.Error()}),
			line(2*time.Minute, slog.LevelError, "calls are still paused", notable.Attr{Name: "reason", Value: "halt"}, notable.Attr{Name: "error", Value: refused.Error()}),
		},
	}
}

func withoutKafka() scene {
	const why = "group not joined: dial tcp 10.0.3.17:9092: connect: connection refused"
	return scene{
		name: "no-kafka",
		snapshot: consumer.Snapshot{
			At: noon, Limit: 200,
			Status: consumer.Status{Generation: 7, Since: noon.Add(-95 * time.Second), Absent: why, Unreached: why},
			Counts: consumer.Counts{Letters: []consumer.LetterCount{{Class: consumer.OutcomePermanent, Code: "50001", Letters: 38}}},
		},
		history: past(func(before int, s *status.Sample) {
			since := int64(180 - max(before, 19))
			s.Ended, s.Calls, s.Failed, s.Letters = since*290, since*300, since*3, since/20
			s.Unfinished = 12
			if before < 19 {
				s.Unfinished, s.Share, s.Partitions = 0, 0, 0
			}
		}),
		lines: []notable.Line{
			line(95*time.Second, slog.LevelWarn, "fetch fails, will be retried", notable.Attr{Name: "partition", Value: "3"}, notable.Attr{Name: "error", Value: "EOF"}),
			line(90*time.Second, slog.LevelWarn, "group not joined, will retry", notable.Attr{Name: "group", Value: "convdel"}, notable.Attr{Name: "error", Value: "dial tcp 10.0.3.17:9092: connect: connection refused"}),
		},
	}
}
