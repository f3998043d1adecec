package repeats_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"convdel/internal/repeats"
)

// written is what a logger has written.
type written struct {
	mu  sync.Mutex
	out bytes.Buffer
}

func (w *written) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.out.Write(p)
}

// lines returns the lines with a text, without their times.
func (w *written) lines(text string) (found []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for line := range strings.Lines(w.out.String()) {
		if strings.Contains(line, text) {
			_, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
			found = append(found, rest)
		}
	}
	return found
}

// inMinutes runs a test with a logger in virtual time.
func inMinutes(t *testing.T, test func(t *testing.T, log *slog.Logger, w *written, h *repeats.Handler)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := new(written)
		h := repeats.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug}))
		test(t, slog.New(h), w, h)
	})
}

func want(t *testing.T, got []string, lines ...string) {
	t.Helper()
	if strings.Join(got, "\n") != strings.Join(lines, "\n") {
		t.Errorf("written %q\nwant    %q", got, lines)
	}
}

// TestFirstTenThenACount: the count comes a minute after the first line, though no further line follows, and other lines pass.
func TestFirstTenThenACount(t *testing.T) {
	t.Parallel()
	inMinutes(t, func(t *testing.T, log *slog.Logger, w *written, _ *repeats.Handler) {
		t.Helper()
		for i := range 20_000 {
			log.With("generation", i).Warn("dead letter", "id", i, "class", "undecodable")
		}
		log.Warn("dead letter", "class", "permanent")
		log.Error("calls paused", "reason", "outage")
		if n := len(w.lines("class=undecodable")); n != 10 {
			t.Errorf("%d lines at first", n)
		}
		time.Sleep(59 * time.Second)
		want(t, w.lines("more"))
		time.Sleep(2 * time.Second)
		want(t, w.lines("more"), `level=WARN msg="more lines like this within a minute" like="dead letter" class=undecodable more=19990`)
		want(t, w.lines("permanent"), `level=WARN msg="dead letter" class=permanent`)
		want(t, w.lines("paused"), `level=ERROR msg="calls paused" reason=outage`)
		log.Warn("dead letter", "class", "undecodable")
		if n := len(w.lines("class=undecodable")); n != 12 {
			t.Errorf("%d lines after the window, want the next one too", n)
		}
		time.Sleep(time.Hour)
		if n := len(w.lines("more")); n != 1 {
			t.Errorf("%d counts", n)
		}
	})
}

// TestEveryLineIsWrittenOrCounted: over a long flood, written lines and counts add up.
func TestEveryLineIsWrittenOrCounted(t *testing.T) {
	t.Parallel()
	inMinutes(t, func(t *testing.T, log *slog.Logger, w *written, h *repeats.Handler) {
		t.Helper()
		const all = 5000
		for range all {
			log.Warn("flood")
			time.Sleep(130 * time.Millisecond)
		}
		h.Close()
		sum := len(w.lines(`msg=flood`))
		for _, line := range w.lines("like=flood") {
			var n int
			_, number, _ := strings.Cut(line, "more=")
			if _, err := fmt.Sscan(number, &n); err != nil {
				t.Fatal(err)
			}
			sum += n
		}
		if minutes := len(w.lines("like=flood")); sum != all || minutes != 11 {
			t.Errorf("%d lines written and counted, in %d counts; want %d in 11", sum, minutes, all)
		}
	})
}

// TestCloseTellsTheCount: at the end of the process nothing counted is lost, and the last lines pass.
func TestCloseTellsTheCount(t *testing.T) {
	t.Parallel()
	inMinutes(t, func(t *testing.T, log *slog.Logger, w *written, h *repeats.Handler) {
		t.Helper()
		for range 12 {
			log.Info("hello")
		}
		h.Close()
		want(t, w.lines("more"), `level=INFO msg="more lines like this within a minute" like=hello more=2`)
		log.Info("hello")
		h.Close()
		if n := len(w.lines("msg=hello")); n != 11 {
			t.Errorf("%d lines", n)
		}
		time.Sleep(time.Hour)
		if n := len(w.lines("more")); n != 1 {
			t.Errorf("%d counts", n)
		}
	})
}

// TestRareErrorsAreNotLost: an error with another text is another line. Debug lines all pass.
func TestRareErrorsAreNotLost(t *testing.T) {
	t.Parallel()
	inMinutes(t, func(t *testing.T, log *slog.Logger, w *written, h *repeats.Handler) {
		t.Helper()
		for i := range 100 {
			log.Error("not written", "error", errors.New("no leader"))
			log.Warn("not read", "error", fmt.Errorf("fault %d", i))
			log.Debug("detail")
		}
		log.Error("not written", "error", errors.New("disk full"))
		h.Close()
		for text, n := range map[string]int{`error="disk full"`: 1, `msg="not written" error="no leader"`: 10, `msg="not read"`: 10, "msg=detail": 100, "more=90": 2} {
			if got := len(w.lines(text)); got != n {
				t.Errorf("%d lines with %s, want %d", got, text, n)
			}
		}
	})
}

// TestKindsAreBounded: texts that never repeat take up no memory, and their lines are counted together.
func TestKindsAreBounded(t *testing.T) {
	t.Parallel()
	inMinutes(t, func(t *testing.T, log *slog.Logger, w *written, h *repeats.Handler) {
		t.Helper()
		for i := range 3000 {
			log.Error("odd", "error", fmt.Sprint("number ", i))
		}
		if n := len(w.lines("msg=odd")); n > 300 {
			t.Errorf("%d lines", n)
		}
		time.Sleep(2 * time.Minute)
		for i := range 3000 {
			log.Error("odd", "error", fmt.Sprint("another number ", i))
		}
		h.Close()
		if n := len(w.lines("msg=odd")); n > 600 || len(w.lines("like=odd")) != 2 {
			t.Errorf("%d lines, counts %q", n, w.lines("like=odd"))
		}
	})
}

// TestMessagesAreBounded: messages that never repeat are all written, and the next flood is noticed again.
func TestMessagesAreBounded(t *testing.T) {
	t.Parallel()
	inMinutes(t, func(t *testing.T, log *slog.Logger, w *written, h *repeats.Handler) {
		t.Helper()
		for i := range 3000 {
			log.Error(fmt.Sprint("message ", i)) //nolint:sloglint // the point of this test
		}
		if n := h.Kinds(); n > 512 || len(w.lines("message")) != 3000 {
			t.Errorf("%d kinds are kept, %d lines written", n, len(w.lines("message")))
		}
		time.Sleep(2 * time.Minute)
		for range 20 {
			log.Error("flood")
		}
		h.Close()
		want(t, w.lines("more"), `level=ERROR msg="more lines like this within a minute" like=flood more=10`)
	})
}
