package deploycheck

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// TestRules: each alert asks for metrics and labels that there are, and says what is wrong with labels that its result has. It has a page
// in docs/operations.md, and a case in rules_test.yml in which it fires and another in which it does not.
func TestRules(t *testing.T) {
	var rules struct {
		Groups []struct {
			Rules []struct {
				Alert, Expr         string
				Labels, Annotations map[string]string
			}
		}
	}
	if err := yaml.Unmarshal([]byte(read(t, "deploy/prometheus/rules.yml")), &rules); err != nil || len(rules.Groups) == 0 {
		t.Fatal(err)
	}
	fires, silent := cases(t)
	operations := read(t, "docs/operations.md")
	metrics, alerts := exposed(t), []string{}
	for _, group := range rules.Groups {
		for _, rule := range group.Rules {
			alerts = append(alerts, rule.Alert)
			problems, result := check(metrics, rule.Expr)
			for _, name := range labelNames(rule.Annotations["summary"], `\$labels\.(\w+)`) {
				if !slices.Contains(result, name) {
					problems = append(problems, "the summary names "+name+", which the result has not")
				}
			}
			if severity := rule.Labels["severity"]; severity != "page" && severity != "ticket" {
				problems = append(problems, "severity "+severity)
			}
			if want := "docs/operations.md#" + strings.ToLower(rule.Alert); rule.Annotations["runbook"] != want || rule.Annotations["summary"] == "" {
				problems = append(problems, "no summary, or its runbook is not "+want)
			}
			if !strings.Contains(operations, fmt.Sprintf("\n### %s\n", rule.Alert)) {
				problems = append(problems, "docs/operations.md has no page of it")
			}
			if !slices.Contains(fires, rule.Alert) || !slices.Contains(silent, rule.Alert) {
				problems = append(problems, "rules_test.yml does not try it, firing and silent")
			}
			if len(problems) > 0 {
				t.Errorf("%s: %q", rule.Alert, problems)
			}
		}
	}
	for _, heading := range labelNames(operations, `(?m)^### (Convdel\w+)$`) {
		if !slices.Contains(alerts, heading) {
			t.Errorf("docs/operations.md has a page of %s, which is no alert", heading)
		}
	}
}

// TestOperationsLinks: each link of docs/operations.md leads to a file and to a heading that there are.
func TestOperationsLinks(t *testing.T) {
	for _, link := range labelNames(read(t, "docs/operations.md"), `\]\(([^)]+)\)`) {
		file, anchor, _ := strings.Cut(link, "#")
		if file == "" {
			file = "operations.md"
		}
		text, found := read(t, "docs/"+file), anchor == ""
		for _, heading := range labelNames(text, `(?m)^#+ (.*)$`) {
			words := regexp.MustCompile(`[^a-z0-9 -]`).ReplaceAllString(strings.ToLower(heading), "")
			found = found || strings.ReplaceAll(words, " ", "-") == anchor
		}
		if !found {
			t.Errorf("%s has no heading for %s", file, link)
		}
	}
}

// cases are the alerts that the tests of promtool see firing, and silent.
func cases(t *testing.T) (fires, silent []string) {
	t.Helper()
	var file struct {
		Tests []struct {
			Rules []struct {
				Alert    string `yaml:"alertname"`
				Expected []any  `yaml:"exp_alerts"`
			} `yaml:"alert_rule_test"`
		}
	}
	if err := yaml.Unmarshal([]byte(read(t, "deploy/prometheus/rules_test.yml")), &file); err != nil {
		t.Fatal(err)
	}
	for _, test := range file.Tests {
		for _, rule := range test.Rules {
			if len(rule.Expected) > 0 {
				fires = append(fires, rule.Alert)
			} else {
				silent = append(silent, rule.Alert)
			}
		}
	}
	return fires, silent
}
