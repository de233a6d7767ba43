// Command tocsin-worker runs webhooks' workflows and makes their deliveries. Any number
// may run beside each other.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/app"
)

// version is set by the build: -ldflags "-X main.version=…".
var version string

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// The first signal stops in good order, the second at once.
	context.AfterFunc(ctx, stop)
	err := run(ctx)
	if err == nil || errors.Is(err, flag.ErrHelp) {
		return
	}
	fmt.Fprintln(os.Stderr, "tocsin-worker:", err)
	if tocsin.CodeOf(err) == tocsin.CodeInvalid {
		os.Exit(2)
	}
	os.Exit(1)
}

func run(ctx context.Context) error {
	settings, err := app.ParseFlags("tocsin-worker", os.Args[1:], app.Work, os.Getenv, os.Stdout)
	if err != nil {
		return err
	}
	cfg, err := settings.Config(os.Stderr)
	if err != nil {
		return err
	}
	cfg.Version = app.Version(version)
	return app.Run(ctx, cfg)
}
