package dev

import (
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/tocsin-alerts/tocsin/devserver/demo"
)

// Ready begins the line that tocsin-dev prints once everything answers.
const Ready = "Tocsin is ready"

// greet says where everything is, what is not protected, and what to try.
func (d *Dev) greet(took time.Duration) {
	if d.cfg.TemporalOnly {
		d.greetTemporal(took)
		return
	}
	fmt.Fprintf(d.cfg.Out, `%s (after %v).

  Console          %s/console/
  API              %s
  Inbox            %s/inbox
  Temporal Web UI  http://%s
  Temporal         %s
  Data, log        %s

  !!  NO KEY IS ASKED FOR. Every program and every user of this machine can read and
  !!  change everything here. It listens on loopback only; for more, run tocsin serve.
`, Ready, took.Round(10*time.Millisecond), d.URL(), d.URL(), d.URL(), d.UIAddr(), d.TemporalAddr(), d.cfg.DataDir)
	d.warnOpen()
	fmt.Fprintf(d.cfg.Out, "\nTry it: this sends an event, and the inbox shows its delivery.\n\n%s\n\n", d.curl())
}

// warnOpen says which parts other machines reach.
func (d *Dev) warnOpen() {
	for _, addr := range []string{d.cfg.TemporalAddr, d.cfg.UIAddr} {
		if host, _, err := net.SplitHostPort(addr); err == nil && host != "localhost" && !net.ParseIP(host).IsLoopback() {
			fmt.Fprintf(d.cfg.Out, "  !!  TEMPORAL AT %s CAN BE REACHED FROM OTHER MACHINES, without any authentication.\n", addr)
		}
	}
}

// greetTemporal says where the Temporal server is that others use.
func (d *Dev) greetTemporal(took time.Duration) {
	fmt.Fprintf(d.cfg.Out, `%s: Temporal alone (after %v).

  Temporal Web UI  http://%s
  Temporal         %s
  Data, log        %s
`, Ready, took.Round(10*time.Millisecond), d.UIAddr(), d.TemporalAddr(), d.cfg.DataDir)
	if addr := d.temporal.MetricsAddr(); addr != "" {
		fmt.Fprintf(d.cfg.Out, "  Its metrics      http://%s/metrics\n", addr)
	}
	d.warnOpen()
	fmt.Fprintf(d.cfg.Out, "\nFor tocsin serve and tocsin-worker: export TEMPORAL_ADDRESS=%s\n\n", d.TemporalAddr())
}

// curl is one line to paste, as often as one likes. Without the demo it makes the webhook
// as well, which is refused the second time and does no harm.
func (d *Dev) curl() string {
	const header = `-H 'content-type: application/json'`
	event := strings.Join([]string{
		`curl -sS`, header, d.URL() + `/v1/events`,
		`-d '{"id":"try-'$(date +%s)'","source":"/try","type":"custom.hello","severity":"high","title":"Hello from the command line"}'`,
	}, " ")
	if d.cfg.Demo {
		return event
	}
	webhook := fmt.Sprintf(`-d '{"name":"try","channel":"webhook","frequency":"instant","config":{"url":"%s/inbox/try"}}'`, d.URL())
	return strings.Join([]string{`curl -sS -o /dev/null`, header, d.URL() + `/v1/webhooks`, webhook, `;`, event}, " ")
}

func (d *Dev) greetDemo(r demo.Report) {
	fmt.Fprintf(d.cfg.Out, "Demo: sent %d new events, as every start with --demo does, to the webhooks %s. What they deliver is at %s/inbox\n\n",
		r.Events, strings.Join(r.Webhooks, ", "), d.URL())
}
