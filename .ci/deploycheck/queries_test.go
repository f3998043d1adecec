package deploycheck

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// metric is what a replica exposes: a metric's kind and its labels, each with its values. No values are any values.
type metric struct {
	kind   string
	labels map[string][]string
}

// target are the labels that Prometheus itself adds.
var target = []string{"instance", "job"}

// exposed are the metrics of a replica that runs. docs/metrics.md adds what a replica without partitions does not have: a test beside the
// code holds that document to the code.
func exposed(t *testing.T) map[string]metric {
	t.Helper()
	answer, err := start(t, defaults(), "").get("/metrics", "")
	if err != nil {
		t.Fatal(err)
	}
	textParser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := textParser.TextToMetricFamilies(strings.NewReader(answer.body))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]metric{}
	for name, family := range families {
		m := metric{kind: strings.ToLower(family.GetType().String()), labels: map[string][]string{}}
		for _, series := range family.GetMetric() {
			for _, label := range series.GetLabel() {
				m.labels[label.GetName()] = append(m.labels[label.GetName()], label.GetValue())
			}
		}
		for _, series := range kinds(family, name) {
			all[series] = m
		}
	}
	for _, row := range regexp.MustCompile("(?m)^\\| `(convdel_[a-z_]+)` \\| ([a-z]+) \\| (.*?) \\| ").FindAllStringSubmatch(read(t, "docs/metrics.md"), -1) {
		if _, there := all[row[1]]; there || row[2] == "histogram" {
			continue
		}
		m := metric{kind: row[2], labels: map[string][]string{}}
		for _, label := range regexp.MustCompile("(?:^|; )`([a-z]+)`: ").FindAllStringSubmatch(row[3], -1) {
			m.labels[label[1]] = nil
		}
		all[row[1]] = m
	}
	return all
}

// kinds are the names of a family's series.
func kinds(family *io_prometheus_client.MetricFamily, name string) []string {
	if family.GetType() == io_prometheus_client.MetricType_HISTOGRAM {
		return []string{name + "_bucket", name + "_sum", name + "_count"}
	}
	return []string{name}
}

// query checks a query.
type query struct {
	metrics  map[string]metric
	problems []string
}

// wrong adds a problem.
func (q *query) wrong(format string, arguments ...any) {
	q.problems = append(q.problems, fmt.Sprintf(format, arguments...))
}

// check returns what is wrong with a query, and the labels of its result.
func check(metrics map[string]metric, text string) (problems, result []string) {
	text = strings.NewReplacer("$__rate_interval", "5m", "$job", ".+").Replace(text)
	expression, err := parser.NewParser(parser.Options{}).ParseExpr(text)
	if err != nil {
		return []string{err.Error()}, nil
	}
	q := &query{metrics: metrics}
	result = sorted(q.labels(expression))
	return q.problems, result
}

func sorted(set map[string]bool) []string { return slices.Sorted(maps.Keys(set)) }

// labels are those of an expression's result. nil stands for a scalar.
func (q *query) labels(node parser.Expr) map[string]bool {
	switch n := node.(type) {
	case *parser.VectorSelector:
		return q.selector(n)
	case *parser.MatrixSelector:
		return q.labels(n.VectorSelector)
	case *parser.SubqueryExpr:
		return q.labels(n.Expr)
	case *parser.ParenExpr:
		return q.labels(n.Expr)
	case *parser.UnaryExpr:
		return q.labels(n.Expr)
	case *parser.Call:
		return q.call(n)
	case *parser.AggregateExpr:
		return q.aggregate(n)
	case *parser.BinaryExpr:
		return q.binary(n)
	default:
		return nil
	}
}

// selector wants the metric, its labels and their values.
func (q *query) selector(n *parser.VectorSelector) map[string]bool {
	m, found := q.metrics[n.Name]
	if !found {
		q.wrong("there is no metric %s", n.Name)
	}
	all := map[string]bool{}
	for _, name := range target {
		all[name] = true
	}
	for name := range m.labels {
		all[name] = true
	}
	if strings.HasSuffix(n.Name, "_bucket") {
		all["le"] = true
	}
	for _, matcher := range n.LabelMatchers {
		if matcher.Name == labels.MetricName {
			continue
		}
		if !all[matcher.Name] {
			q.wrong("%s has no label %s", n.Name, matcher.Name)
		}
		values := m.labels[matcher.Name]
		for wanted := range strings.SplitSeq(matcher.Value, "|") {
			if values != nil && !slices.Contains(values, wanted) {
				q.wrong("%s has no %s=%q", n.Name, matcher.Name, wanted)
			}
		}
	}
	return all
}

// call wants rates of counters, and quantiles of buckets.
func (q *query) call(n *parser.Call) map[string]bool {
	var all map[string]bool
	for _, argument := range n.Args {
		if got := q.labels(argument); got != nil {
			all = got
		}
		selector, ok := argument.(*parser.MatrixSelector)
		if !ok {
			continue
		}
		name := selector.VectorSelector.(*parser.VectorSelector).Name
		rate := n.Func.Name == "rate" || n.Func.Name == "increase"
		if kind := q.metrics[name].kind; rate && kind != "counter" && kind != "histogram" {
			q.wrong("%s of %s, which is a %s", n.Func.Name, name, kind)
		}
	}
	switch n.Func.Name {
	case "absent":
		return map[string]bool{}
	case "histogram_quantile":
		if !all["le"] {
			q.wrong("a quantile without buckets: %s", n)
		}
		all = maps.Clone(all)
		delete(all, "le")
	}
	return all
}

// aggregate wants the labels that it keeps to be there.
func (q *query) aggregate(n *parser.AggregateExpr) map[string]bool {
	from := q.labels(n.Expr)
	all := map[string]bool{}
	if n.Without {
		all = maps.Clone(from)
	}
	for _, name := range n.Grouping {
		if !from[name] {
			q.wrong("there is no label %s in %s", name, n.Expr)
		}
		if n.Without {
			delete(all, name)
		} else {
			all[name] = true
		}
	}
	return all
}

// binary wants two vectors to have the labels by which they are compared.
func (q *query) binary(n *parser.BinaryExpr) map[string]bool {
	left, right := q.labels(n.LHS), q.labels(n.RHS)
	switch {
	case left == nil:
		return right
	case right == nil:
		return left
	case n.Op == parser.LOR:
		if !maps.Equal(left, right) {
			q.wrong("the sides of or have labels %v and %v", sorted(left), sorted(right))
		}
	case n.VectorMatching.On:
		for _, name := range n.VectorMatching.MatchingLabels {
			if !left[name] || !right[name] {
				q.wrong("there is no label %s on both sides of %s", name, n.Op)
			}
		}
	case !maps.Equal(left, right):
		q.wrong("%s never matches: labels %v and %v", n.Op, sorted(left), sorted(right))
	}
	return left
}

// TestQueriesThatAreWrong: the check notices them.
func TestQueriesThatAreWrong(t *testing.T) {
	metrics := exposed(t)
	for text, want := range map[string]string{
		`sum(convdel_unfinshed)`:                                                        "no metric",
		`rate(convdel_events_total{outcom="deleted"}[5m])`:                              "no label outcom",
		`rate(convdel_events_total{outcome="delete"}[5m])`:                              `no outcome="delete"`,
		`rate(convdel_dead_letters_total{class=~"permanent|expire"}[5m])`:               `no class="expire"`,
		`rate(convdel_calls_total{code="60006007"}[5m])`:                                `no code="60006007"`,
		`sum by (topic) (convdel_unfinished)`:                                           "no label topic",
		`rate(convdel_unfinished[5m])`:                                                  "is a gauge",
		`histogram_quantile(0.5, sum(rate(convdel_event_age_seconds_bucket[5m])))`:      "without buckets",
		`sum by (partition) (convdel_unfinished) / sum(rate(convdel_events_total[5m]))`: "never matches",
		`sum(convdel_unfinished) > on (job) sum(rate(convdel_events_total[5m]))`:        "no label job",
		`max by (reason) (convdel_paused) or max(convdel_paused)`:                       "the sides of or",
		`sum(rate(convdel_events_total)`:                                                "parse error",
		`convdel_event_age_seconds > 5`:                                                 "no metric",
	} {
		if problems, _ := check(metrics, text); !strings.Contains(strings.Join(problems, "; "), want) {
			t.Errorf("%s: %q, want %q", text, problems, want)
		}
	}
}
