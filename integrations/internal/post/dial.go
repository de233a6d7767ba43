package post

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"syscall"
	"time"
)

// dialTimeout bounds the connection to one address.
const dialTimeout = 10 * time.Second

// dial resolves, checks every address, and connects to the first that answers.
func (c *Client) dial(ctx context.Context, network, hostport string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(hostport)
	if err != nil {
		return nil, err
	}
	addrs, err := c.resolve(ctx, host)
	if err != nil {
		return nil, err
	}
	dialer := net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second, Control: c.control}
	var first error
	for i, a := range addrs {
		conn, err := c.dialOne(ctx, dialer, network, net.JoinHostPort(a.String(), port), len(addrs)-i)
		if err == nil {
			return conn, nil
		}
		if first == nil {
			first = err
		}
		if ctx.Err() != nil {
			break
		}
	}
	return nil, first
}

// dialOne gives one address its share of the time that is left.
func (c *Client) dialOne(ctx context.Context, dialer net.Dialer, network, addr string, left int) (net.Conn, error) {
	if deadline, ok := ctx.Deadline(); ok && left > 1 {
		dialer.Timeout = min(dialer.Timeout, time.Until(deadline)/time.Duration(left))
	}
	return dialer.DialContext(ctx, network, addr)
}

// control checks the address once more at the moment of use: whatever went before, no
// socket connects to a forbidden one.
func (c *Client) control(_, address string, _ syscall.RawConn) error {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return fmt.Errorf("dialling %q, which is no address", host)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("dialling port %q", port)
	}
	return c.guard.check(addr)
}
