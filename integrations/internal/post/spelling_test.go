package post_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/integrations/internal/post"
)

// loopbackHosts are ways to write this machine, some of which only some resolver,
// browser or library reads as it.
var loopbackHosts = []string{
	"127.0.0.1", "127.0.0.2", "127.1", "127.0.1", "127.255.255.254", "2130706433", "017700000001", "0x7f000001", "0x7F000001", "0X7f000001",
	"0x7f.0x0.0x0.0x1", "0x7f.1", "0177.0.0.1", "0177.1", "0177.0.0.0x1", "00000000177.0.0.1", "0x000000000000000000007f.1", "127.0.0.0x1",
	"127.0.00.01", "127.0.0.1.", "127.1.", "127.0.0.1..", ".127.0.0.1", "127..0.1", "0x17f000001", "4294967296", "18446744075840258049",
	"127。0。0。1", "127．0．0．1", "127｡0｡0｡1", "１２７.0.0.1", "①②⑦.⓪.⓪.①", "127.0.0.1\u200b", "127.0.0\u00ad.1", "１２７。１", "0ｘ7f.1",
	"%31%32%37.0.0.1", "127%2e0%2e0%2e1", "127.0.0.1%00", "127.0.0.1%20", "127.0.0.1%2f@8.8.8.8",
	"localhost", "LOCALHOST", "localhost.", "a.b.localhost", "ⓛⓞⓒⓐⓛⓗⓞⓢⓣ", "ｌｏｃａｌｈｏｓｔ", "loc\u00adalhost", "localhost。",
	"0", "0.0.0.0", "0x0", "00", "0.0", "[::]", "[::1]", "[0:0:0:0:0:0:0:1]", "[0000::0001]", "[::0.0.0.1]", "[::1%25lo]", "[::1%25]", "[::%25eth0]", "[::1%lo]",
	"[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[0:0:0:0:0:ffff:127.0.0.1]", "[::FFFF:7F00:0001]", "[::ffff:127.0.0.1%25lo]", "[::ffff:0:0]",
	"[::127.0.0.1]", "[::7f00:1]", "[::ffff:0:127.0.0.1]", "[64:ff9b::127.0.0.1]", "[64:ff9b::7f00:1]", "[64:FF9B:0:0:0:0:7F00:1]", "[64:ff9b:1::7f00:1]",
	"[64:ff9b:1:fffe::127.0.0.1]", "[2002:7f00:1::]", "[2002:7f00:0001::1]", "[2001:0:7f00:1::]", "[2001::80ff:fffe]", "[2606:4700::5efe:127.0.0.1]",
	"[2606:4700::200:5efe:127.0.0.1]", "[2002:808:808::5efe:7f00:1]", "user@127.0.0.1", "8.8.8.8@127.0.0.1", "8.8.8.8:80@127.0.0.1", "8.8.8.8%40127.0.0.1",
	"127.0.0.1\\@8.8.8.8", "127.0.0.1\t", "[127.0.0.1]", "[::1", "::1",
}

// otherHosts are addresses that are nobody's business, by kind.
var otherHosts = []string{
	"10.0.0.1", "10.255.255.255", "0x0a.1", "012.0.0.1", "167772161", "172.16.0.1", "172.31.255.255", "192.168.0.1", "192.168.257", "0xc0a80001", "[fc00::1]", "[fdff::1]",
	"169.254.0.1", "[fe80::1]", "[fe80::1%25eth0]", "[fe80::a9fe:a9fe%25en0]", "[fec0::1]", "100.64.0.1", "100.127.255.255", "0x64.0x40.0.1",
	// Metadata services.
	"169.254.169.254", "2852039166", "0xa9fea9fe", "0251.0376.0251.0376", "0xa9.0xfe.0xa9.0xfe", "169.254.43518", "[::ffff:169.254.169.254]", "[64:ff9b::a9fe:a9fe]",
	"[2002:a9fe:a9fe::]", "169.254.170.2", "169.254.170.23", "100.100.100.200", "168.63.129.16", "192.0.0.192", "[fd00:ec2::254]", "[fd00:ec2::23]", "[fd20:ce::254]",
	"metadata.google.internal", "metadata", "instance-data", "metadata.v6.example",
	// Special purposes.
	"192.0.0.1", "192.0.2.1", "198.51.100.1", "203.0.113.1", "192.88.99.1", "198.18.0.1", "198.19.255.255", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255",
	"4294967295", "0xffffffff", "[ff02::1]", "[ff0e::1]", "[100::1]", "[100:0:0:1::1]", "[2001:db8::1]", "[3fff::1]", "[2001:2::1]", "[2001:10::1]", "[2001:20::1]", "[2001:30::1]",
	"[2001:1::1]", "[5f00::1]", "[4000::1]", "[1::1]", "[e000::1]", "[64:ff9a::1]",
	// Names.
	"private.example", "mixed.example", "mapped.example", "zoned.example", "nat64.example", "sixtofour.example", "xn--bcher-kva.example", "BÜCHER.example",
}

// insiders resolves names of the table to what they must not reach.
var insiders = names{
	"metadata.google.internal": {"169.254.169.254"}, "metadata": {"169.254.169.254"}, "instance-data": {"169.254.169.254"}, "metadata.v6.example": {"fd00:ec2::254"},
	"private.example": {"10.0.0.7"}, "mixed.example": {"8.8.8.8", "10.0.0.7"}, "mapped.example": {"::ffff:127.0.0.1"}, "zoned.example": {"fe80::1%lo"},
	"nat64.example": {"64:ff9b::7f00:1"}, "sixtofour.example": {"2002:7f00:1::"}, "xn--bcher-kva.example": {"172.16.0.9"},
}

// TestForbiddenSpellings holds saving and sending to the same table. A server listens on
// this machine: it must not hear of any of them, nor anything be dialled.
func TestForbiddenSpellings(t *testing.T) {
	var hits atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { hits.Add(1) }))
	defer server.Close()
	_, port, _ := net.SplitHostPort(server.Listener.Addr().String())
	c := post.New(post.Options{Resolver: insiders})
	defer c.Close()
	if n := len(loopbackHosts) + len(otherHosts); n < 60 {
		t.Fatalf("%d spellings", n)
	}
	for _, host := range append(append([]string{}, loopbackHosts...), otherHosts...) {
		for _, scheme := range []string{"http", "https"} {
			url := scheme + "://" + host + ":" + port + "/hook"
			if err := c.CheckURL(t.Context(), url); err == nil {
				t.Errorf("%q may be saved", url)
			}
			res, err := c.Do(t.Context(), post.Request{Method: "POST", URL: url})
			if s := tocsin.Classify(err); err == nil || s.Fault != tocsin.FaultWebhook || s.Unsure || class(err) != post.ClassEgress && class(err) != post.ClassInternal {
				t.Errorf("%q: sending: got %v of class %q (%+v), want a refusal by egress", url, err, class(err), s)
			}
			if res.Exchange.RemoteAddr != "" {
				t.Errorf("%q was dialled at %s", url, res.Exchange.RemoteAddr)
			}
		}
	}
	if hits.Load() != 0 {
		t.Errorf("%d requests arrived", hits.Load())
	}
}

// TestUserInfoIsNoHost: what stands before @ is not where it goes, and what stands
// after ? is not either.
func TestUserInfoIsNoHost(t *testing.T) {
	c := post.New(post.Options{})
	defer c.Close()
	for url, allowed := range map[string]bool{
		"http://8.8.8.8?@127.0.0.1/": true, "http://8.8.8.8/@127.0.0.1/": true, "http://8.8.8.8/?http://127.0.0.1/": true,
		"http://127.0.0.1?@8.8.8.8/": false, "http://127.0.0.1/@8.8.8.8": false, "http://8.8.8.8#@127.0.0.1/": false, "http:127.0.0.1": false,
		"http:/127.0.0.1/": false, "http:///127.0.0.1/": false, "////127.0.0.1/": false, "HTTP://127.0.0.1/": false, "http://127.0.0.1:80:80/": false,
		"jar:http://127.0.0.1!/": false, "http://[::1]:80:80/": false, "http://[::1]x/": false, "http://[8.8.8.8]/": false,
	} {
		if err := c.CheckURL(t.Context(), url); (err == nil) != allowed {
			t.Errorf("%s: got %v, want allowed %v", url, err, allowed)
		}
	}
}

// TestAllowListAtDial sends to one address of this machine with lists that name it, or
// a neighbour.
func TestAllowListAtDial(t *testing.T) {
	var hits atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { hits.Add(1) }))
	defer server.Close()
	_, port, _ := net.SplitHostPort(server.Listener.Addr().String())
	for _, row := range []struct {
		allow, host string
		want        bool
	}{
		{"127.0.0.1/32", "127.0.0.1", true}, {"127.0.0.0/8", "127.0.0.1", true}, {"::ffff:127.0.0.1/128", "127.0.0.1", true},
		{"127.0.0.1/32", "localhost", true}, {"127.0.0.1/32", "named.example", true}, {"127.0.0.1/32", "[::ffff:127.0.0.1]", true},
		{"127.0.0.1/32", "127.0.0.2", false}, {"127.0.0.2/32", "127.0.0.1", false}, {"10.0.0.0/8", "127.0.0.1", false},
		{"::1/128", "127.0.0.1", false}, {"::/0", "127.0.0.1", false}, {"10.0.0.0/8", "named.example", false}, {"127.0.0.1/32", "both.example", false},
		{"127.0.0.1/32", "127.1", false}, {"127.0.0.1/32", "2130706433", false},
	} {
		c := post.New(post.Options{AllowCIDRs: []netip.Prefix{netip.MustParsePrefix(row.allow)},
			Resolver: names{"named.example": {"127.0.0.1"}, "both.example": {"127.0.0.1", "10.0.0.7"}}})
		url := "http://" + row.host + ":" + port + "/"
		before := hits.Load()
		saved := c.CheckURL(t.Context(), url)
		_, err := c.Do(t.Context(), post.Request{Method: "POST", URL: url})
		c.Close()
		if arrived := hits.Load() > before; (saved == nil) != row.want || (err == nil) != row.want || arrived != row.want {
			t.Errorf("%s allowed, %s: saving: %v; sending: %v; arrived: %v; want %v", row.allow, row.host, saved, err, arrived, row.want)
		}
	}
}

// flicker answers public addresses with a private one among them, each time another.
type flicker struct{ asked atomic.Int32 }

func (r *flicker) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	if r.asked.Add(1)%2 == 1 {
		return []netip.Addr{netip.MustParseAddr("8.8.8.8"), netip.MustParseAddr("1.1.1.1")}, nil
	}
	return []netip.Addr{netip.MustParseAddr("8.8.8.8"), netip.MustParseAddr("127.0.0.1")}, nil
}

// TestRebindingAmongPublicAddresses: one private address spoils all the others.
func TestRebindingAmongPublicAddresses(t *testing.T) {
	c := post.New(post.Options{Resolver: &flicker{}})
	defer c.Close()
	if err := c.CheckURL(t.Context(), "http://flicker.example/"); err != nil {
		t.Fatalf("at save: %v", err)
	}
	res, err := c.Do(t.Context(), post.Request{Method: "POST", URL: "http://flicker.example/"})
	if class(err) != post.ClassEgress || res.Exchange.RemoteAddr != "" {
		t.Errorf("at send: got %v, dialled %q", err, res.Exchange.RemoteAddr)
	}
}

// TestRedirectsToForbiddenAddresses: none is followed, wherever it leads.
func TestRedirectsToForbiddenAddresses(t *testing.T) {
	var location string
	var hits atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		hits.Add(1)
		w.Header().Set("Location", location)
		w.WriteHeader(http.StatusTemporaryRedirect)
	}))
	defer server.Close()
	c := post.New(post.Options{AllowCIDRs: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}})
	defer c.Close()
	for i, to := range []string{"http://169.254.169.254/latest/meta-data/", "http://[::1]/", "//127.0.0.2/", server.URL, "file:///etc/passwd", "http://[broken"} {
		location = to
		res, err := c.Do(t.Context(), post.Request{Method: "POST", URL: server.URL})
		if err == nil {
			err = post.Classify(res.Status, res.Header, res.Exchange.ResponseBody)
		}
		if tocsin.Classify(err).Fault != tocsin.FaultWebhook || !strings.Contains(errors.Unwrap(err).Error(), "redirects are not followed") || int(hits.Load()) != i+1 {
			t.Errorf("to %s: got %v and %d requests, want a refusal and %d", location, err, hits.Load(), i+1)
		}
	}
}
