package post

import (
	"fmt"
	"net/netip"
)

// reserved are the ranges nobody may be sent to unless a CIDR allows it, each with the
// words for the error message. The first match wins, so the special comes before the
// general. Sources: the IANA special-purpose registries,
// https://www.iana.org/assignments/iana-ipv4-special-registry/ and
// https://www.iana.org/assignments/iana-ipv6-special-registry/, and the clouds' pages on
// their metadata services.
var reserved = []struct {
	prefix netip.Prefix
	what   string
}{
	// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html
	{netip.MustParsePrefix("169.254.169.254/32"), "a cloud metadata address"},
	{netip.MustParsePrefix("169.254.170.2/32"), "a cloud metadata address"},
	{netip.MustParsePrefix("fd00:ec2::254/128"), "a cloud metadata address"},
	// https://www.alibabacloud.com/help/en/ecs/user-guide/view-instance-metadata
	{netip.MustParsePrefix("100.100.100.200/32"), "a cloud metadata address"},
	// https://learn.microsoft.com/en-us/azure/virtual-network/what-is-ip-address-168-63-129-16
	{netip.MustParsePrefix("168.63.129.16/32"), "a cloud metadata address"},

	{netip.MustParsePrefix("0.0.0.0/8"), "an unspecified address"},
	{netip.MustParsePrefix("10.0.0.0/8"), "a private address"},
	{netip.MustParsePrefix("100.64.0.0/10"), "a carrier-grade NAT address"},
	{netip.MustParsePrefix("127.0.0.0/8"), "a loopback address"},
	{netip.MustParsePrefix("169.254.0.0/16"), "a link-local address"},
	{netip.MustParsePrefix("172.16.0.0/12"), "a private address"},
	{netip.MustParsePrefix("192.0.0.0/24"), "an address for protocol assignments"},
	{netip.MustParsePrefix("192.0.2.0/24"), "a documentation address"},
	{netip.MustParsePrefix("192.88.99.0/24"), "a 6to4 relay address"},
	{netip.MustParsePrefix("192.168.0.0/16"), "a private address"},
	{netip.MustParsePrefix("198.18.0.0/15"), "a benchmarking address"},
	{netip.MustParsePrefix("198.51.100.0/24"), "a documentation address"},
	{netip.MustParsePrefix("203.0.113.0/24"), "a documentation address"},
	{netip.MustParsePrefix("224.0.0.0/4"), "a multicast address"},
	{netip.MustParsePrefix("240.0.0.0/4"), "a reserved address"},

	{netip.MustParsePrefix("::/128"), "an unspecified address"},
	{netip.MustParsePrefix("::1/128"), "a loopback address"},
	{netip.MustParsePrefix("64:ff9b:1::/48"), "a local translation (NAT64) address"},
	{netip.MustParsePrefix("100::/64"), "a discard address"},
	{netip.MustParsePrefix("2001:1::/32"), "an address for protocol assignments"},
	{netip.MustParsePrefix("2001:2::/48"), "a benchmarking address"},
	{netip.MustParsePrefix("2001:10::/28"), "an identifier, not an address (ORCHID)"},
	{netip.MustParsePrefix("2001:20::/28"), "an identifier, not an address (ORCHID)"},
	{netip.MustParsePrefix("2001:30::/28"), "an identifier, not an address (DET)"},
	{netip.MustParsePrefix("2001:db8::/32"), "a documentation address"},
	{netip.MustParsePrefix("3fff::/20"), "a documentation address"},
	{netip.MustParsePrefix("5f00::/16"), "a segment routing address"},
	{netip.MustParsePrefix("fc00::/7"), "a private (unique local) address"},
	{netip.MustParsePrefix("fe80::/10"), "a link-local address"},
	{netip.MustParsePrefix("fec0::/10"), "a site-local address"},
	{netip.MustParsePrefix("ff00::/8"), "a multicast address"},
}

// globalUnicast is the only part of IPv6 that is assigned for use on the internet.
var globalUnicast = netip.MustParsePrefix("2000::/3")

// forms are the IPv6 forms that carry IPv4 addresses: what is reached in the end is
// the address inside, so that is what is checked.
var forms = []struct {
	prefix netip.Prefix
	what   string
	at     []int // byte offsets of the addresses inside
	flip   bool  // the last one is stored inverted (Teredo)
}{
	{netip.MustParsePrefix("::/96"), "IPv4-compatible", []int{12}, false},
	{netip.MustParsePrefix("::ffff:0:0:0/96"), "IPv4-translated", []int{12}, false},
	{netip.MustParsePrefix("64:ff9b::/96"), "NAT64", []int{12}, false},
	{netip.MustParsePrefix("2001::/32"), "Teredo", []int{4, 12}, true},
	{netip.MustParsePrefix("2002::/16"), "6to4", []int{2}, false},
}

// egressError says that an address may not be sent to.
type egressError struct {
	addr netip.Addr
	what string
}

func (e *egressError) Error() string {
	return fmt.Sprintf("%s is %s; only public addresses may be sent to, unless TOCSIN_EGRESS_ALLOW lists them", e.addr, e.what)
}

// hostError says that a host cannot be sent to for the way it is written.
type hostError struct{ text string }

func (e *hostError) Error() string { return e.text }

// guard decides which addresses may be sent to.
type guard struct{ allow []netip.Prefix }

func newGuard(allow []netip.Prefix) guard {
	g := guard{}
	for _, p := range allow {
		// A prefix written in the mapped form means the addresses inside: addresses are
		// compared unmapped.
		if p.Addr().Is4In6() && p.Bits() >= 96 {
			p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
		}
		g.allow = append(g.allow, p.Masked())
	}
	return g
}

// allowed reports whether addr is in a range that was allowed expressly.
func (g guard) allowed(addr netip.Addr) bool {
	addr = addr.WithZone("").Unmap()
	for _, p := range g.allow {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}

// check returns an *egressError unless addr is public or allowed. The addresses inside
// translated forms are checked in its place.
func (g guard) check(addr netip.Addr) error {
	plain := addr.WithZone("").Unmap()
	if g.allowed(plain) {
		return nil
	}
	for _, r := range reserved {
		if r.prefix.Contains(plain) {
			return &egressError{addr, r.what}
		}
	}
	if plain.Is4() {
		return nil
	}
	inside := embedded(plain)
	if len(inside) == 0 && !globalUnicast.Contains(plain) {
		return &egressError{addr, "not a global unicast address"}
	}
	for _, in := range append(inside, isatap(plain)...) {
		if err := g.check(in.addr); err != nil {
			return &egressError{addr, fmt.Sprintf("the %s form of %s, %s", in.form, in.addr, err.(*egressError).what)}
		}
	}
	return nil
}

// inner is an IPv4 address inside an IPv6 address, and what that form is called.
type inner struct {
	addr netip.Addr
	form string
}

// embedded returns the IPv4 addresses that an IPv6 address stands for.
func embedded(addr netip.Addr) []inner {
	b := addr.As16()
	var inside []inner
	for _, f := range forms {
		if !f.prefix.Contains(addr) {
			continue
		}
		for i, at := range f.at {
			v4 := [4]byte(b[at : at+4])
			if f.flip && i == len(f.at)-1 {
				for j := range v4 {
					v4[j] ^= 0xff
				}
			}
			inside = append(inside, inner{netip.AddrFrom4(v4), f.what})
		}
	}
	return inside
}

// isatap returns the IPv4 address in an interface identifier of RFC 5214, which may
// follow any prefix, that of another form too.
func isatap(addr netip.Addr) []inner {
	b := addr.As16()
	if (b[8] == 0 || b[8] == 2) && b[9] == 0 && b[10] == 0x5e && b[11] == 0xfe {
		return []inner{{netip.AddrFrom4([4]byte(b[12:16])), "ISATAP"}}
	}
	return nil
}
