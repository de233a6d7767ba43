package temporalserver

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"strconv"
	"syscall"
)

// address is where something listens.
type address struct {
	host string // an IP address
	port int
}

// tryListen resolves addr, with port 0 to a free one, and listens there. what says in
// errors whose address it is.
func tryListen(what, addr string) (address, net.Listener, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return address{}, nil, fmt.Errorf("address of %s: %q: want host:port", what, addr)
	}
	if host == "" {
		// An empty host would mean every interface, which nobody should get by accident.
		return address{}, nil, fmt.Errorf("address of %s: %q names no host: want for example 127.0.0.1%s", what, addr, addr)
	}
	l, err := net.Listen("tcp", addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		return address{}, nil, fmt.Errorf("address of %s: %s is in use by another program; stop that one, or choose another address", what, addr)
	}
	if err != nil {
		return address{}, nil, fmt.Errorf("address of %s: %w", what, err)
	}
	tcp := l.Addr().(*net.TCPAddr)
	return address{host: tcp.IP.String(), port: tcp.Port}, l, nil
}

// The ports for inner services lie below those that systems give to outgoing connections
// (from 32768 on by Linux's default, 49152 by IANA's): between being tried and being
// listened on, a port of those could be taken by any connection of this machine.
const (
	lowestInner = 15000
	innerPorts  = 17000
	innerTries  = 20
)

// listenInside finds a free port for an inner service; any that is free, after some tries.
func listenInside(listen func(what, addr string) (address, error)) (a address, err error) {
	const what = "temporal's inner services"
	for range innerTries {
		port := lowestInner + rand.IntN(innerPorts) // #nosec G404 -- any port that is free
		if a, err = listen(what, fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			return a, nil
		}
	}
	return listen(what, "127.0.0.1:0")
}

func (a address) ip() netip.Addr {
	ip, _ := netip.ParseAddr(a.host) // tryListen wrote it
	return ip.Unmap()
}

func (a address) loopback() bool { return a.ip().IsLoopback() }

// String is the address as listened on.
func (a address) String() string { return net.JoinHostPort(a.host, strconv.Itoa(a.port)) }

// dial is the address as reached from this machine.
func (a address) dial() string {
	host := a.host
	if a.ip().IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, strconv.Itoa(a.port))
}
