package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// machine says where we are. What cannot be found out is left empty.
func (b *bench) machine(ctx context.Context) (Machine, error) {
	m := Machine{When: time.Now().UTC().Truncate(time.Second), Cores: runtime.NumCPU(), Go: runtime.Version()}
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		if _, rest, ok := strings.Cut(string(text), "model name\t: "); ok {
			m.CPU, _, _ = strings.Cut(rest, "\n")
		}
	}
	if text, err := os.ReadFile("/proc/meminfo"); err == nil {
		m.MemoryGB = float64(parseStatus(text)["MemTotal"]) / (1 << 30)
	}
	version, err := exec.CommandContext(ctx, filepath.Join(b.bin, "tocsin"), "version").Output() // #nosec G204 -- the folder that -bin names
	if err != nil {
		return m, fmt.Errorf("asking tocsin for its version: %w", err)
	}
	m.Tocsin = strings.TrimPrefix(strings.TrimSpace(string(version)), "tocsin ")
	if b.databaseURL == "" && b.cluster == nil {
		return m, nil // nothing was measured on PostgreSQL
	}
	admin, err := b.postgresURL()
	if err != nil {
		return m, err
	}
	conn, err := pgx.Connect(ctx, admin)
	if err != nil {
		return m, fmt.Errorf("asking PostgreSQL for its version: %w", err)
	}
	defer conn.Close(ctx)
	err = conn.QueryRow(ctx, `SHOW server_version`).Scan(&m.Postgres)
	return m, err
}
