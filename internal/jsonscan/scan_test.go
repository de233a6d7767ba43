package jsonscan_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/tocsin-alerts/tocsin/internal/jsonscan"
)

// Texts are looked at eight bytes at a time: every byte must be seen at every place, with
// others like it before and after.
func TestScanSeesEveryByteAtEveryPlace(t *testing.T) {
	for c := range 256 {
		for place := range 20 {
			inside := []byte(strings.Repeat("\x80", 20))
			inside[place] = byte(c)
			if place > 0 {
				inside[place-1] = byte(c) ^ 0x80
			}
			text := `"` + string(inside) + `"`
			s := jsonscan.Scanner{Buf: []byte(text)}
			raw, escaped, err := s.Scan()
			wantRaw, wantEscaped, wantErr := scan([]byte(text))
			if string(raw) != wantRaw || escaped != wantEscaped || (err != nil) != wantErr {
				t.Fatalf("%q: got %q, %v, %v; want %q, %v, error %v", text, raw, escaped, err, wantRaw, wantEscaped, wantErr)
			}
		}
	}
}

// scan is Scan, byte by byte, for texts whose escapes are all wrong.
func scan(text []byte) (raw string, escaped, failed bool) {
	for i := 1; i < len(text); i++ {
		switch c := text[i]; {
		case c == '"':
			return string(text[:i+1]), false, false
		case c < 0x20 || c == '\\':
			return "", false, true
		}
	}
	return "", false, true
}

func TestTextsArePartsOfText(t *testing.T) {
	const body = `{"a":"one","b\u0062":"t\u0077o"}`
	for _, text := range []string{"", body} {
		s := jsonscan.Scanner{Buf: []byte(body), Text: text}
		var got []string
		err := s.Object(func(name []byte) error {
			key := s.Name(name)
			value, err := s.ReadText()
			got = append(got, key, value)
			return err
		})
		if want := "[a one bb two]"; err != nil || fmt.Sprint(got) != want {
			t.Errorf("got %v, %v; want %s", got, err, want)
		}
	}
}

func TestDepthIsBounded(t *testing.T) {
	for _, row := range []struct {
		depth int
		ok    bool
	}{{jsonscan.MaxDepth, true}, {jsonscan.MaxDepth + 1, false}} {
		for _, brackets := range []string{"[]", `{"a":}`} {
			open, end := brackets[:len(brackets)-1], brackets[len(brackets)-1:]
			s := jsonscan.Scanner{Buf: []byte(strings.Repeat(open, row.depth) + "1" + strings.Repeat(end, row.depth))}
			if _, err := s.Value(0); (err == nil) != row.ok {
				t.Errorf("%d deep: %v", row.depth, err)
			}
		}
	}
}

// FuzzValue holds the scanner against encoding/json, which takes what the scanner takes,
// and all else but numbers out of range and deep nesting.
func FuzzValue(f *testing.F) {
	for _, seed := range []string{
		`{"a":[1,-2.5e3,true,false,null,"x\u00e9\n"],"b":{}}`, `[]`, `"12345678\"1234567"`, `1e999`, `01`, `-`, `"\ud800"`, `{"a":1,}`, `[1 2]`, "\"\x01\"", `nul`, `"\x"`, ` 1 `, `1.`, `{"a"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		s := jsonscan.Scanner{Buf: text}
		raw, err := s.Value(0)
		ok := err == nil && s.Peek() == 0 && s.Pos == len(text)
		switch valid := json.Valid(text); {
		case ok && !valid:
			t.Fatalf("%q is not JSON", text)
		case ok && string(raw) != strings.Trim(string(text), " \t\r\n"):
			t.Fatalf("%q: got %q", text, raw)
		case !ok && valid && !strings.Contains(err.Error(), "64-bit") && !strings.Contains(err.Error(), "deeper"):
			t.Fatalf("%q is JSON: %v", text, err)
		}
	})
}
