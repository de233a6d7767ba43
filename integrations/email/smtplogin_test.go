package email_test

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
)

// login checks user and password by one of the mechanisms.
func (c *talk) login(arg string) bool {
	mech, initial, _ := strings.Cut(arg, " ")
	if !slices.Contains(c.s.auth, mech) {
		return c.answer("AUTH", mech, "504 5.5.4 Unrecognized authentication type")
	}
	given, on := c.credentials(mech, initial)
	if !on {
		return false
	}
	usual := "535 5.7.8 Username and Password not accepted"
	if given == user+" "+password {
		usual = "235 2.7.0 Accepted"
	}
	yes, on := c.yes("AUTH", mech, usual)
	if yes && strings.HasPrefix(usual, "235") {
		c.mail.login = mech
	}
	return on
}

// credentials are "user password" as the mechanism brings them.
func (c *talk) credentials(mech, initial string) (string, bool) {
	switch mech {
	case "PLAIN":
		return strings.ReplaceAll(strings.TrimPrefix(decoded(initial), "\x00"), "\x00", " "), true
	case "LOGIN":
		var got []string
		for _, ask := range []string{"Username:", "Password:"} {
			if _, err := fmt.Fprintf(c.conn, "334 %s\r\n", base64.StdEncoding.EncodeToString([]byte(ask))); err != nil {
				return "", false
			}
			line, ok := c.line(12288)
			if !ok {
				return "", false
			}
			got = append(got, decoded(line))
		}
		return strings.Join(got, " "), true
	}
	// XOAUTH2 tells what is wrong in a challenge, which must be answered with an empty line:
	// https://developers.google.com/gmail/imap/xoauth2-protocol
	text := decoded(initial)
	text = strings.NewReplacer("user=", "", "\x01auth=Bearer ", " ", "\x01\x01", "").Replace(text)
	if text != user+" "+password {
		challenge := base64.StdEncoding.EncodeToString([]byte(`{"status":"401","schemes":"bearer","scope":"https://mail.google.com/"}`))
		if _, err := fmt.Fprintf(c.conn, "334 %s\r\n", challenge); err != nil {
			return "", false
		}
		if line, ok := c.line(12288); !ok || line != "" {
			c.s.t.Errorf("the challenge of XOAUTH2 was answered with %q", line)
		}
	}
	return text, true
}

func decoded(text string) string {
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return "not base64"
	}
	return string(b)
}
