package pgtest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Options are all optional.
type Options struct {
	// NoFsync makes the cluster faster and lets it lose data when the machine crashes; a
	// crash of the server alone loses nothing either way.
	NoFsync bool
	// Settings are further settings of the server, such as "max_connections".
	Settings map[string]string
}

// startTimeout is how long a server may take until it answers, stopTimeout until it is
// gone.
const (
	startTimeout = time.Minute
	stopTimeout  = time.Minute
)

// reaper waits until the test process is gone, whose end closes the pipe it reads
// from, then ends the server at once and removes everything.
const reaper = `
cat >/dev/null
pid=$(head -n 1 "$1/data/postmaster.pid" 2>/dev/null)
if [ -n "$pid" ]; then
	kill -QUIT "$pid" 2>/dev/null
	n=0
	while kill -0 "$pid" 2>/dev/null && [ "$n" -lt 200 ]; do n=$((n+1)); sleep 0.05; done
fi
rm -rf "$1"
`

// Cluster is a PostgreSQL server with data of its own. Its address stays the same
// when it is started again.
type Cluster struct {
	dir, password string
	port          int
	options       Options
	credential    *syscall.Credential
	binaries      string

	reap   io.Closer // closing it lets the reaper work
	reaper *exec.Cmd
	server *exec.Cmd // nil while stopped
	done   chan struct{}
}

// Start makes and starts a cluster for one test, which removes it at its end. It is
// skipped and fails as [URL] does.
func Start(t testing.TB, o Options) *Cluster {
	t.Helper()
	c, err := newCluster(o)
	if err != nil {
		missing(t, err)
	}
	t.Cleanup(func() {
		if err := c.remove(); err != nil {
			t.Errorf("removing the cluster: %v", err)
		}
	})
	return c
}

func newCluster(o Options) (*Cluster, error) {
	binaries, err := findBinaries()
	if err != nil {
		return nil, err
	}
	credential, err := unprivileged()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "pgtest-")
	if err != nil {
		return nil, err
	}
	c := &Cluster{dir: dir, password: rand.Text(), options: o, credential: credential, binaries: binaries}
	if err := c.prepare(); err != nil {
		return nil, errors.Join(err, c.remove())
	}
	return c, nil
}

func (c *Cluster) prepare() error {
	if err := c.startReaper(); err != nil {
		return fmt.Errorf("starting the reaper: %w", err)
	}
	secret := filepath.Join(c.dir, "password")
	if err := os.WriteFile(secret, []byte(c.password), 0o600); err != nil {
		return err
	}
	if c.credential != nil {
		for _, path := range []string{c.dir, secret} {
			if err := os.Chown(path, int(c.credential.Uid), int(c.credential.Gid)); err != nil {
				return err
			}
		}
	}
	out, err := c.command("initdb", "-D", c.data(), "-U", "postgres", "--pwfile", secret, "--auth=password",
		"-E", "UTF8", "--locale=C.UTF-8", "--no-sync").CombinedOutput()
	if err != nil {
		return fmt.Errorf("running initdb: %w\n%s", err, out)
	}
	// Somebody may take a free port before the server does.
	for try := 0; ; try++ {
		if c.port, err = freePort(); err != nil {
			return err
		}
		if err = c.Restart(); err == nil || try == 2 {
			return err
		}
	}
}

func (c *Cluster) data() string { return filepath.Join(c.dir, "data") }

// command prepares a program of PostgreSQL's, which refuses to be run by root, in a
// session of its own, so that Ctrl-C reaches the tests alone.
func (c *Cluster) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(c.binaries, name), args...)
	cmd.Dir = c.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Credential: c.credential}
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "TZ=UTC")
	return cmd
}

func (c *Cluster) startReaper() error {
	c.reaper = exec.Command("/bin/sh", "-c", reaper, "sh", c.dir)
	c.reaper.Dir = "/"
	c.reaper.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	pipe, err := c.reaper.StdinPipe()
	if err != nil {
		return err
	}
	if err := c.reaper.Start(); err != nil {
		return err
	}
	c.reap = pipe
	return nil
}

// remove has the reaper end the server and remove the directory.
func (c *Cluster) remove() error {
	if c.reap == nil {
		return os.RemoveAll(c.dir)
	}
	err := errors.Join(c.reap.Close(), c.reaper.Wait())
	if c.server != nil {
		<-c.done
		c.server = nil
	}
	return err
}

// URL is where the cluster's own database "postgres" is reached, as a superuser.
func (c *Cluster) URL() string {
	u := url.URL{Scheme: "postgres", User: url.UserPassword("postgres", c.password),
		Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(c.port)), Path: "/postgres", RawQuery: "sslmode=disable"}
	return u.String()
}

// Database returns the URL of a fresh, empty database in the cluster.
func (c *Cluster) Database(t testing.TB) string {
	t.Helper()
	return createDatabase(t, c.URL())
}

// Restart starts the server, stopping it before when it runs, and returns when it
// answers.
func (c *Cluster) Restart() error {
	if err := c.Stop(); err != nil {
		return err
	}
	args := []string{"-D", c.data(), "-p", strconv.Itoa(c.port), "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=" + c.dir,
		"-c", "max_connections=300", "-c", "fsync=" + map[bool]string{true: "off", false: "on"}[c.options.NoFsync]}
	for name, value := range c.options.Settings {
		args = append(args, "-c", name+"="+value)
	}
	log, err := os.OpenFile(filepath.Join(c.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	server := c.command("postgres", args...)
	server.Stdout, server.Stderr = log, log
	if err := server.Start(); err != nil {
		return fmt.Errorf("starting the server: %w", err)
	}
	done := make(chan struct{})
	go func() {
		_ = server.Wait() // how it ended is in its log
		close(done)
	}()
	c.server, c.done = server, done
	return c.await()
}

// await returns when the server answers.
func (c *Cluster) await() error {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := pgx.Connect(ctx, c.URL())
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-tick.C:
		case <-c.done:
			c.server = nil
			return fmt.Errorf("the server ended at once: %s", c.Log())
		case <-ctx.Done():
			return fmt.Errorf("waiting for the server to answer: %w\n%s", err, c.Log())
		}
	}
}

// Stop ends the server as an administrator would (fast shutdown): it cuts off
// connections and writes everything down. A stopped server stays so.
func (c *Cluster) Stop() error { return c.end(syscall.SIGINT) }

// StopImmediate ends the server as a crash would; the next start recovers from its log.
func (c *Cluster) StopImmediate() error { return c.end(syscall.SIGQUIT) }

func (c *Cluster) end(signal syscall.Signal) error {
	if c.server == nil {
		return nil
	}
	if err := c.server.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stopping the server: %w", err)
	}
	select {
	case <-c.done:
		c.server = nil
		return nil
	case <-time.After(stopTimeout):
		return errors.New("stopping the server: it is still there")
	}
}

// Log returns what the server wrote to its log.
func (c *Cluster) Log() string {
	b, err := os.ReadFile(filepath.Join(c.dir, "log"))
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// freePort returns a port below those of outgoing connections: while the server is down, a
// connection to its port could otherwise get that very port for its own end, meet itself,
// and keep the server from listening there again.
func freePort() (int, error) {
	const lowest, count, tries = 15000, 17000, 100
	var err error
	for range tries {
		var l net.Listener
		if l, err = net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", lowest+mathrand.IntN(count))); err == nil {
			defer l.Close()
			return l.Addr().(*net.TCPAddr).Port, nil
		}
	}
	return 0, err
}
