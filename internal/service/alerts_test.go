package service

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"go.yaml.in/yaml/v3"

	"convdel/consumer"
)

// TestAlerts: the alert rules ask for metrics that the service has from the start, and name runbooks that exist.
func TestAlerts(t *testing.T) {
	t.Parallel()
	const root = "../.."
	text, err := os.ReadFile(root + "/deploy/prometheus/alerts.yml")
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
	registry := prometheus.NewRegistry()
	consumer.NewMetrics(registry)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, family := range families {
		known[family.GetName()] = true
	}
	for _, group := range file.Groups {
		for _, rule := range group.Rules {
			names := regexp.MustCompile(`convdel_[a-z_]+`).FindAllString(rule.Expr, -1)
			for _, name := range names {
				if !known[name] {
					t.Errorf("%s asks for %s, which is no metric", rule.Alert, name)
				}
			}
			if _, err := os.Stat(filepath.Join(root, rule.Annotations["runbook"])); err != nil || len(names) == 0 || rule.Annotations["summary"] == "" {
				t.Errorf("%s: %v", rule.Alert, err)
			}
		}
	}
}
