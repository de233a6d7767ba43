package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// temporalCounts are the server's own counters of the namespace that Tocsin uses.
type temporalCounts struct {
	Actions float64            // what Temporal Cloud would charge for: its metric "action"
	History float64            // events written to histories
	Writes  float64            // calls of its own store
	Kinds   map[string]float64 // of actions
}

func (c temporalCounts) minus(b temporalCounts) temporalCounts {
	kinds := map[string]float64{}
	for kind, n := range c.Kinds {
		if n -= b.Kinds[kind]; n > 0 {
			kinds[kind] = n
		}
	}
	return temporalCounts{c.Actions - b.Actions, c.History - b.History, c.Writes - b.Writes, kinds}
}

// readCounts asks the server at a metrics address.
func readCounts(ctx context.Context, address string) (temporalCounts, error) {
	body, err := fetch(ctx, "http://"+address+"/metrics")
	if err != nil {
		return temporalCounts{}, fmt.Errorf("reading temporal's metrics: %w", err)
	}
	return parseCounts(strings.NewReader(body)), nil
}

// parseCounts adds up the counters of the namespace "default". history_count with the
// operation SessionStats observes for each transaction how many events it adds
// (https://github.com/temporalio/temporal/blob/v1.32.1/service/history/workflow/metrics.go).
func parseCounts(text io.Reader) (c temporalCounts) {
	c.Kinds = map[string]float64{}
	lines := bufio.NewScanner(text)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := lines.Text()
		name, rest, _ := strings.Cut(line, "{")
		labels, value, ok := strings.Cut(rest, "} ")
		if !ok {
			continue
		}
		n, err := strconv.ParseFloat(value, 64)
		if err != nil {
			continue
		}
		ours := strings.Contains(labels, `namespace="default"`)
		switch {
		case name == "action_total" && ours:
			c.Actions += n
			_, kind, _ := strings.Cut(labels, `action_type="`)
			kind, _, _ = strings.Cut(kind, `"`)
			c.Kinds[strings.TrimPrefix(strings.TrimPrefix(kind, "grpc_"), "command_")] += n
		case name == "history_count_ratio_sum" && ours && strings.Contains(labels, `operation="SessionStats"`):
			c.History += n
		case name == "persistence_requests_total":
			c.Writes += n
		}
	}
	return c
}

// workflowSize is how long a webhook's history is, of its present run.
type workflowSize struct{ Events, Bytes int64 }

// describeWorkflow asks Temporal's Web UI about a webhook's workflow.
func describeWorkflow(ctx context.Context, ui, webhookID string) (workflowSize, error) {
	body, err := fetch(ctx, "http://"+ui+"/api/v1/namespaces/default/workflows/"+url.PathEscape("webhook/"+webhookID))
	if err != nil {
		return workflowSize{}, fmt.Errorf("describing the workflow of %s: %w", webhookID, err)
	}
	var answer struct {
		WorkflowExecutionInfo struct {
			HistoryLength, HistorySizeBytes string
		}
	}
	if err := json.Unmarshal([]byte(body), &answer); err != nil {
		return workflowSize{}, fmt.Errorf("describing the workflow of %s: %w", webhookID, err)
	}
	var s workflowSize
	if s.Events, err = strconv.ParseInt(answer.WorkflowExecutionInfo.HistoryLength, 10, 64); err == nil {
		s.Bytes, err = strconv.ParseInt(answer.WorkflowExecutionInfo.HistorySizeBytes, 10, 64)
	}
	if err != nil {
		return s, fmt.Errorf("describing the workflow of %s: %w", webhookID, err)
	}
	return s, nil
}

// fetch gets a page that has to be there.
func fetch(ctx context.Context, address string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s answered %s: %.200s", address, resp.Status, body)
	}
	return string(body), err
}
