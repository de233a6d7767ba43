package post

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/idna"

	tocsin "github.com/tocsin-alerts/tocsin"
)

// saveResolveTimeout bounds the name lookup when a URL is checked at save.
const saveResolveTimeout = 3 * time.Second

// maxURL is the longest URL taken, in bytes; servers commonly stop at 8 KiB.
const maxURL = 8 << 10

// CheckURL says whether raw may be configured as an address to send to: http or https,
// a host, no credentials, no fragment, and no address that egress forbids, in whatever
// spelling. Names are resolved; a name that does not resolve now passes, since it may
// before the first send, where everything is checked again. Errors are sentences for
// the user that do not repeat the URL.
func (c *Client) CheckURL(ctx context.Context, raw string) error {
	_, _, err := c.examine(ctx, raw)
	return err
}

// CheckSecureURL is CheckURL for URLs that are secrets or get one: https, or http when every
// address of the host is allowed by CIDR (a receiver on the same machine).
func (c *Client) CheckSecureURL(ctx context.Context, raw string) error {
	u, addrs, err := c.examine(ctx, raw)
	if err != nil {
		return err
	}
	return c.secure(u, addrs)
}

// secure says whether a secret may travel to a URL whose host has these addresses.
func (c *Client) secure(u *url.URL, addrs []netip.Addr) error {
	if u.Scheme != "https" && !c.allAllowed(addrs) {
		return errors.New("the scheme is http; want https, because a secret travels with it")
	}
	return nil
}

// CheckAtSend is CheckSecureURL just before a request whose URL passed it at save: the host
// of plain http was allowed by its address then, and may have another one now. It returns
// what a Send may return, and nil for https, whose addresses are checked by the request
// itself: of ClassEgress, or of ClassDNS when nobody knows the host now.
func (c *Client) CheckAtSend(ctx context.Context, rawURL string) error {
	u, err := parseURL(rawURL)
	var addrs []netip.Addr
	switch {
	case err != nil:
	case u.Scheme == "https":
		return nil
	default:
		if addrs, err = c.examineHost(ctx, u.Hostname()); err == nil && len(addrs) == 0 {
			return tocsin.RetryAfter(Errorf(ClassDNS, "looking up %s: no address", u.Hostname()), 0)
		}
	}
	if err == nil {
		err = c.secure(u, addrs)
	}
	if err != nil {
		return tocsin.Refused(Errorf(ClassEgress, "the URL: %v", err))
	}
	return nil
}

// examine parses raw, resolves its host and checks every address.
func (c *Client) examine(ctx context.Context, raw string) (*url.URL, []netip.Addr, error) {
	u, err := parseURL(raw)
	if err != nil {
		return nil, nil, err
	}
	addrs, err := c.examineHost(ctx, u.Hostname())
	return u, addrs, err
}

// examineHost resolves a host and checks every address.
func (c *Client) examineHost(ctx context.Context, host string) ([]netip.Addr, error) {
	addr, literal, err := literalHost(host)
	if err != nil {
		return nil, err
	}
	if literal {
		return []netip.Addr{addr}, c.guard.check(addr)
	}
	ctx, cancel := context.WithTimeout(ctx, saveResolveTimeout)
	defer cancel()
	addrs, err := c.resolve(ctx, host)
	var refused *egressError
	if errors.As(err, &refused) {
		return nil, fmt.Errorf("%s resolves to %w", host, err)
	}
	return addrs, nil // what does not resolve now is checked when it is sent to
}

// CheckHost is CheckURL for channels that speak something other than HTTP: host is a name
// or an IP address without brackets. Errors are sentences for the user.
func (c *Client) CheckHost(ctx context.Context, host string, port int) error {
	switch {
	case host == "":
		return errors.New("has no host; want host:port")
	case strings.ContainsFunc(host, func(r rune) bool { return r <= ' ' || r == 0x7f || strings.ContainsRune(`/\?#@%`, r) }):
		return errors.New("the host is not a name that can be looked up")
	case port < 1 || port > 65535:
		return errors.New("the port is not a number from 1 to 65535")
	}
	_, err := c.examineHost(ctx, host)
	return err
}

// AllowedHost reports whether every address of host is allowed expressly, by CIDR: there a
// secret may travel in the clear. A host that does not resolve is not.
func (c *Client) AllowedHost(ctx context.Context, host string) bool {
	addrs, err := c.examineHost(ctx, host)
	return err == nil && c.allAllowed(addrs)
}

// allAllowed reports whether there are addresses, and each is allowed expressly.
func (c *Client) allAllowed(addrs []netip.Addr) bool {
	return len(addrs) > 0 && !slices.ContainsFunc(addrs, func(a netip.Addr) bool { return !c.guard.allowed(a) })
}

// parseURL takes raw apart and checks everything about it but its host's addresses.
func parseURL(raw string) (*url.URL, error) {
	if raw == "" {
		return nil, errors.New("is empty; want https://host/path")
	}
	if len(raw) > maxURL {
		return nil, fmt.Errorf("is %d bytes long; at most %d", len(raw), maxURL)
	}
	for _, r := range raw {
		if r <= ' ' || r == 0x7f || r == '\\' {
			return nil, errors.New("contains a space, a backslash or a control character")
		}
	}
	u, err := url.Parse(raw)
	if err != nil {
		return nil, errors.New("cannot be read as a URL; want https://host/path")
	}
	switch {
	case u.Scheme == "":
		return nil, errors.New("has no scheme; want https://host/path")
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, fmt.Errorf("the scheme is %q; allowed: https, http", u.Scheme)
	case u.User != nil:
		return nil, errors.New("has credentials before the host; put them into a header")
	case u.Opaque != "" || u.Hostname() == "":
		return nil, errors.New("has no host; want https://host/path")
	case u.Fragment != "" || strings.HasSuffix(raw, "#"):
		return nil, errors.New("has a fragment (#…), which is never sent; leave it out")
	}
	if p := u.Port(); p != "" || strings.HasSuffix(u.Host, ":") {
		if n, err := strconv.Atoi(p); err != nil || n < 1 || n > 65535 {
			return nil, errors.New("the port is not a number from 1 to 65535")
		}
	}
	return u, nil
}

// literalHost reads host as an IP address. A name is (zero, false, nil). Spellings that
// some resolver would read as an address (2130706433, 0x7f.1, 0177.0.0.1, full-width
// digits) are refused with the address they stand for.
func literalHost(host string) (netip.Addr, bool, error) {
	if addr, err := netip.ParseAddr(host); err == nil {
		return addr, true, nil
	}
	if strings.Contains(host, ":") {
		return netip.Addr{}, false, &hostError{"the host is not an IPv6 address"}
	}
	ascii, err := idna.Lookup.ToASCII(strings.TrimSuffix(host, "."))
	if err != nil || ascii == "" {
		return netip.Addr{}, false, &hostError{"the host is not a name that can be looked up"}
	}
	labels := strings.Split(ascii, ".")
	if !numeric(labels[len(labels)-1]) {
		return netip.Addr{}, false, nil
	}
	if addr, ok := inetAton(labels); ok {
		return netip.Addr{}, false, &hostError{fmt.Sprintf("the host is another spelling of %s; write it as %s", addr, addr)}
	}
	return netip.Addr{}, false, &hostError{"the host is neither a name nor an IP address"}
}

// numeric reports whether a last label makes the whole host an address, as browsers and
// inet_aton see it (https://url.spec.whatwg.org/#ends-in-a-number-checker).
func numeric(label string) bool {
	// However many digits: what becomes of too large a number is the resolver's affair.
	if hex, ok := strings.CutPrefix(strings.ToLower(label), "0x"); ok {
		return strings.Trim(hex, "0123456789abcdef") == ""
	}
	return strings.Trim(label, "0123456789") == ""
}

// atonPart reads one part of an inet_aton address: decimal, 0octal or 0xhex.
func atonPart(s string) (uint64, bool) {
	base := 10
	switch {
	case strings.HasPrefix(s, "0x"), strings.HasPrefix(s, "0X"):
		s, base = s[2:], 16
		if s == "" {
			return 0, true
		}
	case len(s) > 1 && s[0] == '0':
		s, base = s[1:], 8
	}
	n, err := strconv.ParseUint(s, base, 33)
	return n, err == nil
}

// inetAton reads one to four parts, the last of which fills the bytes that are left.
func inetAton(labels []string) (netip.Addr, bool) {
	if len(labels) > 4 {
		return netip.Addr{}, false
	}
	var v uint64
	for i, l := range labels {
		n, ok := atonPart(l)
		last := i == len(labels)-1
		room := uint64(1) << 8
		if last {
			room = 1 << (8 * (5 - len(labels)))
		}
		if !ok || n >= room {
			return netip.Addr{}, false
		}
		if last {
			v |= n
		} else {
			v |= n << (8 * (3 - i))
		}
	}
	return netip.AddrFrom4([4]byte{byte(v >> 24), byte(v >> 16), byte(v >> 8), byte(v)}), true
}

// resolve returns the addresses of a host, all of them checked; *egressError when one
// is forbidden: a name with a public and a private address is not to be trusted.
func (c *Client) resolve(ctx context.Context, host string) ([]netip.Addr, error) {
	if addr, literal, err := literalHost(host); err != nil {
		return nil, err
	} else if literal {
		return []netip.Addr{addr}, c.guard.check(addr)
	}
	addrs, err := c.lookup(ctx, host)
	if err != nil {
		return nil, err
	}
	for _, a := range addrs {
		if err := c.guard.check(a); err != nil {
			return nil, err
		}
	}
	if len(addrs) == 0 {
		return nil, &net.DNSError{Err: "no address", Name: host, IsNotFound: true}
	}
	return addrs, nil
}

// lookup asks the resolver. The name localhost never leaves the machine (RFC 6761).
func (c *Client) lookup(ctx context.Context, host string) ([]netip.Addr, error) {
	name, err := idna.Lookup.ToASCII(strings.TrimSuffix(host, "."))
	if err != nil {
		return nil, &net.DNSError{Err: "not a name that can be looked up", Name: host, IsNotFound: true}
	}
	if name == "localhost" || strings.HasSuffix(name, ".localhost") {
		return []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1})}, nil
	}
	return c.opts.Resolver.LookupNetIP(ctx, "ip", name)
}
