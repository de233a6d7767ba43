package cli

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	tocsin "github.com/tocsin-alerts/tocsin"
)

// testView is what came of a trial delivery.
type testView struct {
	OK        bool              `json:"ok"`
	Error     string            `json:"error"`
	Found     string            `json:"found"`
	Exchanges []tocsin.Exchange `json:"exchanges"`
	Truncated int               `json:"truncated"`
}

func (p *program) webhooksTest() *cobra.Command {
	return &cobra.Command{
		Use: "test NAME|ID", Short: "Send one sample delivery now and show request and answer", Args: exactly("NAME or ID"),
		Long: "Send one sample delivery now, marked as a test, and show request and answer. It is\nin no ledger. Exit code 1 when it was not accepted.",
		RunE: func(cmd *cobra.Command, args []string) error {
			v, err := fetch(cmd.Context(), p, http.MethodPost, webhookPath(args[0], "/test"), nil, printTest)
			if err == nil && !v.OK {
				err = fmt.Errorf("testing %s: %s", args[0], v.Error)
			}
			return err
		},
	}
}

func (p *program) webhooksCheck() *cobra.Command {
	return &cobra.Command{
		Use: "check NAME|ID", Short: "Prove credentials and address without sending an alert", Args: exactly("NAME or ID"),
		Long: "Make the cheapest call that proves the configuration, and say what was found. Nothing\nis sent that a person would see. Not every channel's vendor has such a call: those\nanswer with exit code 2, and `webhooks test` sends an example. Exit code 1 when it failed.",
		RunE: func(cmd *cobra.Command, args []string) error {
			v, err := fetch(cmd.Context(), p, http.MethodPost, webhookPath(args[0], "/check"), nil, printTest)
			if err == nil && !v.OK {
				err = fmt.Errorf("checking %s: %s", args[0], v.Error)
			}
			return err
		},
	}
}

func printTest(w io.Writer, v testView) error {
	for _, x := range v.Exchanges {
		printExchange(w, x)
	}
	if !v.OK {
		return nil
	}
	outcome := "accepted"
	if v.Found != "" {
		outcome = clean(v.Found)
	}
	_, err := fmt.Fprintln(w, outcome)
	return err
}

func (p *program) webhooksPreview() *cobra.Command {
	return &cobra.Command{
		Use: "preview NAME|ID", Short: "Show what a sample delivery would send; nothing is sent", Args: exactly("NAME or ID"),
		Long: "Show the exact headers and bytes of a sample delivery, secrets redacted. Nothing is sent.",
		RunE: func(cmd *cobra.Command, args []string) error {
			return show(cmd.Context(), p, http.MethodGet, webhookPath(args[0], "/preview"), nil, func(w io.Writer, v page[tocsin.Exchange]) error {
				for _, x := range v.Items {
					printExchange(w, x)
				}
				return nil
			})
		},
	}
}

// printExchange shows a request and its answer much as they went over the wire.
func printExchange(w io.Writer, x tocsin.Exchange) {
	fmt.Fprintf(w, "> %s %s\n", clean(x.Method), clean(x.URL))
	printMessage(w, ">", x.RequestHeaders, x.RequestBody)
	if x.RemoteAddr != "" {
		fmt.Fprintf(w, "* %s: %s\n", clean(x.RemoteAddr), timings(x.Timings))
	}
	if x.Status == 0 {
		return
	}
	fmt.Fprintf(w, "< %d %s (%.0f ms)\n", x.Status, http.StatusText(x.Status), x.Timings.Total)
	printMessage(w, "<", x.ResponseHeaders, x.ResponseBody)
}

// timings shows when the steps of a request were done; those that did not happen are
// left out.
func timings(t tocsin.Timings) string {
	var parts []string
	for _, step := range []struct {
		name string
		ms   float64
	}{{"DNS", t.DNS}, {"connected", t.Connect}, {"TLS", t.TLS}, {"first byte", t.FirstByte}, {"all", t.Total}} {
		if step.ms > 0 {
			parts = append(parts, fmt.Sprintf("%s %.1f ms", step.name, step.ms))
		}
	}
	return strings.Join(parts, ", ")
}

func printMessage(w io.Writer, mark string, headers map[string]string, body string) {
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		fmt.Fprintf(w, "%s %s: %s\n", mark, clean(name), clean(headers[name]))
	}
	if body == "" {
		return
	}
	fmt.Fprintln(w, mark)
	for line := range strings.Lines(body) {
		fmt.Fprintf(w, "%s %s\n", mark, clean(strings.TrimRight(line, "\r\n")))
	}
}
