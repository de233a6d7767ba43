package format_test

import (
	"fmt"
	"strings"
	"unicode"
)

// The parsers here are strict readings of the formats' documents, written without a look
// at the code that writes. They take nothing on faith: an escape they do not know, a
// second value for a key, or a control character is an error.

// parseCEF reads a line of CEF version 0: the seven fields of the header, and the extension.
func parseCEF(text string) (header []string, extension map[string]string, err error) {
	if err := noControls(text); err != nil {
		return nil, nil, err
	}
	rest, ok := strings.CutPrefix(text, "CEF:")
	if !ok {
		return nil, nil, fmt.Errorf("does not begin with CEF:")
	}
	var field strings.Builder
	at := 0
	for ; at < len(rest) && len(header) < 7; at++ {
		switch c := rest[at]; c {
		case '|':
			header = append(header, field.String())
			field.Reset()
		case '\\':
			at++
			if at == len(rest) || rest[at] != '\\' && rest[at] != '|' {
				return nil, nil, fmt.Errorf("a header has an escape of something else than \\ and |")
			}
			field.WriteByte(rest[at])
		default:
			field.WriteByte(c)
		}
	}
	if len(header) != 7 {
		return nil, nil, fmt.Errorf("%d fields in the header", len(header))
	}
	extension, err = parseExtension(rest[at:])
	return header, extension, err
}

// parseExtension finds every = that is not escaped; the word before it is a key, and the
// value goes on to the space before the next key.
func parseExtension(text string) (map[string]string, error) {
	type key struct{ from, equals int }
	var keys []key
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '=':
			from := i
			for from > 0 && (unicode.IsLetter(rune(text[from-1])) || unicode.IsDigit(rune(text[from-1]))) {
				from--
			}
			if from == i || from > 0 && text[from-1] != ' ' {
				return nil, fmt.Errorf("an = at %d follows no key", i)
			}
			keys = append(keys, key{from, i})
		}
	}
	out := map[string]string{}
	for i, k := range keys {
		end := len(text)
		if i+1 < len(keys) {
			end = keys[i+1].from - 1
		}
		value, err := unescapeValue(text[k.equals+1 : end])
		if err != nil {
			return nil, err
		}
		name := text[k.from:k.equals]
		if _, twice := out[name]; twice {
			return nil, fmt.Errorf("%s stands twice", name)
		}
		out[name] = value
	}
	if len(keys) == 0 && text != "" || len(keys) > 0 && keys[0].from != 0 {
		return nil, fmt.Errorf("the extension does not begin with a key")
	}
	return out, nil
}

func unescapeValue(text string) (string, error) {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' {
			b.WriteByte(text[i])
			continue
		}
		i++
		if i == len(text) {
			return "", fmt.Errorf("a value ends in half an escape")
		}
		switch text[i] {
		case '\\', '=':
			b.WriteByte(text[i])
		case 'n':
			b.WriteByte('\n')
		default:
			return "", fmt.Errorf("unknown escape \\%c", text[i])
		}
	}
	return b.String(), nil
}

// parseLEEF reads a line of LEEF 2.0: vendor, product, version, event id; and attributes.
func parseLEEF(text string) (header []string, attributes map[string]string, err error) {
	if err := noControls(text); err != nil {
		return nil, nil, err
	}
	parts := strings.SplitN(text, "|", 7)
	if len(parts) != 7 || parts[0] != "LEEF:2.0" || len(parts[5]) != 1 {
		return nil, nil, fmt.Errorf("not a header of LEEF 2.0 with a delimiter of one character")
	}
	attributes = map[string]string{}
	for _, a := range strings.Split(parts[6], parts[5]) {
		key, value, ok := strings.Cut(a, "=")
		if !ok || key == "" || strings.Trim(key, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
			return nil, nil, fmt.Errorf("%q is not key=value", a)
		}
		if _, twice := attributes[key]; twice {
			return nil, nil, fmt.Errorf("%s stands twice", key)
		}
		attributes[key] = value
	}
	return parts[1:5], attributes, nil
}

func noControls(text string) error {
	for i, r := range text {
		if r < ' ' || r >= 0x7f && r < 0xa0 || r == 0x2028 || r == 0x2029 {
			return fmt.Errorf("%U at %d", r, i)
		}
		if r == unicode.ReplacementChar && !strings.HasPrefix(text[i:], "\uFFFD") {
			return fmt.Errorf("not UTF-8 at %d", i)
		}
	}
	return nil
}
