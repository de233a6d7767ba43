package devtest

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Process is a program that runs. It is killed at the end of its test, and its output is
// shown when the test failed.
type Process struct {
	t    testing.TB
	name string
	cmd  *exec.Cmd
	out  output
	done chan struct{} // closed when it ended
	err  error         // how; to be read after done
}

// output collects what a process prints.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// Write implements io.Writer.
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// Start runs a program with the test's environment and env ("KEY=value") added. It does
// not wait until it is ready.
func Start(t testing.TB, path string, args, env []string) *Process {
	t.Helper()
	p := &Process{t: t, name: path[strings.LastIndexByte(path, '/')+1:], cmd: exec.Command(path, args...), done: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.out
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("starting %s: %v", p.name, err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	t.Cleanup(func() {
		p.signal(syscall.SIGKILL)
		<-p.done
		if t.Failed() {
			t.Logf("output of %s (process %d):\n%s", p.name, p.cmd.Process.Pid, p.Output())
		}
		if strings.Contains(p.Output(), "WARNING: DATA RACE") {
			t.Errorf("%s has a data race:\n%s", p.name, p.Output())
		}
	})
	return p
}

func (p *Process) signal(s syscall.Signal) {
	// Only "already finished" can go wrong here, and that is what the signal is for.
	_ = p.cmd.Process.Signal(s)
}

// PID is the process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Output is what it has printed so far, standard output and error together.
func (p *Process) Output() string { return p.out.String() }

// Kill9 kills the process as kill -9 does, and returns when it is gone.
func (p *Process) Kill9() {
	p.signal(syscall.SIGKILL)
	<-p.done
}

// Freeze stops the process where it is, as a machine does that swaps or is suspended. It
// knows nothing of it after Thaw.
func (p *Process) Freeze() { p.signal(syscall.SIGSTOP) }

// Thaw lets a frozen process go on.
func (p *Process) Thaw() { p.signal(syscall.SIGCONT) }

// Ended reports whether the process is over.
func (p *Process) Ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// Stop asks the process to end with SIGTERM; another exit code than 0, or taking longer
// than Patience, fails the test.
func (p *Process) Stop() {
	p.t.Helper()
	p.signal(syscall.SIGTERM)
	if err := p.wait(); err != nil {
		p.t.Fatalf("stopping %s: %v", p.name, err)
	}
}

// MustFail waits until the process ends by itself and returns its exit code; 0 fails the
// test.
func (p *Process) MustFail() int {
	p.t.Helper()
	err := p.wait()
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		p.t.Fatalf("%s ended with %v, want a failure", p.name, err)
	}
	return exit.ExitCode()
}

// MustDie waits until the process is ended by kill -9, its own or another's.
func (p *Process) MustDie() {
	p.t.Helper()
	err := p.wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() && status.Signal() == syscall.SIGKILL {
			return
		}
	}
	p.t.Fatalf("%s ended with %v, want kill -9", p.name, err)
}

func (p *Process) wait() error {
	select {
	case <-p.done:
		return p.err
	case <-time.After(Patience):
		return errors.New("it does not end")
	}
}

// MustPrint waits until the process has printed text.
func (p *Process) MustPrint(text string) {
	p.t.Helper()
	p.until(fmt.Sprintf("%s to print %q", p.name, text), func() error {
		if !strings.Contains(p.Output(), text) {
			return errors.New("not printed")
		}
		return nil
	})
}

// until is Until, ended early when the process is.
func (p *Process) until(what string, cond func() error) {
	p.t.Helper()
	Until(p.t, what, func() error {
		err := cond()
		if err == nil {
			return nil
		}
		select {
		case <-p.done:
			p.t.Fatalf("waiting for %s: the process ended: %v", what, p.err)
		default:
		}
		return err
	})
}

// FreeAddr returns a loopback address that nothing listens on. Its port lies below those
// that the system gives to outgoing connections: while a process is down, a connection
// to its port could otherwise get that very port for its own end, meet itself, and keep
// the process from listening there again.
func FreeAddr(t testing.TB) string {
	t.Helper()
	const lowest, count, tries = 15000, 17000, 100
	var err error
	for range tries {
		var l net.Listener
		if l, err = net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", lowest+rand.IntN(count))); err == nil {
			defer l.Close()
			return l.Addr().String()
		}
	}
	t.Fatal(err)
	return ""
}
