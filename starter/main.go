// Command tocsin serves the HTTP API, and is the command line for everything else.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/tocsin-alerts/tocsin/app"
	"github.com/tocsin-alerts/tocsin/starter/internal/cli"
)

// version is set by the build: -ldflags "-X main.version=…".
var version string

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// The first signal stops in good order, the second at once.
	context.AfterFunc(ctx, stop)
	os.Exit(cli.Run(ctx, cli.Env{
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Getenv: os.Getenv, Environ: os.Environ, Version: app.Version(version),
	}, os.Args[1:]))
}
