package cli_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"

	"github.com/tocsin-alerts/tocsin/app"
	"github.com/tocsin-alerts/tocsin/starter/internal/cli"
)

var update = flag.Bool("update", false, "write docs/cli.md anew")

const documentPath = "../../../docs/cli.md"

// The part of the document between these is written by the test of devserver/dev, which
// is a module of its own.
const (
	devBegins = "<!-- tocsin-dev: begin -->\n"
	devEnds   = "<!-- tocsin-dev: end -->\n"
)

// TestDocumentIsFresh holds docs/cli.md to the code. To write it:
//
//	go test ./starter/internal/cli -run TestDocumentIsFresh -update
//	cd devserver && go test ./dev -run TestDocumentIsFresh -update
func TestDocumentIsFresh(t *testing.T) {
	have, err := os.ReadFile(documentPath)
	if err != nil && !*update {
		t.Fatal(err)
	}
	dev := devPart(string(have))
	want := document(dev)
	if *update {
		if err := os.WriteFile(documentPath, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, string(have)); diff != "" {
		t.Errorf("docs/cli.md is not what the code says; write it with -update:\n%s", diff)
	}
}

// devPart is what the other test has written.
func devPart(text string) string {
	_, rest, _ := strings.Cut(text, devBegins)
	part, _, _ := strings.Cut(rest, devEnds)
	return part
}

func document(dev string) string {
	var b bytes.Buffer
	fmt.Fprint(&b, "# Command line\n\n<!-- Generated from the code; see TestDocumentIsFresh in starter/internal/cli/document_test.go. -->\n\n")
	root := cli.Root()
	fmt.Fprintf(&b, "```text\n%s\n```\n\nEvery command takes:\n\n```text\n%s```\n\n", root.Long, root.PersistentFlags().FlagUsages())
	var commands []*cobra.Command
	for _, cmd := range cli.Tree(root) {
		if cmd != root && cmd.IsAvailableCommand() && !strings.HasPrefix(cmd.CommandPath(), "tocsin completion ") {
			commands = append(commands, cmd)
		}
	}
	fmt.Fprint(&b, "| command | does |\n|---|---|\n")
	for _, cmd := range commands {
		if cmd.Runnable() && !cmd.HasSubCommands() || cmd.Name() == "replay" || cmd.Name() == "completion" {
			fmt.Fprintf(&b, "| [`%s`](#%s) | %s |\n", cmd.CommandPath(), strings.ReplaceAll(cmd.CommandPath(), " ", "-"), cmd.Short)
		}
	}
	for _, cmd := range commands {
		documentCommand(&b, cmd)
	}
	fmt.Fprintf(&b, "\n## tocsin-worker\n\n```text\n%s```\n\n## tocsin-dev\n\n%s%s%s", workerHelp(), devBegins, dev, devEnds)
	documentVariables(&b)
	return b.String()
}

func documentCommand(b *bytes.Buffer, cmd *cobra.Command) {
	long := cmd.Long
	if long == "" {
		long = cmd.Short + "."
	}
	if cmd.Name() == "completion" {
		long, _, _ = strings.Cut(long, "\n")
		long += "\n\n  tocsin completion bash | zsh | fish | powershell"
	}
	fmt.Fprintf(b, "\n## %s\n\n```text\n%s\n\nUsage:\n  %s\n", cmd.CommandPath(), long, cmd.UseLine())
	if len(cmd.Aliases) > 0 {
		fmt.Fprintf(b, "\nAliases:\n  %s\n", cmd.NameAndAliases())
	}
	if flags := cmd.NonInheritedFlags(); flags.HasAvailableFlags() {
		fmt.Fprintf(b, "\nFlags:\n%s", flags.FlagUsages())
	}
	fmt.Fprint(b, "```\n")
}

func workerHelp() string {
	var help strings.Builder
	_, _ = app.ParseFlags("tocsin-worker", []string{"--help"}, app.Work, func(string) string { return "" }, &help) // flag.ErrHelp
	return strings.ReplaceAll(help.String(), "\t", "    ")
}

func documentVariables(b *bytes.Buffer) {
	fmt.Fprint(b, "\n## Variables\n\nFlags win over them. Temporal is reached as `TEMPORAL_ADDRESS`, `TEMPORAL_NAMESPACE`, `TEMPORAL_TLS_…` and the rest of\n[its own variables](https://docs.temporal.io/develop/environment-configuration) say.\n\n| variable | default | means | read by |\n|---|---|---|---|\n")
	for _, v := range app.Variables() {
		def := "–"
		if v.Default != "" {
			def = "`" + v.Default + "`"
		}
		fmt.Fprintf(b, "| `%s` | %s | %s | %s |\n", v.Name, def, v.Means, v.ReadBy)
	}
}

// Every command has a script that runs it, and one in which something goes wrong.
func TestEveryCommandHasAScript(t *testing.T) {
	var lines []string
	for _, pattern := range []string{"testdata/*.txtar", "testdata/postgres/*.txtar"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			lines = append(lines, strings.Split(string(text), "\n")...)
		}
	}
	root := cli.Root()
	for _, cmd := range cli.Tree(root) {
		if !cmd.IsAvailableCommand() && cmd.Name() != "help" {
			continue
		}
		ran, failed := false, false
		for _, line := range lines {
			if !runs(root, line, cmd) {
				continue
			}
			if failing.MatchString(line) {
				failed = true
			} else {
				ran = true
			}
		}
		if !ran {
			t.Errorf("no script runs %s and wants it to work", cmd.CommandPath())
		}
		if !failed && !neverFails(cmd) {
			t.Errorf("no script runs %s and wants it to fail", cmd.CommandPath())
		}
	}
}

// failing is a line of a script that wants a command to fail.
var failing = regexp.MustCompile(`^(exits [1-9] |! exec )`)

var invocation = regexp.MustCompile(`tocsin ([a-z].*)$`)

// runs reports whether a line of a script runs a command.
func runs(root *cobra.Command, line string, cmd *cobra.Command) bool {
	if !strings.HasPrefix(line, "exec ") && !strings.HasPrefix(line, "exits ") && !strings.HasPrefix(line, "! exec ") {
		return false
	}
	if cmd == root {
		return strings.HasSuffix(line, " tocsin") || strings.Contains(line, "tocsin web") && failing.MatchString(line)
	}
	for _, found := range invocation.FindAllStringSubmatch(line, -1) {
		if got, _, err := root.Find(strings.Fields(strings.Trim(found[1], "'"))); err == nil && got == cmd {
			return true
		}
	}
	return false
}

// neverFails lists what has nothing that could go wrong.
func neverFails(cmd *cobra.Command) bool {
	return slices.Contains([]string{"help"}, cmd.Name())
}
