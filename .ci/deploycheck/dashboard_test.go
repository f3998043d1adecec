package deploycheck

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const dashboardFile = "deploy/grafana/dashboard.json"

// dashboard is the part of Grafana's JSON that is checked.
type dashboard struct {
	UID, Title string
	Panels     []panel
	Templating struct {
		List []struct{ Name, Type, Definition string }
	}
	Annotations struct{ List []struct{ Expr string } }
}

type panel struct {
	ID                       int
	Type, Title, Description string
	GridPos                  struct{ X, Y, W, H int }
	Datasource               struct{ UID string }
	FieldConfig              struct {
		Defaults struct{ Unit, NoValue string }
	}
	Targets []struct {
		RefID, Expr, LegendFormat string
		Datasource                struct{ UID string }
	}
}

func (p panel) overlaps(o panel) bool {
	a, b := p.GridPos, o.GridPos
	return a.X < b.X+b.W && b.X < a.X+a.W && a.Y < b.Y+b.H && b.Y < a.Y+a.H
}

// labelNames are the labels that a legend or a text names.
func labelNames(text, pattern string) (names []string) {
	for _, found := range regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1) {
		names = append(names, found[1])
	}
	return names
}

// TestDashboard: each query asks for metrics and labels that there are, and shows labels that its result has. Each panel has a title, a
// description, a unit and a place of its own. What an operator has to see is there.
func TestDashboard(t *testing.T) {
	var d dashboard
	if err := json.Unmarshal([]byte(read(t, dashboardFile)), &d); err != nil || len(d.Panels) == 0 {
		t.Fatal(err)
	}
	metrics, queries := exposed(t), ""
	for i, p := range d.Panels {
		for _, other := range d.Panels[:i] {
			if p.ID == other.ID || p.overlaps(other) {
				t.Errorf("%s and %s have one ID or place", p.Title, other.Title)
			}
		}
		if p.GridPos.X+p.GridPos.W > 24 || p.Title == "" {
			t.Errorf("panel %d %q: at %v", p.ID, p.Title, p.GridPos)
		}
		if p.Type == "row" {
			continue
		}
		if p.Description == "" || p.FieldConfig.Defaults.Unit == "" || p.Datasource.UID != "${datasource}" || len(p.Targets) == 0 {
			t.Errorf("%s: no description, no unit, no query, or a data source of its own", p.Title)
		}
		// Where Prometheus has no data, no replica may be left, so a number that is not there is no good news.
		if p.Type == "stat" && !slices.Contains([]string{"no replica works", "none", "not known", "not known: nothing ends"}, p.FieldConfig.Defaults.NoValue) ||
			p.FieldConfig.Defaults.NoValue == "none" && p.Title != "Replicas" {
			t.Errorf("%s: shows %q where there is no data", p.Title, p.FieldConfig.Defaults.NoValue)
		}
		for _, target := range p.Targets {
			queries += target.Expr + "\n"
			problems, result := check(metrics, target.Expr)
			for _, name := range labelNames(target.LegendFormat, `{{\s*(\w+)\s*}}`) {
				if !slices.Contains(result, name) {
					problems = append(problems, "the legend names "+name+", which the result has not")
				}
			}
			if len(problems) > 0 || target.Datasource.UID != "${datasource}" || !strings.Contains(target.Expr, `{job=~"$job"`) {
				t.Errorf("%s: %s: %q", p.Title, target.Expr, problems)
			}
		}
	}
	for _, v := range d.Templating.List {
		found := regexp.MustCompile(`^label_values\((\w+), (\w+)\)$`).FindStringSubmatch(v.Definition)
		if v.Type == "query" && (found == nil || metrics[found[1]].kind == "" || !slices.Contains(target, found[2])) {
			t.Errorf("variable %s: %s", v.Name, v.Definition)
		}
	}
	for _, metric := range []string{
		"convdel_events_total", "convdel_quota_limit_calls_per_second", "convdel_unfinished", "convdel_oldest_unfinished_timestamp_seconds",
		"convdel_calls_total", "convdel_retries_total", "convdel_dead_letters_total", "convdel_paused", "convdel_pauses_total",
		"convdel_paused_seconds_total", "convdel_build_info", "convdel_in_flight",
	} {
		if !strings.Contains(queries, metric+"{") {
			t.Errorf("no panel shows %s", metric)
		}
	}
}
