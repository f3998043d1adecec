package page

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"io"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"convdel/consumer"
	"convdel/internal/notable"
	"convdel/internal/status"
	"convdel/schema"
)

var noon = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

// strange is text that a page must not take for its own.
const strange = `"><script>alert('x')</script><img src=x onerror=alert(1)>{{.At}}<!--`

// strangeReport has strange text wherever a stranger can put some.
func strangeReport(accounts bool) status.Report {
	return status.Of(consumer.Snapshot{
		At: noon, Limit: 200, Share: 100,
		Status: consumer.Status{
			Live: true, Partitions: 1, Paused: &consumer.Pause{Reason: consumer.PauseHalt, Since: noon.Add(-time.Minute), Err: errors.New(strange)},
		},
		Partitions: []consumer.OwnedPartition{{Partition: 0, Committed: -1, End: -1, Unfinished: 12345, Oldest: noon.Add(-time.Hour)}},
		Oldest: []consumer.UnfinishedEvent{{
			Time: noon, State: consumer.StateWaiting, Err: errors.New(strange), Conversation: schema.Conversation{From: strange, Type: schema.C2C, To: `o'brien "x"`},
		}},
		Counts: consumer.Counts{Letters: []consumer.LetterCount{{Class: strange, Code: strange, Letters: 1}}},
	}, status.Source{
		Replica: status.Replica{Version: strange, Commit: strange, Group: strange, Topic: strange}, History: &status.History{}, Accounts: accounts,
		Settings: []status.Setting{{Name: strange, Value: strange}},
		Lines:    []notable.Line{{Time: noon, Message: strange, Attrs: []notable.Attr{{Name: strange, Value: strange}}}},
	})
}

// TestPageEscapes: markup in accounts, errors, log lines, settings and names is text.
func TestPageEscapes(t *testing.T) {
	t.Parallel()
	for _, accounts := range []bool{false, true} {
		body, err := New().Write(strangeReport(accounts), nil, true)
		if err != nil {
			t.Fatal(err)
		}
		root, err := html.Parse(strings.NewReader(string(body)))
		if err != nil {
			t.Fatal(err)
		}
		for n := range root.Descendants() {
			if n.Type == html.CommentNode || n.Data == "script" && n.Type == html.ElementNode || n.Data == "img" && n.Type == html.ElementNode {
				t.Errorf("%s is in the page", n.Data)
			}
			for _, a := range n.Attr {
				if strings.HasPrefix(a.Key, "on") || a.Key == "style" || a.Key == "src" || a.Key == "href" && !strings.HasPrefix(a.Val, "/") && a.Val != "data:," {
					t.Errorf("%s has %s=%q", n.Data, a.Key, a.Val)
				}
			}
		}
		if got := strings.Contains(string(body), "brien"); got != accounts {
			t.Errorf("accounts %v: the account is in the page: %v", accounts, got)
		}
		if !strings.Contains(string(body), "12,345") || !strings.Contains(string(body), "&lt;script&gt;") {
			t.Error("the page lacks its texts")
		}
	}
}

// TestPolicyFitsThePage: the page has one style sheet, the one that its policy names, and asks for itself again only if told so.
func TestPolicyFitsThePage(t *testing.T) {
	t.Parallel()
	for _, refreshes := range []bool{false, true} {
		body, err := New().Write(strangeReport(false), nil, refreshes)
		if err != nil {
			t.Fatal(err)
		}
		sheets := regexp.MustCompile(`(?s)<style>(.*?)</style>`).FindAllSubmatch(body, -1)
		if len(sheets) != 1 {
			t.Fatalf("%d style sheets", len(sheets))
		}
		sum := sha256.Sum256(sheets[0][1])
		if want := "style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"; !strings.Contains(Policy(), want) {
			t.Errorf("%s lacks %s", Policy(), want)
		}
		if got := strings.Contains(string(body), `http-equiv="refresh"`); got != refreshes {
			t.Errorf("refreshes: %v, want %v", got, refreshes)
		}
	}
	for _, word := range []string{"unsafe", "script-src", "http"} {
		if strings.Contains(Policy(), word) {
			t.Errorf("%s has %s", Policy(), word)
		}
	}
}

// TestPartitionsAreBounded: a page shows 200 of them, and says where the others are.
func TestPartitionsAreBounded(t *testing.T) {
	t.Parallel()
	r := strangeReport(false)
	r.Partitions = make([]status.Partition, 1000)
	body, err := New().Write(r, nil, false)
	if err != nil || strings.Count(string(body), `<th scope="row" class="n">`) != 200 || !strings.Contains(string(body), "800 more are in") {
		t.Errorf("%d bytes, %v", len(body), err)
	}
}

// samples are those of the last minutes, the oldest so long ago.
func samples(oldest time.Duration) []status.Sample {
	var all []status.Sample
	for at := noon.Add(-oldest); !at.After(noon); at = at.Add(status.Every) {
		n := int64(at.Sub(noon.Add(-oldest)) / time.Second)
		all = append(all, status.Sample{At: at, Calls: 100 * n, Failed: n, Letters: n / 60, Unfinished: 5000 - 3*n, Share: 150})
	}
	return all
}

// TestCharts: the drawings are SVG without styles of their own, with a text for those who can't see them, whatever samples there are.
func TestCharts(t *testing.T) {
	t.Parallel()
	for name, list := range map[string][]status.Sample{
		"none": nil, "one": samples(0), "a minute": samples(time.Minute), "all": samples(15 * time.Minute), "old ones": samples(time.Hour)[:100],
		"huge": {{At: noon.Add(-time.Minute)}, {At: noon, Calls: 1 << 62, Unfinished: 1 << 62, Letters: 1 << 62}},
	} {
		all, err := chartsOf(list, noon)
		if err != nil || len(all) != 3 {
			t.Fatalf("%s: %v", name, err)
		}
		for _, c := range all {
			decoder := xml.NewDecoder(strings.NewReader(string(c.SVG)))
			for {
				token, err := decoder.Token()
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					t.Fatalf("%s: %s: %v", name, c.SVG, err)
				}
				if e, ok := token.(xml.StartElement); ok {
					for _, a := range e.Attr {
						if a.Name.Local == "style" {
							t.Errorf("%s: %s has a style", name, e.Name.Local)
						}
					}
				}
			}
			if !strings.Contains(string(c.SVG), `role="img" aria-label="`+c.Caption) || strings.Contains(string(c.SVG), "rgb(") || strings.Contains(string(c.SVG), "NaN") {
				t.Errorf("%s: %.300s", name, c.SVG)
			}
		}
	}
	all, _ := chartsOf(samples(15*time.Minute), noon)
	if want := "Calls a second in the last 15 minutes: at most 150; now calls 100, of these failed 1, this replica's share 150"; all[0].Says != want {
		t.Errorf("%q, want %q", all[0].Says, want)
	}
	if want := "Unfinished events in the last 15 minutes: at most 5,000; now unfinished 2,300"; all[1].Says != want {
		t.Errorf("%q, want %q", all[1].Says, want)
	}
}

// TestPointsOfCharts: a point is known only where there were samples, and rates are those between samples, however they lie.
func TestPointsOfCharts(t *testing.T) {
	t.Parallel()
	line := rates(samples(time.Minute), noon, time.Second, func(s status.Sample) int64 { return s.Calls })
	known := 0
	for i, value := range line {
		if value == none {
			continue
		}
		known++
		if value != 100 {
			t.Errorf("point %d is %v", i, value)
		}
	}
	if known != 6 || line[points-1] != 100 {
		t.Errorf("%d points are known", known)
	}
	if line = levels(samples(time.Minute), noon, func(s status.Sample) float64 { return s.Share }); line[points-1] != 150 || line[points-8] != none {
		t.Errorf("%v", line[points-8:])
	}
	for highest, want := range map[float64]float64{0: 2, 1: 2, 3: 4, 5: 6, 9: 10, 10: 10, 150: 200, 5000: 6000} {
		if got := niceTop(highest); got != want {
			t.Errorf("the axis of %v ends at %v, want %v", highest, got, want)
		}
	}
}
