package page

import (
	"fmt"
	"html"
	"html/template"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/go-analyze/charts"

	"convdel/internal/status"
)

const (
	chartWidth, chartHeight = 360, 130
	// step is the time between two points of a chart, points their number.
	step   = 10 * time.Second
	points = int(status.Span/step) + 1
)

// chart is a drawing with its caption.
type chart struct {
	Caption string
	// Lines name the lines, in the order of their classes a, b and c.
	Lines []string
	// Says is the drawing in words, for those who can't see it.
	Says string
	SVG  template.HTML
}

// chartsOf draws the last minutes.
func chartsOf(samples []status.Sample, now time.Time) ([]chart, error) {
	perSecond := func(of func(status.Sample) int64) []float64 { return rates(samples, now, time.Second, of) }
	calls := chart{Caption: "Calls a second", Lines: []string{"calls", "of these failed", "this replica's share"}}
	left := chart{Caption: "Unfinished events", Lines: []string{"unfinished"}}
	letters := chart{Caption: "Dead letters a minute", Lines: []string{"dead letters"}}
	for _, draw := range []struct {
		chart *chart
		lines [][]float64
	}{
		{&calls, [][]float64{
			perSecond(func(s status.Sample) int64 { return s.Calls }), perSecond(func(s status.Sample) int64 { return s.Failed }),
			levels(samples, now, func(s status.Sample) float64 { return s.Share }),
		}},
		{&left, [][]float64{levels(samples, now, func(s status.Sample) float64 { return float64(s.Unfinished) })}},
		{&letters, [][]float64{rates(samples, now, time.Minute, func(s status.Sample) int64 { return s.Letters })}},
	} {
		if err := draw.chart.draw(draw.lines); err != nil {
			return nil, err
		}
	}
	return []chart{calls, left, letters}, nil
}

// none is the value of a point that is not known.
var none = charts.GetNullValue() //nolint:gochecknoglobals // the library's constant

// levels are the last values before the times of a chart's points.
func levels(samples []status.Sample, now time.Time, of func(status.Sample) float64) []float64 {
	line := make([]float64, points)
	at := 0
	for i := range line {
		from, to := window(now, i)
		line[i] = none
		for ; at < len(samples) && !samples[at].At.After(to); at++ {
			if samples[at].At.After(from) {
				line[i] = of(samples[at])
			}
		}
	}
	return line
}

// rates are the increases of a number between the points of a chart, per unit of time.
func rates(samples []status.Sample, now time.Time, unit time.Duration, of func(status.Sample) int64) []float64 {
	line := make([]float64, points)
	at := 0
	for i := range line {
		_, to := window(now, i)
		line[i] = none
		first := max(0, at-1)
		for ; at < len(samples) && !samples[at].At.After(to); at++ {
		}
		if last := at - 1; last > first {
			line[i] = float64(of(samples[last])-of(samples[first])) * float64(unit) / float64(samples[last].At.Sub(samples[first].At))
		}
	}
	return line
}

// window is the time that a point stands for.
func window(now time.Time, point int) (from, to time.Time) {
	to = now.Add(-time.Duration(points-1-point) * step)
	return to.Add(-step), to
}

// draw draws lines.
func (c *chart) draw(lines [][]float64) error {
	highest, last := 0.0, make([]string, len(lines))
	for i, line := range lines {
		last[i] = "nothing"
		for _, value := range line {
			if value != none {
				highest = max(highest, value)
				last[i] = status.Number(value)
			}
		}
		last[i] = c.Lines[i] + " " + last[i]
	}
	c.Says = fmt.Sprintf("%s in the last 15 minutes: at most %s; now %s", c.Caption, status.Number(highest), strings.Join(last, ", "))
	top := niceTop(highest)
	options := charts.NewLineChartOptionWithData(lines)
	options.Theme = palette()
	options.Padding = charts.Box{Top: 8, Right: 12, Bottom: 4, Left: 4, IsSet: true}
	options.Title.Show, options.Legend.Show = new(false), new(false)
	options.Symbol = charts.Symbol{Shape: charts.SymbolNone}
	options.LineStrokeWidth = 1.5
	options.XAxis = charts.XAxisOption{Labels: labels(), LabelCount: 4, BoundaryGap: new(false), LabelFontStyle: charts.FontStyle{FontSize: 9}}
	options.YAxis = []charts.YAxisOption{{
		Min: new(0.0), Max: new(top), LabelCount: 3, RangeValuePaddingScale: new(0.0), LabelFontStyle: charts.FontStyle{FontSize: 9},
	}}
	options.ValueFormatter = short
	p := charts.NewPainter(charts.PainterOptions{OutputFormat: charts.ChartOutputSVG, Width: chartWidth, Height: chartHeight})
	if err := p.LineChart(options); err != nil {
		return fmt.Errorf("draw %s: %w", c.Caption, err)
	}
	svg, err := p.Bytes()
	if err != nil {
		return fmt.Errorf("draw %s: %w", c.Caption, err)
	}
	c.SVG = embed(string(svg), c.Says)
	return nil
}

// niceTop is the top of an axis: 1, 2 or 4 times a power of ten, so that half of it is a short number, too.
func niceTop(highest float64) float64 {
	if highest <= 2 {
		return 2
	}
	power := math.Pow(10, math.Floor(math.Log10(highest)))
	for _, times := range []float64{1, 2, 4, 6, 8} {
		if top := times * power; top >= highest {
			return top
		}
	}
	return 10 * power
}

// short writes a number of an axis: 4000 is 4k.
func short(n float64) string {
	for _, unit := range []struct {
		size float64
		name string
	}{{1e9, "G"}, {1e6, "M"}, {1e3, "k"}} {
		if n >= unit.size {
			return strconv.FormatFloat(n/unit.size, 'g', 3, 64) + unit.name
		}
	}
	return strconv.FormatFloat(n, 'g', 4, 64)
}

func labels() []string {
	texts := make([]string, points)
	for i := range texts {
		texts[i] = "now"
		if before := time.Duration(points-1-i) * step; before > 0 {
			texts[i] = fmt.Sprintf("−%d min", int(math.Round(before.Minutes())))
		}
	}
	return texts
}

// These colours stand for roles. The style sheet says how each is shown, in the light and in the dark.
func palette() charts.ColorPalette {
	role := func(n uint8) charts.Color { return charts.Color{R: n, G: n, B: n, A: 255} }
	return charts.MakeTheme(charts.ThemeOption{
		AxisStrokeColor: role(1), AxisSplitLineColor: role(2), BackgroundColor: charts.ColorTransparent, TextColor: role(3),
		SeriesColors: []charts.Color{role(11), role(12), role(13)},
	})
}

var (
	styled = regexp.MustCompile(` style="([^"]*)"`)
	opened = regexp.MustCompile(`^<svg [^>]*>`)
)

// embed makes a drawing a part of the page: it is named for those who can't see it, and styles are attributes, which the page's policy allows
// and its style sheet overrides. Roles are classes.
func embed(svg, says string) template.HTML {
	svg = styled.ReplaceAllStringFunc(svg, func(style string) string {
		var out strings.Builder
		var classes []string
		for declared := range strings.SplitSeq(styled.FindStringSubmatch(style)[1], ";") {
			name, value, _ := strings.Cut(declared, ":")
			switch name {
			case "fill", "stroke":
				if of := roles()[value]; of != "" {
					classes = append(classes, of, name)
				} else {
					fmt.Fprintf(&out, ` %s="none"`, name)
				}
			case "stroke-width", "font-size":
				fmt.Fprintf(&out, ` %s="%s"`, name, html.EscapeString(strings.TrimSuffix(value, "px")))
			}
		}
		if len(classes) > 0 {
			fmt.Fprintf(&out, ` class="%s"`, strings.Join(classes, " "))
		}
		return out.String()
	})
	head := fmt.Sprintf(`<svg viewBox="0 0 %d %d" role="img" aria-label="%s"><title>%[3]s</title>`, chartWidth, chartHeight, html.EscapeString(says))
	return template.HTML(opened.ReplaceAllLiteralString(svg, head)) //nolint:gosec // its texts are numbers, and ours
}

// roles are the classes of the palette's colours.
func roles() map[string]string {
	return map[string]string{
		"rgb(1,1,1)": "axis", "rgb(2,2,2)": "grid", "rgb(3,3,3)": "text", "rgb(11,11,11)": "a", "rgb(12,12,12)": "b", "rgb(13,13,13)": "c",
	}
}
