package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"

	"github.com/tocsin-alerts/tocsin/devserver/devtest"
)

const operated = `webhooks:
  - name: soc
    channel: webhook
    events: [custom]
    frequency: instant
    escalate: [{to: lead, after: 1h}]
    config: {url: "${env:RECEIVER}"}
  - name: lead
    channel: webhook
    events: [none]
    config: {url: "${env:RECEIVER}"}
`

// What doctor says of an installation where nothing is wrong; and the bare commands of
// Temporal's own tool that help texts show do what the texts say.
func TestDoctorAndTheBareCommands(t *testing.T) {
	p := newProduction(t)
	receiver := devtest.NewReceiver(t)
	serve := devtest.StartServe(t, p.key, p.env...)
	devtest.StartWorker(t, p.env...)
	p.env = append(p.env, "TOCSIN_API_URL="+serve.URL, "RECEIVER="+receiver.URL("soc"))
	file := filepath.Join(t.TempDir(), "webhooks.yaml")
	if err := os.WriteFile(file, []byte(operated), 0o600); err != nil {
		t.Fatal(err)
	}
	p.tocsin("webhooks", "apply", "-f", file)
	devtest.Until(t, "an installation where nothing is wrong", func() error { return unwell(p.diagnose()) })

	p.tocsin("events", "send", "--type", "custom.door", "--id", "open", "--severity", "critical", "--title", "The door is open")
	receiver.MustGet("open")
	serve.MustSettle("soc")
	c, err := client.Dial(client.Options{HostPort: p.temporal()})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	p.tocsin("replay", "--webhook", "soc", "--what", "delivered", "--wait")
	for _, bare := range bareCommands(t) {
		if err := runBare(t.Context(), c, p.filledIn(bare)); err != nil {
			t.Errorf("temporal workflow %s: %v", bare, err)
		}
	}
	devtest.Until(t, "what the signals brought about", func() error {
		if status, _, err := serve.Do(http.MethodGet, "/v1/events/%2Fcli/by-signal", nil); err != nil || status != http.StatusOK {
			return fmt.Errorf("the event that was submitted by a signal: %d %w", status, err)
		}
		// The bare command says who it is.
		if text := p.tocsin("incidents", "list", "--state", "resolved"); !strings.Contains(text, " dana ") {
			return fmt.Errorf("resolved incidents: %s", text)
		}
		return nil
	})
}

// temporal is the address of the server.
func (p *production) temporal() string {
	for _, v := range p.env {
		if addr, ok := strings.CutPrefix(v, "TEMPORAL_ADDRESS="); ok {
			return addr
		}
	}
	return ""
}

type diagnosis struct {
	OK     bool
	Checks []struct{ Area, Check, Result, Seen, Mend string }
}

func (p *production) diagnose() diagnosis {
	p.t.Helper()
	var d diagnosis
	if err := json.Unmarshal([]byte(p.tocsin("doctor", "-o", "json")), &d); err != nil {
		p.t.Fatal(err)
	}
	return d
}

// unwell is an error unless every check there is was made, and is well.
func unwell(d diagnosis) error {
	areas := map[string]bool{}
	for _, c := range d.Checks {
		areas[c.Area] = true
		if c.Result != "ok" {
			return fmt.Errorf("%+v", c)
		}
	}
	for _, area := range []string{"settings", "api", "store", "keys", "egress", "temporal", "ledger"} {
		if !areas[area] {
			return fmt.Errorf("nothing was checked of: %s", area)
		}
	}
	if !d.OK {
		return fmt.Errorf("not ok: %+v", d.Checks)
	}
	return nil
}

var bareCommand = regexp.MustCompile(`(?m)^  temporal workflow ((?:.*\\\n)*.*)$`)

// bareCommands are those in docs/cli.md, which holds every help text.
func bareCommands(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "cli.md"))
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, found := range bareCommand.FindAllStringSubmatch(string(text), -1) {
		all = append(all, strings.Join(strings.Fields(strings.ReplaceAll(found[1], "\\\n", " ")), " "))
	}
	if len(all) < 10 {
		t.Fatalf("only %d commands were found: %q", len(all), all)
	}
	return all
}

// filledIn puts what there is in place of what a help text leaves open.
func (p *production) filledIn(bare string) string {
	id := func(prefix string, list ...string) string {
		return regexp.MustCompile(prefix + `_[0-9A-Z]+`).FindString(p.tocsin(list...))
	}
	incident := p.tocsin("incidents", "get", id("inc", "incidents", "list"))
	key := regexp.MustCompile(`incident/\S+`).FindString(incident)
	return strings.NewReplacer(
		"webhook/ID", "webhook/"+id("wh", "webhooks", "get", "soc"),
		"replay/ID", "replay/"+id("replay", "replay", "list"),
		"incident/KEY", key,
		"dlv_…", id("dlv", "deliveries", "list", "--state", "delivered"),
		"[…]", `[{"id":"by-signal","source":"/cli","type":"custom.hello"}]`,
	).Replace(bare)
}

var argument = regexp.MustCompile(`'[^']*'|\S+`)

// runBare does what Temporal's own tool does for a command line.
func runBare(ctx context.Context, c client.Client, line string) error {
	ctx, cancel := context.WithTimeout(ctx, devtest.Patience)
	defer cancel()
	flags := map[string]string{}
	var verb []string
	words := argument.FindAllString(line, -1)
	for i := 0; i < len(words); i++ {
		name, isFlag := strings.CutPrefix(words[i], "--")
		switch {
		case !isFlag:
			verb = append(verb, words[i])
		case i+1 < len(words):
			i++
			flags[name] = strings.Trim(words[i], "'")
		}
	}
	input := json.RawMessage(flags["input"])
	switch strings.Join(verb, " ") {
	case "query":
		_, err := c.QueryWorkflow(ctx, flags["workflow-id"], "", flags["type"])
		return err
	case "signal":
		return c.SignalWorkflow(ctx, flags["workflow-id"], "", flags["name"], input)
	case "update execute":
		h, err := c.UpdateWorkflow(ctx, client.UpdateWorkflowOptions{
			WorkflowID: flags["workflow-id"], UpdateName: flags["name"], Args: []any{input}, WaitForStage: client.WorkflowUpdateStageCompleted,
		})
		if err != nil {
			return err
		}
		return h.Get(ctx, nil)
	case "describe":
		_, err := c.DescribeWorkflowExecution(ctx, flags["workflow-id"], "")
		return err
	case "list":
		_, err := c.ListWorkflow(ctx, &workflowservice.ListWorkflowExecutionsRequest{Query: flags["query"]})
		return err
	}
	return fmt.Errorf("no test knows %q", verb)
}
