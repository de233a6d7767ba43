package post_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/integrations/internal/post"
)

// names is a resolver that knows only these.
type names map[string][]string

func (n names) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	var out []netip.Addr
	for _, a := range n[host] {
		out = append(out, netip.MustParseAddr(a))
	}
	if out == nil {
		return nil, errors.New("no such host")
	}
	return out, nil
}

func TestCheckURL(t *testing.T) {
	c := post.New(post.Options{Resolver: names{
		"public.example": {"8.8.8.8", "2606:4700::1111"}, "private.example": {"10.1.2.3"}, "mixed.example": {"8.8.8.8", "192.168.0.1"},
		"v6.example": {"fd12::1"}, "mapped.example": {"::ffff:127.0.0.1"}, "nat64.example": {"64:ff9b::7f00:1"}, "xn--bcher-kva.example": {"172.16.0.9"},
	}})
	defer c.Close()
	for url, want := range map[string]string{ // "": allowed
		"https://public.example/hook":     "",
		"http://public.example:8080/hook": "",
		"https://8.8.8.8/":                "",
		"https://[2606:4700::1111]/":      "",
		"https://[64:ff9b::8.8.8.8]/":     "", // DNS64's form of a public address
		"https://[2002:808:808::1]/":      "", // 6to4's
		"https://unknown.example/":        "", // checked again at send

		"http://127.0.0.1/":                "loopback",
		"http://127.8.9.10:9000/":          "loopback",
		"http://localhost/":                "loopback",
		"http://LOCALHOST./":               "loopback",
		"http://api.localhost/":            "loopback",
		"http://10.0.0.1/":                 "private",
		"http://172.16.0.1/":               "private",
		"http://172.31.255.255/":           "private",
		"http://192.168.1.1/":              "private",
		"http://169.254.1.1/":              "link-local",
		"http://169.254.169.254/latest":    "metadata",
		"http://169.254.170.2/":            "metadata",
		"http://[fd00:ec2::254]/":          "metadata",
		"http://100.100.100.200/":          "metadata",
		"http://168.63.129.16/":            "metadata",
		"http://100.64.0.1/":               "carrier-grade",
		"http://0.0.0.0/":                  "unspecified",
		"http://0.1.2.3/":                  "unspecified",
		"http://[::]/":                     "unspecified",
		"http://[::1]/":                    "loopback",
		"http://192.0.0.8/":                "protocol assignments",
		"http://192.0.2.1/":                "documentation",
		"http://198.51.100.1/":             "documentation",
		"http://203.0.113.1/":              "documentation",
		"http://198.18.0.1/":               "benchmarking",
		"http://192.88.99.1/":              "6to4 relay",
		"http://224.0.0.1/":                "multicast",
		"http://255.255.255.255/":          "reserved",
		"http://240.0.0.1/":                "reserved",
		"http://[::ffff:127.0.0.1]/":       "loopback",
		"http://[::ffff:7f00:1]/":          "loopback",
		"http://[0:0:0:0:0:ffff:10.0.0.1]": "private",
		"http://[::127.0.0.1]/":            "IPv4-compatible",
		"http://[::ffff:0:127.0.0.1]/":     "IPv4-translated",
		"http://[64:ff9b::127.0.0.1]/":     "NAT64",
		"http://[64:ff9b::a9fe:a9fe]/":     "metadata",
		"http://[64:ff9b:1::1]/":           "NAT64",
		"http://[2002:7f00:1::]/":          "6to4",
		"http://[2002:c0a8:101::1]/":       "6to4",
		// Teredo: the client's address is inverted, 0x80ffff fe is 127.0.0.1.
		"http://[2001:0:808:808:0:0:80ff:fffe]/": "Teredo",
		"http://[2001:0:a00:1:0:0:f7f7:f7f7]/":   "Teredo",
		"http://[2606:4700::5efe:10.0.0.1]/":     "ISATAP",
		"http://[2606:4700::200:5efe:a00:1]/":    "ISATAP",
		"http://[fe80::1]/":                      "link-local",
		"http://[fe80::1%25eth0]/":               "link-local",
		"http://[fc00::1]/":                      "private",
		"http://[fd12:3456::1]/":                 "private",
		"http://[fec0::1]/":                      "site-local",
		"http://[ff02::1]/":                      "multicast",
		"http://[2001:db8::1]/":                  "documentation",
		"http://[3fff::1]/":                      "documentation",
		"http://[100::1]/":                       "discard",
		"http://[5f00::1]/":                      "segment routing",
		"http://[4000::1]/":                      "not a global unicast",

		"http://2130706433/":            "another spelling of 127.0.0.1",
		"http://0x7f000001/":            "another spelling of 127.0.0.1",
		"http://0x7f.1/":                "another spelling of 127.0.0.1",
		"http://0177.0.0.1/":            "another spelling of 127.0.0.1",
		"http://127.1/":                 "another spelling of 127.0.0.1",
		"http://127.0.1/":               "another spelling of 127.0.0.1",
		"http://017700000001/":          "another spelling of 127.0.0.1",
		"http://0/":                     "another spelling of 0.0.0.0",
		"http://127.0.0.1./":            "another spelling of 127.0.0.1",
		"http://127。0。0。1/":             "another spelling of 127.0.0.1",
		"http://１２７.０.０.１/":             "another spelling of 127.0.0.1",
		"http://①②⑦.0.0.1/":             "another spelling of 127.0.0.1",
		"http://256.0.0.1/":             "neither a name nor an IP address",
		"http://1.2.3.4.5/":             "neither a name nor an IP address",
		"http://09.1/":                  "neither a name nor an IP address",
		"http://99999999999999999999/":  "neither a name nor an IP address",
		"https://private.example/":      "private.example resolves to 10.1.2.3",
		"https://mixed.example/":        "192.168.0.1 is a private",
		"https://v6.example/":           "private",
		"https://mapped.example/":       "loopback",
		"https://nat64.example/":        "NAT64",
		"https://bücher.example/":       "private",
		"ftp://public.example/":         `"ftp"; allowed: https, http`,
		"file:///etc/passwd":            `"file"`,
		"gopher://public.example/":      `"gopher"`,
		"//public.example/":             "no scheme",
		"public.example/hook":           "no scheme",
		"https:public.example":          "no host",
		"https:///hook":                 "no host",
		"https://:443/":                 "no host",
		"https://u:p@public.example/":   "credentials",
		"https://u@public.example/":     "credentials",
		"https://public.example:0/":     "port",
		"https://public.example:65536/": "port",
		"https://public.example:/":      "port",
		"https://public.example/#x":     "fragment",
		"https://public.example/ x":     "space",
		"https://public.example\\@h/":   "backslash",
		"https://public.example/\r\nX:": "control character",
		"":                              "empty",
		"https://[::1":                  "cannot be read",
		"https://" + strings.Repeat("a", 9000) + ".example/": "at most 8192",
	} {
		err := c.CheckURL(t.Context(), url)
		switch {
		case want == "" && err != nil:
			t.Errorf("%.80s: %v, want it allowed", url, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%.80s: got %v, want an error with %q", url, err, want)
		}
	}
}

func TestCheckURLAllowed(t *testing.T) {
	c := post.New(post.Options{AllowCIDRs: []netip.Prefix{
		netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("::ffff:127.0.0.0/104"), netip.MustParsePrefix("fd00:1::/32")}})
	defer c.Close()
	for url, allowed := range map[string]bool{
		"http://10.1.2.3/": true, "http://10.2.0.1/": false, "http://127.0.0.1/": true, "http://localhost/": true,
		"http://[fd00:1::5]/": true, "http://[fd00:2::5]/": false, "http://[64:ff9b::10.1.2.3]/": true, "http://[64:ff9b::10.2.2.3]/": false,
		"http://[::ffff:10.1.2.3]/": true,
	} {
		if err := c.CheckURL(t.Context(), url); (err == nil) != allowed {
			t.Errorf("%s: got %v, want allowed %v", url, err, allowed)
		}
	}
	for url, allowed := range map[string]bool{
		"http://127.0.0.1/services/x": true, "https://8.8.8.8/x": true, "http://8.8.8.8/x": false, "http://unknown.invalid/x": false,
	} {
		if err := c.CheckSecureURL(t.Context(), url); (err == nil) != allowed {
			t.Errorf("secure %s: got %v, want allowed %v", url, err, allowed)
		}
	}
}

// TestCheckAtSend: a secret goes over plain http, however that is spelled, only to where it
// is expressly allowed; https is left to the look-up that every request makes.
func TestCheckAtSend(t *testing.T) {
	c := post.New(post.Options{AllowCIDRs: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")}})
	defer c.Close()
	for url, allowed := range map[string]bool{
		"http://10.1.2.3/x": true, "HTTP://10.1.2.3/x": true, "https://8.8.8.8/x": true, "HttpS://8.8.8.8/x": true, "https://10.2.0.1/x": true,
		"http://8.8.8.8/topsecret": false, "HTTP://8.8.8.8/topsecret": false, "hTtP://10.2.0.1/topsecret": false,
		" http://10.1.2.3/topsecret": false, "topsecret": false,
	} {
		err := c.CheckAtSend(t.Context(), url)
		if (err == nil) != allowed {
			t.Errorf("%s: got %v, want allowed %v", url, err, allowed)
		}
		if err != nil && (tocsin.Classify(err).Fault != tocsin.FaultWebhook || class(err) != "egress" || strings.Contains(err.Error(), "topsecret")) {
			t.Errorf("%s: got %v (%s), want a refusal of the class egress without the URL", url, err, class(err))
		}
	}
	// A host that nobody knows now may be known again soon.
	err := c.CheckAtSend(t.Context(), "http://unknown.invalid/topsecret")
	if f := tocsin.Classify(err); err == nil || f.Fault != tocsin.FaultRetry || f.Unsure || class(err) != "dns" || strings.Contains(err.Error(), "topsecret") {
		t.Errorf("an unknown host: got %v (%s), want something to retry", err, class(err))
	}
}

// turncoat answers a public address first and a loopback one afterwards.
type turncoat struct{ asked atomic.Int32 }

func (r *turncoat) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	if r.asked.Add(1) == 1 {
		return []netip.Addr{netip.MustParseAddr("8.8.8.8")}, nil
	}
	return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
}

func TestRebinding(t *testing.T) {
	var hits atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { hits.Add(1) }))
	defer server.Close()
	c := post.New(post.Options{Resolver: &turncoat{}})
	defer c.Close()
	_, port, _ := strings.Cut(strings.TrimPrefix(server.URL, "http://"), ":")
	url := "http://turncoat.example:" + port + "/"
	if err := c.CheckURL(t.Context(), url); err != nil {
		t.Fatalf("at save: %v", err)
	}
	_, err := c.Do(t.Context(), post.Request{Method: "POST", URL: url})
	if tocsin.Classify(err).Fault != tocsin.FaultWebhook || hits.Load() != 0 {
		t.Errorf("at send: got %v and %d hits, want a refusal and none", err, hits.Load())
	}
}
