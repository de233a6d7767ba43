package chaos_test

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"testing"
	"time"

	"github.com/tocsin-alerts/tocsin/devserver/devtest"
	"github.com/tocsin-alerts/tocsin/devserver/temporalserver"
	"github.com/tocsin-alerts/tocsin/workflows"
)

var (
	rounds = flag.Int("rounds", 0, "how many `rounds` of each kind must count; 0 skips all that takes long")
	budget = flag.Duration("budget", 15*time.Minute, "after this `time` no round is begun any more, and missing ones are a failure")
	table  = flag.String("table", "", "`file` to write the table to, between its marks")
)

// began is when the tests did, for -budget.
var began = time.Now()

// temporalEnv makes this program a Temporal server instead of a test: its value is the
// address, its argument the database. It is killed as a process of its own.
const temporalEnv = "TOCSIN_CHAOS_TEMPORAL"

func TestMain(m *testing.M) {
	if addr := os.Getenv(temporalEnv); addr != "" {
		if err := beTemporal(addr, os.Args[1]); err != nil {
			fmt.Fprintln(os.Stderr, "temporal:", err)
			os.Exit(1)
		}
		return
	}
	devtest.Main(m)
}

// temporalReady is printed when the server answers.
const temporalReady = "temporal is ready"

func beTemporal(addr, file string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	server, err := temporalserver.Start(temporalserver.Options{
		DBFile: file, FrontendAddr: addr, SearchAttributes: workflows.SearchAttributes(),
		Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})),
	})
	if err != nil {
		return err
	}
	fmt.Println(temporalReady)
	<-ctx.Done()
	return server.Stop()
}
