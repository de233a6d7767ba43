package settings_test

import (
	"encoding/json"
	"testing"

	"github.com/tocsin-alerts/tocsin/integrations/internal/settings"
)

// read parses {"k": value} ("" for an absent one) and returns what a reader makes of it
// and the one problem, if any.
func read[T any](t *testing.T, value string, reader func(settings.Object, *settings.Problems) T) (T, string) {
	t.Helper()
	text := `{}`
	if value != "" {
		text = `{"k":` + value + `}`
	}
	o, err := settings.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	var p settings.Problems
	got := reader(o, &p)
	switch len(p) {
	case 0:
		return got, ""
	case 1:
		return got, p[0].Field + ": " + p[0].Message
	}
	t.Fatalf("%s: %d problems: %+v", value, len(p), p)
	return got, ""
}

func TestBool(t *testing.T) {
	for _, def := range []bool{true, false} {
		for _, row := range []struct {
			value   string
			want    bool
			problem string
		}{
			{"", def, ""},
			{"null", def, ""},
			{"true", true, ""},
			{"false", false, ""},
			{`"true"`, def, "config.k: want true or false, got a string"},
			{`""`, def, "config.k: want true or false, got a string"},
			{`1`, def, "config.k: want true or false, got a number"},
			{`{}`, def, "config.k: want true or false, got an object"},
		} {
			got, problem := read(t, row.value, func(o settings.Object, p *settings.Problems) bool { return o.Bool(p, "k", def) })
			if got != row.want || problem != row.problem {
				t.Errorf("%s, default %v: got %v %q, want %v %q", row.value, def, got, problem, row.want, row.problem)
			}
		}
	}
}

func TestInt(t *testing.T) {
	for _, row := range []struct {
		value   string
		want    int
		problem string
	}{
		{"", 0, ""},
		{"null", 0, ""},
		{"1", 1, ""},
		{"65535", 65535, ""},
		{"25.0", 25, ""},
		{"1e2", 100, ""},
		{"0", 0, "config.k: want a whole number from 1 to 65535, got 0"},
		{"65536", 0, "config.k: want a whole number from 1 to 65535, got 65536"},
		{"-1", 0, "config.k: want a whole number from 1 to 65535, got -1"},
		{"2.5", 0, "config.k: want a whole number from 1 to 65535, got a number with a fraction: 2.5"},
		{"1e400", 0, "config.k: want a whole number from 1 to 65535, got 1e400"},
		{`"25"`, 0, "config.k: want a whole number from 1 to 65535, got a string"},
		{`""`, 0, "config.k: want a whole number from 1 to 65535, got a string"},
		{"true", 0, "config.k: want a whole number from 1 to 65535, got true or false"},
		{"[1]", 0, "config.k: want a whole number from 1 to 65535, got a list"},
	} {
		got, problem := read(t, row.value, func(o settings.Object, p *settings.Problems) int { return o.Int(p, "k", 0, 1, 65535) })
		if got != row.want || problem != row.problem {
			t.Errorf("%s: got %d %q, want %d %q", row.value, got, problem, row.want, row.problem)
		}
	}
}

func TestChoice(t *testing.T) {
	for _, row := range []struct {
		value, want, problem string
	}{
		{"", "us", ""},
		{"null", "us", ""},
		{`""`, "us", ""},
		{`"eu"`, "eu", ""},
		{`"EU"`, "us", `config.k: is "EU"; allowed: us, eu`},
		{`1`, "us", "config.k: want a string, got a number"},
		{`["eu"]`, "us", "config.k: want a string, got a list"},
		{`"[redacted]"`, "us", "config.k: [redacted] stands for a stored secret, and there is none; give the value"},
	} {
		got, problem := read(t, row.value, func(o settings.Object, p *settings.Problems) string { return o.Choice(p, "k", "us", "us", "eu") })
		if got != row.want || problem != row.problem {
			t.Errorf("%s: got %q %q, want %q %q", row.value, got, problem, row.want, row.problem)
		}
	}
}

func TestHideURL(t *testing.T) {
	for value, want := range map[string]string{
		``: ``, `null`: `null`, `""`: `""`,
		`"https://h.example/p"`:          `"https://h.example/p"`,
		`"https://u:secret@h.example"`:   `"[redacted]"`,
		`"https://h.example?k=secret"`:   `"[redacted]"`,
		`"https://u:secret@[::1"`:        `"[redacted]"`,
		`"://secret"`:                    `"[redacted]"`,
		`{"secret":"https://h.example"}`: `"[redacted]"`,
	} {
		o := settings.Object{}
		if value != "" {
			o["k"] = []byte(value)
		}
		o.HideURL("k")
		if got := string(o["k"]); got != want {
			t.Errorf("%s: got %s, want %s", value, got, want)
		}
	}
}

// TestHideKeys: a certificate is shown, and a text with a private key in it is not, however
// it got there.
func TestHideKeys(t *testing.T) {
	const hidden = `"[redacted]"`
	for value, hide := range map[string]bool{
		`"-----BEGIN CERTIFICATE-----\nMII\n-----END CERTIFICATE-----"`: false, `""`: false, `null`: false, `7`: false, `"PUBLIC KEY"`: false,
		`"-----BEGIN CERTIFICATE-----\n-----BEGIN PRIVATE KEY-----\nMII"`: true,
		`"-----BEGIN RSA PRIVATE KEY-----"`:                               true, `"-----begin ec private key-----"`: true, `"\u0050RIVATE KEY"`: true,
		`["-----BEGIN PRIVATE KEY-----"]`: true, `{"a":["PRIVATE KEY"]}`: true,
	} {
		for _, key := range []string{"ca_cert", "client_cert"} {
			out, err := settings.Public(json.RawMessage(`{"`+key+`":`+value+`,"other":`+value+`}`), nil)
			want := `{"` + key + `":` + value + `,"other":` + value + `}`
			if hide {
				want = `{"` + key + `":` + hidden + `,"other":` + value + `}`
			}
			if err != nil || string(out) != want {
				t.Errorf("%s of %s: got %s (%v), want %s", key, value, out, err, want)
			}
		}
	}
}
