package tracecontext_test

import (
	"testing"

	"github.com/tocsin-alerts/tocsin/internal/tracecontext"
)

func TestTextAndBack(t *testing.T) {
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	sc := tracecontext.Parse(parent)
	if !sc.IsValid() || !sc.IsSampled() || !sc.IsRemote() {
		t.Fatalf("%s is %+v, want a sampled one from elsewhere", parent, sc)
	}
	if got := tracecontext.Format(sc); got != parent {
		t.Errorf("written it is %s, want %s", got, parent)
	}
	if sc := tracecontext.Parse("cc" + parent[2:] + "-more"); tracecontext.Format(sc) != parent {
		t.Errorf("of a later version it is %v, want what this version has of it", sc)
	}
}

func TestWhatIsNone(t *testing.T) {
	for name, text := range map[string]string{
		"nothing":            "",
		"a word":             "yes",
		"a trace of zeros":   "00-00000000000000000000000000000000-b7ad6b7169203331-01",
		"a span of zeros":    "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
		"upper case":         "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
		"the version ff":     "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
		"more in version 00": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x",
		"no hex in flags":    "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-zz",
		"other separators":   "00_0af7651916cd43dd8448eb211c80319c_b7ad6b7169203331_01",
	} {
		if sc := tracecontext.Parse(text); sc.IsValid() || tracecontext.Format(sc) != "" {
			t.Errorf("%s (%q) is %v, want none", name, text, sc)
		}
	}
}
