package post_test

import (
	"context"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-alerts/tocsin/integrations/internal/post"
)

// FuzzRetryAfter holds the header to its bounds: never negative, never more than a week,
// and digits mean what they say.
func FuzzRetryAfter(f *testing.F) {
	for _, text := range []string{"", "0", "2", " 120 ", "604800", "604801", "-1", "-18446744073", "+5", "1.5", "1e3", "0x10", "99999999999999999999", "soon",
		"Mon, 02 Mar 2026 08:05:00 GMT", "Monday, 02-Mar-26 08:05:00 GMT", "Mon Mar  2 08:05:00 2026", "Fri, 31 Dec 9999 23:59:59 GMT", "Mon, 01 Jan 0001 00:00:00 GMT"} {
		f.Add(text, "")
		f.Add(text, "Mon, 02 Mar 2026 08:00:00 GMT")
	}
	const week = 7 * 24 * time.Hour
	now := time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, text, date string) {
		got := post.RetryAfter(http.Header{"Retry-After": {text}, "Date": {date}}, now)
		if got < 0 || got > week {
			t.Errorf("%q: %s", text, got)
		}
		text = strings.TrimSpace(text)
		if text == "" || strings.Trim(text, "0123456789") != "" {
			if _, err := http.ParseTime(text); err != nil && got != 0 {
				t.Errorf("%q is neither seconds nor a date, and gives %s", text, got)
			}
			return
		}
		want := time.Duration(0)
		if n, err := strconv.ParseUint(text, 10, 64); err == nil && n <= uint64(week/time.Second) {
			want = time.Duration(n) * time.Second
		}
		if got != want {
			t.Errorf("%q: got %s, want %s", text, got, want)
		}
	})
}

// asked is a resolver that knows every name as public, and remembers what it was asked.
type asked struct{ names []string }

func (r *asked) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	r.names = append(r.names, host)
	return []netip.Addr{netip.MustParseAddr("8.8.8.8")}, nil
}

// public is another opinion about addresses, by net/netip's words and the first bytes.
func public(a netip.Addr) bool {
	if a = a.WithZone("").Unmap(); a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast() || a.IsMulticast() || a.IsUnspecified() {
		return false
	}
	if a.Is4() {
		b := a.As4()
		return b[0] != 0 && b[0] < 224 && !(b[0] == 100 && b[1]&0xc0 == 64) && !(b[0] == 192 && b[1] == 0 && b[2] == 0) && !(b[0] == 198 && b[1]&0xfe == 18) &&
			a != netip.AddrFrom4([4]byte{168, 63, 129, 16})
	}
	b := a.As16()
	at := func(i int) netip.Addr { return netip.AddrFrom4([4]byte(b[i : i+4])) }
	switch {
	case netip.MustParsePrefix("64:ff9b::/96").Contains(a), netip.MustParsePrefix("::/96").Contains(a), netip.MustParsePrefix("::ffff:0:0:0/96").Contains(a):
		return public(at(12))
	case b[0] == 0x20 && b[1] == 0x02:
		return public(at(2))
	}
	return b[0]&0xe0 == 0x20
}

// loose reads a name as the most lenient of resolvers does: one to four numbers in any
// base.
func loose(name string) bool {
	parts := strings.Split(strings.TrimSuffix(name, "."), ".")
	if len(parts) > 4 {
		return false
	}
	for _, p := range parts {
		if strings.ContainsAny(p, "_bBoO") && !strings.HasPrefix(strings.ToLower(p), "0x") || strings.Contains(p, "_") {
			return false // Go's spellings of numbers, which no resolver knows
		}
		if _, err := strconv.ParseUint(p, 0, 64); err != nil {
			return false
		}
	}
	return true
}

// FuzzEgressAddress looks for a URL that may be saved and leads where it must not.
func FuzzEgressAddress(f *testing.F) {
	for _, host := range append(append([]string{"8.8.8.8", "public.example", "[2606:4700::1111]", "[64:ff9b::8.8.8.8]"}, loopbackHosts...), otherHosts...) {
		f.Add("http://" + host + "/hook")
		f.Add("https://" + host + ":8443/?a=b")
	}
	f.Fuzz(func(t *testing.T, raw string) {
		resolver := &asked{}
		c := post.New(post.Options{Resolver: resolver})
		defer c.Close()
		if c.CheckURL(t.Context(), raw) != nil {
			return
		}
		u, err := url.Parse(raw)
		if err != nil || u.User != nil || u.Scheme != "http" && u.Scheme != "https" {
			t.Fatalf("%q was taken: %v", raw, err)
		}
		if addr, err := netip.ParseAddr(u.Hostname()); err == nil {
			if !public(addr) {
				t.Errorf("%q was taken: %s is not public", raw, addr)
			}
			return
		}
		if len(resolver.names) == 0 {
			t.Errorf("%q was taken, and nobody looked at where it leads", raw)
		}
		for _, name := range resolver.names {
			if _, err := netip.ParseAddr(name); err == nil || loose(name) || name == "localhost" || strings.HasSuffix(name, ".localhost") {
				t.Errorf("%q was taken: %q is an address, or this machine", raw, name)
			}
		}
	})
}

// FuzzEgressBytes does the same for addresses by their bytes, as literals and as what a
// name resolves to.
func FuzzEgressBytes(f *testing.F) {
	for _, text := range []string{"8.8.8.8", "127.0.0.1", "::1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "2001::80ff:fffe", "2002:808:808::5efe:7f00:1", "fd00::1", "2606:4700::1"} {
		b := netip.MustParseAddr(text).AsSlice()
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		addr, ok := netip.AddrFromSlice(b)
		if !ok {
			return
		}
		c := post.New(post.Options{Resolver: names{"name.example": {addr.String()}}})
		defer c.Close()
		host := addr.String()
		if addr.Is6() {
			host = "[" + host + "]"
		}
		literal, named := c.CheckURL(t.Context(), "http://"+host+"/"), c.CheckURL(t.Context(), "http://name.example/")
		if (literal == nil) != (named == nil) {
			t.Errorf("%s: as a literal: %v; by name: %v", addr, literal, named)
		}
		if literal == nil && !public(addr) {
			t.Errorf("%s was taken", addr)
		}
	})
}
