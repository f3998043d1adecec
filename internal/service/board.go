package service

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"convdel/consumer"
	"convdel/imclient"
	"convdel/internal/status"
	"convdel/internal/status/page"
)

// boardLasts is for how long an answer serves all who ask.
const boardLasts = time.Second

// board answers /status and /. It keeps what it has answered for a moment, so that asking often costs little. It asks nobody: not Kafka,
// and not the API.
type board struct {
	// snapshot is the consumer's, with so many of the oldest events.
	snapshot func(oldest int) consumer.Snapshot
	// source is what reports are made from; source.Lines are those of the moment.
	source  func() status.Source
	history *status.History
	page    *page.Page

	mu sync.Mutex
	// made is when the report was; its forms are made when they are asked for.
	made   time.Time
	report status.Report
	forms  map[string][]byte
}

// The forms of a report.
const (
	formJSON    = "json"
	formPage    = "page"
	formStill   = "still" // the page that does not refresh itself
	statusPath  = "/status"
	refreshName = "refresh"
)

// sample takes samples for charts and rates until ctx ends.
func (b *board) sample(ctx context.Context) error {
	tick := time.NewTicker(status.Every)
	defer tick.Stop()
	for {
		b.history.Add(status.SampleOf(b.snapshot(0)))
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// form returns the present report in one of its forms.
func (b *board) form(name string) ([]byte, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if now := time.Now(); b.forms == nil || now.Sub(b.made) >= boardLasts || now.Before(b.made) {
		b.report, b.made, b.forms = status.Of(b.snapshot(status.MaxOldest), b.source()), now, make(map[string][]byte)
	}
	if body, ok := b.forms[name]; ok {
		return body, nil
	}
	var body []byte
	var err error
	if name == formJSON {
		body, err = json.MarshalIndent(b.report, "", "  ")
		body = append(body, '\n')
	} else {
		body, err = b.page.Write(b.report, b.history.Samples(), name == formPage)
	}
	if err != nil {
		return nil, err
	}
	b.forms[name] = body
	return body, nil
}

// serveJSON answers /status.
func (b *board) serveJSON(w http.ResponseWriter, r *http.Request) {
	if r.URL.RawQuery != "" {
		http.Error(w, "there are no parameters here", http.StatusBadRequest)
		return
	}
	b.serve(w, formJSON, "application/json")
}

// servePage answers /.
func (b *board) servePage(w http.ResponseWriter, r *http.Request) {
	form, err := pageForm(r.URL.RawQuery)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Security-Policy", page.Policy())
	w.Header().Set("Referrer-Policy", "no-referrer")
	b.serve(w, form, "text/html; charset=utf-8")
}

func (b *board) serve(w http.ResponseWriter, form, kind string) {
	body, err := b.form(form)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", kind)
	_, _ = w.Write(body) //nolint:gosec // the template escapes; the client may have gone, and nobody else wants the error
}

// pageForm reads the parameters of the page. A parameter that it does not know is an error.
func pageForm(query string) (string, error) {
	values, err := url.ParseQuery(query)
	if err != nil {
		return "", err
	}
	form := formPage
	for name, texts := range values {
		if name != refreshName || len(texts) != 1 || texts[0] != "off" {
			return "", fmt.Errorf("parameter %.100q: the only one is refresh=off, for a page that does not refresh itself", name)
		}
		form = formStill
	}
	return form, nil
}

// newBoard makes the board of a service.
func (s *Service) newBoard() *board {
	history := &status.History{}
	from := status.Source{
		Replica: status.Replica{
			Version: s.cfg.Version, Commit: s.cfg.Commit, Started: time.Now().UTC(), Group: s.cfg.Consumer.Group, Topic: s.cfg.Consumer.Topic,
			SDKAppID: s.cfg.IM.SDKAppID,
		},
		Settings: settingsShown(s.cfg.Set), History: history, Accounts: s.cfg.AdminAccounts, Clean: imclient.Scrub,
	}
	return &board{
		snapshot: s.consumer.Snapshot, history: history, page: page.New(),
		source: func() status.Source {
			now := from
			if s.cfg.Notable != nil {
				now.Lines = s.cfg.Notable.Lines()
			}
			return now
		},
	}
}

// settingsShown are settings as the command line names them.
func settingsShown(set []slog.Attr) []status.Setting {
	shown := []status.Setting{}
	for _, a := range set {
		shown = append(shown, status.Setting{Name: strings.ReplaceAll(a.Key, "_", "-"), Value: a.Value.String()})
	}
	return shown
}

// shownStatus is the consumer's status as /readyz shows it.
func (s *Service) shownStatus() consumer.Status {
	st := s.consumer.Status()
	st.Paused = shownPause(st.Paused, s.cfg.AdminAccounts)
	return st
}

// shownPause is a pause without the accounts that its last error names, unless they are allowed.
func shownPause(p *consumer.Pause, accounts bool) *consumer.Pause {
	if p == nil || accounts {
		return p
	}
	shown := *p
	shown.LastError = consumer.WithoutAccounts(p.Err)
	return &shown
}
