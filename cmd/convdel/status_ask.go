package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"convdel/imclient"
	"convdel/internal/status"
)

const (
	// replicaTakes bounds how long a replica is asked, reportBytes the size of its answer.
	replicaTakes = 5 * time.Second
	reportBytes  = 8 << 20
)

// askReplica asks one replica for its status.
func askReplica(ctx context.Context, replica string) status.Answer {
	report, err := readReport(ctx, replica)
	if err != nil {
		return status.Answer{URL: replica, Error: err.Error()}
	}
	return status.Answer{URL: replica, Report: report}
}

func readReport(ctx context.Context, replica string) (*status.Report, error) {
	ctx, cancel := context.WithTimeout(ctx, replicaTakes)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, replica+"/status", http.NoBody)
	if err != nil {
		return nil, err
	}
	// A connection of its own for each request: a replica bounds its connections, and may be another one behind the same name next time.
	client := http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true, Proxy: http.ProxyFromEnvironment},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	response, err := client.Do(request)
	if err != nil {
		if inner, ok := errors.AsType[*url.Error](err); ok {
			err = inner.Err
		}
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(response.Body, reportBytes+1))
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("http status %d: %s", response.StatusCode, imclient.Scrub(strings.TrimSpace(string(body))))
	}
	var report status.Report
	if len(body) > reportBytes || json.Unmarshal(body, &report) != nil || report.State == "" {
		return nil, errors.New("the answer is no status of convdel")
	}
	if err := report.Bound(); err != nil {
		return nil, err
	}
	return &report, nil
}
