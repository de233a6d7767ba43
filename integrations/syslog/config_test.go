package syslog_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/integrations/integrationtest"
)

// TestWrongConfigurations: each error names the field and what is wrong.
func TestWrongConfigurations(t *testing.T) {
	id, other := newIdentity(t), newIdentity(t)
	c := channel(t, 0)
	for want, change := range map[string]map[string]any{
		`config.address: required; want host or host:port`:                                       {"address": ""},
		`config.address: want a string, got a number`:                                            {"address": 514},
		`config.address: cannot be read; want host, host:port or [IPv6 address]:port`:            {"address": "tcp://127.0.0.1"},
		`config.address: cannot be read; want host, host:port or [IPv6 address]:port#2`:          {"address": "user:pass@127.0.0.1:514"},
		`config.address: cannot be read; want host, host:port or [IPv6 address]:port#3`:          {"address": "::1"},
		`config.address: cannot be read; want host, host:port or [IPv6 address]:port#4`:          {"address": "127.0.0.1:"},
		`config.address: the port is not a number from 1 to 65535`:                               {"address": "127.0.0.1:65536"},
		`config.address: the port is not a number from 1 to 65535#2`:                             {"address": "127.0.0.1:0"},
		`config.address: 10.0.0.1 is a private address`:                                          {"address": "10.0.0.1"},
		`config.transport: is "relp"; allowed: tls, tcp, udp`:                                    {"transport": "relp"},
		`config.framing: is "octet"; allowed: octet-counting, newline`:                           {"framing": "octet"},
		`config.format: is "syslog"; allowed: json, cef, leef, ocsf, cloudevents`:                {"format": "syslog"},
		`config.facility: is "local8"; allowed: kern`:                                            {"facility": "local8"},
		`config.app_name: has 49 characters; at most 48 are allowed`:                             {"app_name": strings.Repeat("a", 49)},
		`config.app_name: is "my app"; allowed: ASCII letters, digits and signs, no spaces`:      {"app_name": "my app"},
		`config.hostname: is "h\n<1>1"; allowed`:                                                 {"hostname": "h\n<1>1"},
		`config.enterprise_number: want a whole number from 1 to 4294967295, got 0`:              {"enterprise_number": 0},
		`config.max_bytes: want a whole number from 1024 to 1048576, got 1023`:                   {"max_bytes": 1023},
		`config.max_bytes: want a whole number from 2048 to 1048576, got 2047`:                   {"max_bytes": 2047, "format": "ocsf"},
		`config.max_bytes: want a whole number from 1024 to 65507, got 65508`:                    {"max_bytes": 65508, "transport": "udp"},
		`config.bom: want true or false, got a string`:                                           {"bom": "yes"},
		`config.ca_cert: is for transport "tls", and the transport is "tcp"; leave it out`:       {"transport": "tcp", "ca_cert": id.cert},
		`config.client_key: is for transport "tls", and the transport is "udp"; leave it out`:    {"transport": "udp", "client_key": "k"},
		`config.ca_cert: the CA holds no certificate`:                                            {"ca_cert": "nothing"},
		`config.client_key: the client certificate and its key belong together; one is missing`:  {"client_cert": id.cert},
		`config.client_cert: the client certificate and its key belong together; one is missing`: {"client_key": id.key},
		`config.client_key: the client certificate and its key cannot be used together`:          {"client_cert": id.cert, "client_key": other.key},
		`config.client_key: [redacted] stands for a stored secret, and there is none`:            {"client_cert": id.cert, "client_key": tocsin.Redacted},
		`config.adress: unknown key; did you mean "address"?`:                                    {"adress": "x"},
	} {
		config := map[string]any{"address": "127.0.0.1:6514"}
		maps.Copy(config, change)
		want, _, _ = strings.Cut(want, "#")
		err := c.Validate(t.Context(), json.RawMessage(text(t, config)))
		var invalid *tocsin.Error
		if !errors.As(err, &invalid) || invalid.Code != tocsin.CodeInvalid || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: got %v, want %s", change, err, want)
		}
	}
}

// TestAddresses: without a port it is the transport's.
func TestAddresses(t *testing.T) {
	for _, row := range []struct{ address, transport, want string }{
		{"127.0.0.1", "tls", "syslog+tls://127.0.0.1:6514"},
		{"localhost", "tcp", "syslog+tcp://localhost:514"},
		{"localhost", "udp", "syslog+udp://localhost:514"},
		{"localhost:601", "tcp", "syslog+tcp://localhost:601"},
		{"[2606:4700::1111]", "tls", "syslog+tls://[2606:4700::1111]:6514"},
		{"[2606:4700::1111]:7", "tls", "syslog+tls://[2606:4700::1111]:7"},
	} {
		config := json.RawMessage(text(t, map[string]any{"address": row.address, "transport": row.transport}))
		c := channel(t, 0)
		if err := c.Validate(t.Context(), config); err != nil {
			t.Errorf("%+v: %v", row, err)
		}
		s, err := c.Open(config)
		if err != nil {
			t.Fatal(err)
		}
		x, err := s.Preview(t.Context(), integrationtest.Notify(integrationtest.Pick(t, "it-agent")...))
		if err != nil || x[0].URL != row.want {
			t.Errorf("%+v: %q, %v", row, x[0].URL, err)
		}
	}
}

// TestComplete writes down the defaults that do not depend on the transport.
func TestComplete(t *testing.T) {
	got, generated, err := channel(t, 0).Complete([]byte(`{"address":"r.example.com","format":"cef"}`))
	want := `{"address":"r.example.com","app_name":"tocsin","facility":"local0","format":"cef","framing":"octet-counting","transport":"tls"}`
	if diff := cmp.Diff(want, string(got)); diff != "" || err != nil || generated != nil {
		t.Errorf("%v, %q (-want +got):\n%s", err, generated, diff)
	}
}

// TestPublicHidesAnAddressThatIsNone: it may hold a password.
func TestPublicHidesAnAddressThatIsNone(t *testing.T) {
	got, err := channel(t, 0).Public([]byte(`{"address":"user:passw0rd@r.example.com"}`))
	if err != nil || bytes.Contains(got, []byte("passw0rd")) {
		t.Errorf("%s, %v", got, err)
	}
}

// TestNoKeyIsPublic: the key in front of or behind its certificate, as many programs want it
// in one file, is refused and not shown.
func TestNoKeyIsPublic(t *testing.T) {
	id := newIdentity(t)
	for _, key := range []string{"ca_cert", "client_cert"} {
		for _, combined := range []string{id.cert + id.key, id.key + id.cert} {
			config := map[string]any{"address": "127.0.0.1:6514", "client_cert": id.cert, "client_key": id.key, "ca_cert": id.cert}
			config[key] = combined
			raw := json.RawMessage(text(t, config))
			err := channel(t, 0).Validate(t.Context(), raw)
			if err == nil || !strings.Contains(err.Error(), "config."+key+": ") || !strings.Contains(err.Error(), "private key, which does not belong there") || strings.Contains(err.Error(), "BEGIN PRIVATE") {
				t.Errorf("%s: %v", key, err)
			}
			public, err := channel(t, 0).Public(raw)
			if err != nil || strings.Contains(string(public), "PRIVATE KEY") || !strings.Contains(string(public), "BEGIN CERTIFICATE") {
				t.Errorf("%s: shown: %s (%v)", key, public, err)
			}
		}
	}
}
