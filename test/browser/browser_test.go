package browser

import (
	"context"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// window is a tab of the browser.
type window struct {
	t   *testing.T
	ctx context.Context //nolint:containedctx // chromedp keeps the tab in it

	mu sync.Mutex
	// said is what the console has shown.
	said []string
}

// openWindow starts a browser for a test.
func openWindow(t *testing.T) *window {
	t.Helper()
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			path = found
			break
		}
	}
	if path == "" {
		t.Fatal("Chromium is missing: apt-get install chromium")
	}
	// The tests' user may be root, and a container may have little shared memory.
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.Flag("disable-dev-shm-usage", true), chromedp.DisableGPU)
	allocated, end := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, cancel := chromedp.NewContext(allocated)
	w := &window{t: t, ctx: ctx}
	t.Cleanup(func() {
		cancel()
		end()
	})
	if err := chromedp.Do(ctx); err != nil { // starts the browser, which ends with ctx
		t.Fatal(err)
	}
	messages := chromedp.Console(ctx)
	go func() {
		for m, err := range messages {
			if err != nil {
				return
			}
			w.mu.Lock()
			w.said = append(w.said, m.String())
			w.mu.Unlock()
		}
	}()
	return w
}

func (w *window) do(actions ...chromedp.Action[chromedp.Void]) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.ctx, time.Minute)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		w.t.Fatal(err)
	}
}

// see runs an action that has a result.
func see[T any](w *window, action chromedp.Action[T]) T {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.ctx, time.Minute)
	defer cancel()
	answer, err := chromedp.Run(ctx, action)
	if err != nil {
		w.t.Fatal(err)
	}
	return answer
}

// size makes the window so large, in the colours of the day or the night.
func (w *window) size(width, height int64, night bool) {
	w.t.Helper()
	scheme := "light"
	if night {
		scheme = "dark"
	}
	media := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}}
	if _, err := chromedp.Call(w.ctx, emulation.SetEmulatedMedia, media); err != nil {
		w.t.Fatal(err)
	}
	metrics := emulation.SetDeviceMetricsOverrideParams{Width: width, Height: height, DeviceScaleFactor: 1, Mobile: width < 600}
	if _, err := chromedp.Call(w.ctx, emulation.SetDeviceMetricsOverride, metrics); err != nil {
		w.t.Fatal(err)
	}
}

// ask evaluates an expression of JavaScript.
func ask[T any](w *window, expression string) T {
	w.t.Helper()
	return see(w, chromedp.Evaluate[T](expression))
}

// await waits until an expression is true. The page may be loading itself again meanwhile.
func (w *window) await(what, expression string, limit time.Duration) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.ctx, limit)
	defer cancel()
	for {
		yes, err := chromedp.Run(ctx, chromedp.Evaluate[bool](expression))
		if err == nil && yes {
			return
		}
		if ctx.Err() != nil {
			w.t.Fatalf("%s: not within %s (%v):\n%s", what, limit, err, ask[string](w, `document.body.innerText`))
		}
		_ = chromedp.Do(ctx, chromedp.Sleep(100*time.Millisecond))
	}
}

// wantSound checks what holds of every page: it fits, nothing runs, nothing is complained about, and those who can't see it are told.
func (w *window) wantSound(when string) {
	w.t.Helper()
	if wide := ask[[]string](w, `[...document.querySelectorAll('body *')].filter(e => !e.closest('svg') && e.getBoundingClientRect().right > innerWidth + 0.5).map(e => e.outerHTML.slice(0, 150))`); len(wide) > 0 {
		w.t.Errorf("%s: wider than the window: %s", when, strings.Join(wide, "\n"))
	}
	if !ask[bool](w, `document.documentElement.scrollWidth <= innerWidth`) {
		w.t.Errorf("%s: the page scrolls sideways", when)
	}
	for what, expression := range map[string]string{
		"scripts":                 `document.scripts.length`,
		"elements with a handler": `[...document.querySelectorAll('*')].filter(e => e.getAttributeNames().some(n => n.startsWith('on'))).length`,
		"images of no name":       `[...document.querySelectorAll('img:not([alt]), svg:not([aria-label])')].length`,
		"tables without heads":    `[...document.querySelectorAll('table')].filter(t => !t.querySelector('th[scope]')).length`,
		"sections of no name":     `[...document.querySelectorAll('section')].filter(s => !document.getElementById(s.getAttribute('aria-labelledby'))).length`,
		"ways without a language": `document.documentElement.lang === 'en' ? 0 : 1`,
		"first headings missing":  `document.querySelectorAll('h1').length === 1 ? 0 : 1`,
	} {
		if n := ask[int](w, expression); n != 0 {
			w.t.Errorf("%s: %d %s", when, n, what)
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.said) > 0 {
		w.t.Errorf("%s: the console says %s", when, strings.Join(w.said, "\n"))
		w.said = nil
	}
}

// wantContrast checks that texts stand out from what is behind them, as WCAG AA asks.
func (w *window) wantContrast(when string) {
	w.t.Helper()
	const pale = `(() => {
		const lum = c => { const [r, g, b] = c.match(/[\d.]+/g).map(Number).map(v => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); return 0.2126 * r + 0.7152 * g + 0.0722 * b };
		const behind = e => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor; if (!/, 0\)$/.test(c)) return c } return 'rgb(255, 255, 255)' };
		return [...document.querySelectorAll('body *')].filter(e => [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim())).map(e => {
			const s = getComputedStyle(e), a = lum(e.closest('svg') ? s.fill : s.color), b = lum(behind(e)), ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
			return ratio < 4.5 && e.tagName !== 'title' ? e.outerHTML.slice(0, 100) + ' ' + ratio.toFixed(1) : '' }).filter(Boolean) })()`
	if found := ask[[]string](w, pale); len(found) > 0 {
		w.t.Errorf("%s: hard to read:\n%s", when, strings.Join(found, "\n"))
	}
}
