package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// startPatience bounds how long a process may take until it is ready, stopPatience how
// long until it is gone: then it is killed, since its data is thrown away anyway.
const (
	startPatience = time.Minute
	stopPatience  = 5 * time.Second
)

// process is a program that runs.
type process struct {
	name string // "serve", "worker 1", "temporal"
	cmd  *exec.Cmd
	out  tail
	done chan struct{} // closed when it ended
}

// tail keeps the end of what a process prints.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

// tailBytes is enough for the last warnings.
const tailBytes = 16 << 10

// Write implements io.Writer.
func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, p...)
	if len(t.buf) > 2*tailBytes {
		t.buf = append(t.buf[:0], t.buf[len(t.buf)-tailBytes:]...)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.buf)
}

func (t *tail) has(text string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return bytes.Contains(t.buf, []byte(text))
}

// start starts a program with env added to the environment.
func start(name, program string, args, env []string) (*process, error) {
	p := &process{name: name, cmd: exec.Command(program, args...), done: make(chan struct{})} // #nosec G204 -- the folder that -bin names
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.out
	p.cmd.SysProcAttr = ownGroup()
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", filepath.Base(program), err)
	}
	go func() {
		_ = p.cmd.Wait() // how it ended is of interest while it is waited for only
		close(p.done)
	}()
	return p, nil
}

func (p *process) pid() int { return p.cmd.Process.Pid }

func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	select {
	case <-p.done:
	case <-time.After(stopPatience):
		_ = p.cmd.Process.Kill()
		<-p.done
	}
}

// until waits for a condition of a process.
func (p *process) until(ctx context.Context, what string, cond func() error) error {
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := cond()
		if err == nil {
			return nil
		}
		select {
		case <-p.done:
			return fmt.Errorf("waiting for %s to be %s: it ended:\n%s", p.name, what, p.out.String())
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s to be %s: %w\n%s", p.name, what, errors.Join(err, ctx.Err()), p.out.String())
		case <-tick.C:
		}
	}
}

// ready waits until url/-/ready answers 200.
func (p *process) ready(ctx context.Context, url string) error {
	return p.until(ctx, "ready", func() error {
		resp, err := http.Get(url + "/-/ready") // #nosec G107 -- a process of ours
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("it answers %s", resp.Status)
		}
		return nil
	})
}

// printed waits until the process has printed text.
func (p *process) printed(ctx context.Context, text string) error {
	return p.until(ctx, "ready", func() error {
		if !p.out.has(text) {
			return fmt.Errorf("it has not printed %q", text)
		}
		return nil
	})
}

// The ports that freeAddress tries lie below those that the system gives to outgoing
// connections (from 32768 on by Linux's default): one of those could be taken between
// being tried and being listened on.
const lowestPort, ports, portTries = 15000, 17000, 100

// freeAddress returns a loopback address that nothing listens on.
func freeAddress() (string, error) {
	var err error
	for range portTries {
		var l net.Listener
		port := lowestPort + rand.IntN(ports) // #nosec G404 -- any port that is free
		if l, err = net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			defer l.Close()
			return l.Addr().String(), nil
		}
	}
	return "", fmt.Errorf("looking for a free port: %w", err)
}
