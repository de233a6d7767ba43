package devtest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// Binaries are the paths of the built programs. Dev is "" where only the others were
// asked for.
type Binaries struct{ Dev, Tocsin, Worker string }

var binDir string // removed by Main

// Main runs a package's tests and removes the built programs; call it from TestMain.
func Main(m *testing.M) {
	code := m.Run()
	if binDir != "" {
		_ = os.RemoveAll(binDir) // a leftover in the temporary folder is no failure
	}
	os.Exit(code)
}

var makeBinDir = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "tocsin-devtest-")
	binDir = dir
	return dir, err
})

// The programs are built when first asked for. tocsin and tocsin-worker are built with
// the race detector; tocsin-dev is not, since that would compile the whole Temporal server
// with it, which costs more than it tells.
var (
	devOnce    = sync.OnceValues(func() (string, error) { return build("tocsin-dev", "github.com/tocsin-alerts/tocsin/devserver") })
	tocsinOnce = sync.OnceValues(func() (string, error) { return build("tocsin", "./starter", "-race") })
	workerOnce = sync.OnceValues(func() (string, error) { return build("tocsin-worker", "./worker", "-race") })

	plainOnce      = bothOnce("plain")
	failpointsOnce = bothOnce("failpoints", "-tags", "failpoints")
)

// bothOnce builds tocsin and tocsin-worker with other flags, in a folder of their own.
func bothOnce(folder string, flags ...string) func() (Binaries, error) {
	return sync.OnceValues(func() (b Binaries, err error) {
		if b.Tocsin, err = build(filepath.Join(folder, "tocsin"), "./starter", flags...); err != nil {
			return b, err
		}
		b.Worker, err = build(filepath.Join(folder, "tocsin-worker"), "./worker", flags...)
		return b, err
	})
}

// Plain returns tocsin and tocsin-worker as they are shipped, without the race detector:
// for load, where what it costs would hide what is looked for.
func Plain(t testing.TB) Binaries { return must(t, plainOnce) }

// Versioned returns tocsin and tocsin-worker as they are shipped under a version's name,
// which they show in the User-Agent of what they send: to tell an old process from a new
// one. They are built with each call.
func Versioned(t testing.TB, version string) Binaries {
	t.Helper()
	return must(t, bothOnce("version-"+version, "-ldflags", "-X main.version="+version))
}

// Failpoints returns tocsin and tocsin-worker that die where TOCSIN_FAILPOINT says; see
// package failpoint.
func Failpoints(t testing.TB) Binaries { return must(t, failpointsOnce) }

// Dev returns the path of tocsin-dev, built if need be.
func Dev(t testing.TB) string { return must(t, devOnce) }

// Tocsin returns the path of tocsin, built with the race detector if need be.
func Tocsin(t testing.TB) string { return must(t, tocsinOnce) }

// Worker returns the path of tocsin-worker, built with the race detector if need be.
func Worker(t testing.TB) string { return must(t, workerOnce) }

// Build builds all three.
func Build(t testing.TB) Binaries {
	t.Helper()
	return Binaries{Dev: Dev(t), Tocsin: Tocsin(t), Worker: Worker(t)}
}

func must[T any](t testing.TB, once func() (T, error)) T {
	t.Helper()
	built, err := once()
	if err != nil {
		t.Fatal(err)
	}
	return built
}

// build compiles a package. A path beginning with ./ is of the main module.
func build(name, pkg string, flags ...string) (string, error) {
	dir, err := makeBinDir()
	if err != nil {
		return "", fmt.Errorf("making folder for programs: %w", err)
	}
	out := filepath.Join(dir, name)
	cmd := exec.Command("go", append(append([]string{"build", "-o", out}, flags...), pkg)...)
	if strings.HasPrefix(pkg, "./") {
		root, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/tocsin-alerts/tocsin").Output()
		if err != nil {
			return "", fmt.Errorf("finding the main module: %w", err)
		}
		cmd.Dir = strings.TrimSpace(string(root))
		cmd.Env = append(os.Environ(), "CGO_ENABLED=1") // the race detector needs it
	}
	if text, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building %s: %w\n%s", name, err, text)
	}
	return out, nil
}
