package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"

	"convdel/consumer/deadletter"
)

// show writes the plan of a settling. missing are lines about IDs whose letters are not in it. If the plan can't be written,
// nobody has seen it, and nothing may be settled.
func (s *settling) show(p deadletter.Plan, missing []string) error {
	var text bytes.Buffer
	s.describe(&text, p, missing)
	if _, err := text.WriteTo(s.con.stdout); err != nil {
		return fmt.Errorf("%w: %s", errNotShown, err.Error())
	}
	return nil
}

// errNotShown says that a plan can't be written. The reason is text only: that it is an unread output must not silence the command.
var errNotShown = errors.New("nothing has been changed, since the plan can't be shown")

func (s *settling) describe(w io.Writer, p deadletter.Plan, missing []string) {
	if p.Settled == 0 {
		say(w, "Nothing to %s: %s in %s.\n", s.verb, countOf(p.Open, "open dead letter", "open dead letters"), s.cfg.letters)
	} else {
		s.showChosen(w, p)
	}
	if len(p.Left) > 0 {
		say(w, "\nLeft alone:\n")
		for _, why := range sortedBy(p.Left) {
			say(w, "%8d  %s%s\n", p.Left[why], why, s.remedy(why, p))
		}
	}
	if len(missing) > 0 {
		say(w, "\nNot to %s, although --id names them:\n", s.verb)
		for _, line := range missing {
			say(w, "          %s\n", line)
		}
	}
	if p.Unjudged > 0 {
		say(w, "\n%s no event, so --account selects none of these (list --account looks into their records)\n",
			countOf(p.Unjudged, "open letter has", "open letters have"))
	}
	sayForeign(w, p.Foreign)
}

// showAlong writes which letters are settled along with the chosen ones.
func showAlong(w io.Writer, p deadletter.Plan) {
	if p.Along == 0 {
		return
	}
	say(w, "   along  %s that these replace, since these are of their replays:\n", countOf(p.Along, "older letter", "older letters"))
	for _, id := range p.AlongIDs {
		say(w, "          %s\n", id)
	}
	if more := p.Along - len(p.AlongIDs); more > 0 {
		say(w, "          … and %d more; list --format json has all of them\n", more)
	}
}

func (s *settling) showChosen(w io.Writer, p deadletter.Plan) {
	to := ""
	if s.quota > 0 || s.maxAge != "" {
		to = ", to " + s.cfg.topic
	}
	say(w, "To %s: %d of %s in %s%s\n", s.verb, p.Settled, countOf(p.Open, "open dead letter", "open dead letters"), s.cfg.letters, to)
	if s.everything {
		say(w, "          no filter is given: every open letter is meant\n")
	}
	for _, class := range sortedBy(p.Classes) {
		say(w, "%8d  %s\n", p.Classes[class], class)
	}
	showAlong(w, p)
	for _, topic := range sortedBy(p.Outcomes) {
		say(w, "recorded  in %s: %s\n", topic, countOf(p.Outcomes[topic], "outcome", "outcomes"))
	}
	say(w, "  oldest  %s (%s)\n", stamp(p.Oldest), ago(p.Oldest, time.Now()))
	say(w, "   takes  %s\n", s.duration(p.Settled))
}

// remedy says how to settle letters that are left alone.
func (s *settling) remedy(why deadletter.Left, p deadletter.Plan) string {
	switch why {
	case deadletter.LeftTooOld:
		return fmt.Sprintf(" (--max-age is %s; 0 = any)", s.maxAge)
	case deadletter.LeftNotNamed:
		return " (they would fail again unless the cause is gone)"
	case deadletter.LeftOtherTopic:
		return fmt.Sprintf(" (--topic is %s)", s.cfg.topic)
	case deadletter.LeftOutcomeTopic:
		return fmt.Sprintf(" (%s: empty, of other records, or not to be read; --outcome-topic says where their outcomes go)", strings.Join(p.Doubted, ", "))
	case deadletter.LeftOmitted, deadletter.LeftBatch:
		return " (show says how to find what they stand for; then discard them)"
	}
	return ""
}

// duration says how long it takes to settle n letters.
func (s *settling) duration(n int) string {
	text := "as long as the brokers need to acknowledge"
	if s.choice.Rate > 0 {
		text = fmt.Sprintf("%s at --rate %g", seconds(float64(n)/s.choice.Rate), s.choice.Rate)
	}
	if s.quota > 0 {
		text += fmt.Sprintf("; then the service needs %s of its %d calls a second", seconds(float64(n)/float64(s.quota)), s.quota)
	}
	return text
}

// seconds writes an estimated length of time.
func seconds(n float64) string {
	const ages = 1e9 // the exact number does not matter beyond the range of a duration
	if d := time.Duration(min(n, ages) * float64(time.Second)); d >= time.Second {
		return roughly(d)
	}
	return "less than 1s"
}

// countProgress shows how many of a known number are done. On a terminal it is a bar. Elsewhere it is a line for each tenth
// but the last, and at least every ten seconds.
type countProgress struct {
	w           io.Writer
	past        string
	total, done int
	bar         *progressbar.ProgressBar // nil where lines are written
	tenth       int
	last        time.Time
}

const progressEvery = 10 * time.Second

func newCountProgress(w io.Writer, past string, total int) *countProgress {
	p := &countProgress{w: w, past: past, total: total, last: time.Now()}
	if isTerminal(w) {
		p.bar = newBar(w, int64(total))
	}
	return p
}

func (p *countProgress) add() {
	p.done++
	p.step()
}

// interrupt removes the bar while write writes lines of its own.
func (p *countProgress) interrupt(write func(w io.Writer)) {
	if p.bar != nil {
		_ = p.bar.Clear()
	}
	write(p.w)
}

func (p *countProgress) step() {
	if p.bar != nil {
		_ = p.bar.Add(1) // a bar that cannot be drawn is no reason to stop
		return
	}
	if p.done >= p.total {
		return // the outcome has the last line
	}
	if tenth := p.done * 10 / p.total; tenth > p.tenth || time.Since(p.last) >= progressEvery {
		p.tenth, p.last = tenth, time.Now()
		say(p.w, "%s %d of %d\n", p.past, p.done, p.total)
	}
}

func (p *countProgress) end() {
	if p.bar != nil {
		_ = p.bar.Exit()
		say(p.w, "\n")
	}
}
