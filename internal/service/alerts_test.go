package service

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// TestAlerts: the alert rules ask for metrics that the service has, and name runbooks that exist. `make test-deploy` looks at labels and
// at the dashboard too.
func TestAlerts(t *testing.T) {
	t.Parallel()
	const root = "../.."
	text, err := os.ReadFile(root + "/deploy/prometheus/rules.yml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Groups []struct {
			Rules []struct {
				Alert, Expr string
				Annotations map[string]string
			}
		}
	}
	if err := yaml.Unmarshal(text, &file); err != nil || len(file.Groups) == 0 {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, metric := range described(newIdleService(t)) {
		known[metric.Name] = true
	}
	for _, group := range file.Groups {
		for _, rule := range group.Rules {
			names := regexp.MustCompile(`convdel_[a-z_]+`).FindAllString(rule.Expr, -1)
			for _, name := range names {
				if !known[name] {
					t.Errorf("%s asks for %s, which is no metric", rule.Alert, name)
				}
			}
			runbook, _, _ := strings.Cut(rule.Annotations["runbook"], "#")
			if _, err := os.Stat(filepath.Join(root, runbook)); runbook == "" || err != nil || len(names) == 0 || rule.Annotations["summary"] == "" {
				t.Errorf("%s: %v", rule.Alert, err)
			}
		}
	}
}
