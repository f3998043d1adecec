package main

import (
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
)

// newBar returns a progress bar on w. A total below 0 means that it is unknown.
func newBar(w io.Writer, total int64, more ...progressbar.Option) *progressbar.ProgressBar {
	return progressbar.NewOptions64(total, append([]progressbar.Option{
		progressbar.OptionSetWriter(w),
		progressbar.OptionSetWidth(30),
		progressbar.OptionThrottle(100 * time.Millisecond),
		progressbar.OptionShowCount(),
		progressbar.OptionSetPredictTime(total > 0),
		progressbar.OptionSetSpinnerChangeInterval(0), // no goroutine of its own
		progressbar.OptionSetTheme(progressbar.Theme{Saucer: "█", SaucerPadding: "░", BarStart: "", BarEnd: ""}),
	}, more...)...)
}

// inputProgress shows how much of an input has been processed. It shows nothing without a terminal, or if the input is
// typed there.
type inputProgress struct {
	w   io.Writer
	bar *progressbar.ProgressBar // nil if there is none
	// bytes says that the bar counts bytes, for a file of known size, instead of lines.
	bytes bool
}

func newInputProgress(con *console) *inputProgress {
	p := &inputProgress{w: con.stderr}
	if !isTerminal(con.stderr) || isTerminal(con.stdin) {
		return p
	}
	total := int64(-1)
	if file, ok := con.stdin.(*os.File); ok {
		if info, err := file.Stat(); err == nil && info.Mode().IsRegular() {
			total, p.bytes = info.Size(), true
		}
	}
	rate := progressbar.OptionShowIts()
	if p.bytes {
		rate = progressbar.OptionShowBytes(true)
	}
	p.bar = newBar(con.stderr, total, rate, progressbar.OptionSetItsString("lines"))
	return p
}

// add counts processed lines.
func (p *inputProgress) add(lines []inputLine) {
	if p.bar == nil {
		return
	}
	n := len(lines)
	if p.bytes {
		for _, line := range lines {
			n += len(line.text)
		}
	}
	_ = p.bar.Add(n) // a bar that cannot be drawn is no reason to stop
}

// interrupt removes the bar while write writes lines of its own.
func (p *inputProgress) interrupt(write func(w io.Writer)) {
	if p.bar != nil {
		_ = p.bar.Clear()
	}
	write(p.w)
}

// end ends the bar's line.
func (p *inputProgress) end() {
	if p.bar != nil {
		_ = p.bar.Exit()
		say(p.w, "\n")
	}
}
