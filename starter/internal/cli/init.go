package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/app"
)

const initLong = `Write a webhooks.yaml to begin with: one webhook for each --channel, every setting
there is beside it as a comment that says what it means, its default, or an example.

What has to be filled in is marked CHANGE. Secrets are ${env:NAME}: they come from the
environment of tocsin webhooks apply, and need not be in the file. A file that is there
is left alone without --force; - writes to standard output.

  tocsin init --channel slack,jira
  tocsin webhooks apply -f webhooks.yaml --dry-run`

// defaultFile is what init writes.
const defaultFile = "webhooks.yaml"

func (p *program) init() *cobra.Command {
	var names []string
	var force bool
	cmd := &cobra.Command{
		Use: "init [FILE|-]", Short: "Write a commented webhooks.yaml", Long: initLong,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usagef("tocsin init takes one FILE, not %d", len(args))
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			channels, err := chosen(names)
			if err != nil {
				return err
			}
			draft, err := newDraft(channels)
			if err != nil {
				return err
			}
			file := defaultFile
			if len(args) == 1 {
				file = args[0]
			}
			return p.writeDraft(file, draft, force)
		},
	}
	cmd.Flags().StringSliceVar(&names, "channel", []string{"webhook"}, "`CHANNEL`s to write a webhook for: "+strings.Join(channelWords(), ", "))
	cmd.Flags().BoolVar(&force, "force", false, "replace a file that is there")
	_ = cmd.RegisterFlagCompletionFunc("channel", cobra.FixedCompletions(channelWords(), cobra.ShellCompDirectiveNoFileComp)) // once, so no error
	return cmd
}

func channelWords() []string {
	var names []string
	for _, ch := range app.Channels() {
		names = append(names, ch.Name())
	}
	return names
}

// chosen are the channels with these names, each once.
func chosen(names []string) ([]tocsin.Channel, error) {
	all := app.Channels()
	var out []tocsin.Channel
	seen := map[string]bool{}
	for _, name := range names {
		name = strings.TrimSpace(name)
		i := slices.IndexFunc(all, func(ch tocsin.Channel) bool { return ch.Name() == name })
		if i < 0 {
			return nil, usagef("--channel: there is no channel %q; allowed: %s", name, strings.Join(channelWords(), ", "))
		}
		if !seen[name] {
			seen[name] = true
			out = append(out, all[i])
		}
	}
	if len(out) == 0 {
		return nil, usagef("--channel: want at least one of %s", strings.Join(channelWords(), ", "))
	}
	return out, nil
}

// writtenDraft is what -o json says of a file that was written.
type writtenDraft struct {
	File      string   `json:"file"`
	Webhooks  []string `json:"webhooks"`
	Variables []string `json:"variables"`
}

func (p *program) writeDraft(file string, d *draft, force bool) error {
	if file == "-" {
		if p.output == "json" {
			return usagef("-o json and the file - exclude each other: a draft is YAML")
		}
		_, err := io.WriteString(p.Stdout, d.String())
		return err
	}
	if err := writeNew(file, d.String(), force); err != nil {
		return err
	}
	done := writtenDraft{File: file, Webhooks: d.webhooks, Variables: notNil(d.variables)}
	if p.output == "json" {
		return printJSON(p.Stdout, done)
	}
	fmt.Fprintf(p.Stdout, "wrote %s with %s\n", clean(file), strings.Join(d.webhooks, ", "))
	if len(d.variables) > 0 {
		fmt.Fprintf(p.Stdout, "it takes from the environment: %s\n", strings.Join(d.variables, ", "))
	}
	_, err := fmt.Fprintf(p.Stdout, "fill in what is marked CHANGE, then: tocsin webhooks apply -f %s --dry-run\n", clean(file))
	return err
}

// writeNew writes a file that is not there yet, or replaces it with force.
func writeNew(file, content string, force bool) error {
	mode := os.O_WRONLY | os.O_CREATE | os.O_EXCL
	if force {
		mode = os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	}
	f, err := os.OpenFile(file, mode, 0o600) // #nosec G304 -- the file that the user names
	if errors.Is(err, fs.ErrExist) {
		return tocsin.Errorf(tocsin.CodeConflict, "%s is there already and was left alone; --force replaces it", file)
	}
	if err != nil {
		return usagef("writing %s: %w", file, err)
	}
	_, err = f.WriteString(content)
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("writing %s: %w", file, err)
	}
	return nil
}
