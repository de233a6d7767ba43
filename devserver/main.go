// Command tocsin-dev is the whole system in one process on embedded storage: Temporal
// server and Web UI, worker, HTTP API and an inbox to deliver to. See package dev.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/tocsin-alerts/tocsin/devserver/dev"
)

// version is set by the linker.
var version string

func main() {
	cfg, err := dev.ParseFlags(os.Args[1:], os.Getenv, os.Stdout)
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "tocsin-dev:", err)
		os.Exit(2)
	}
	cfg.Version = version
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// The first signal stops cleanly, the next one at once.
	context.AfterFunc(ctx, stop)
	if err := dev.Run(ctx, cfg); err != nil {
		fmt.Fprintln(os.Stderr, "tocsin-dev:", err)
		os.Exit(1)
	}
}
