package tocsin_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/tocsin-alerts/tocsin"
)

func TestSecretIsNeverShown(t *testing.T) {
	t.Parallel()
	const canary = "hunter2-canary"
	type config struct {
		Token   tocsin.Secret            `json:"token"`
		Headers map[string]tocsin.Secret `json:"headers"`
	}
	c := config{Token: tocsin.NewSecret(canary), Headers: map[string]tocsin.Secret{"a": tocsin.NewSecret(canary)}}
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "secret", c.Token, "config", c)
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "secret", c.Token, "config", c)
	encoded, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	shown := fmt.Sprintf("%v %+v %#v %s %q %x ", c, c, c, c.Token, c.Token, c.Token) + log.String() + string(encoded)
	if strings.Contains(shown, canary) || strings.Contains(shown, fmt.Sprintf("%x", canary)) {
		t.Errorf("the secret is shown in %s", shown)
	}
	if got := c.Token.Reveal(); got != canary {
		t.Errorf("revealed %q, want the text", got)
	}
	var back config
	if err := json.Unmarshal([]byte(`{"token":"`+canary+`"}`), &back); err != nil || back.Token.Reveal() != canary {
		t.Errorf("decoding gave %q (%v)", back.Token.Reveal(), err)
	}
	if got, _ := json.Marshal(tocsin.Secret{}); string(got) != `""` {
		t.Errorf("no secret encodes as %s", got)
	}
}

func TestKeyRingRotates(t *testing.T) {
	t.Parallel()
	oldKey, newKey := tocsin.GenerateKey("old"), tocsin.GenerateKey("new")
	before := ring(t, oldKey)
	after := ring(t, newKey+", "+oldKey)
	sealed := before.Seal([]byte("secret"), "wh_1")
	if bytes.Contains(sealed, []byte("secret")) {
		t.Error("the sealed value shows its content")
	}
	if plain, err := after.Open(sealed, "wh_1"); err != nil || string(plain) != "secret" {
		t.Errorf("opening by the rotated ring gave %q (%v)", plain, err)
	}
	if got := after.SealedBy(sealed); got != "old" || after.First() != "new" || after.SealedBy(after.Seal(nil, "")) != "new" {
		t.Errorf("sealed by %q, the first key is %q", got, after.First())
	}
	if got := after.SealedBy([]byte("no sealed value")); got != "" {
		t.Errorf("what is not sealed is sealed by %q", got)
	}
	if again := before.Seal([]byte("secret"), "wh_1"); bytes.Equal(sealed, again) {
		t.Error("sealing twice gave the same bytes: the nonce is not fresh")
	}
	if _, err := ring(t, newKey).Open(sealed, "wh_1"); !errors.Is(err, tocsin.ErrNoKey) {
		t.Errorf("opening without its key: got %v, want ErrNoKey", err)
	}
	if _, err := after.Open(sealed, "wh_2"); err == nil {
		t.Error("a value sealed for one webhook opened as another's")
	}
	for i := range sealed {
		bad := bytes.Clone(sealed)
		bad[i] ^= 1
		if _, err := before.Open(bad, "wh_1"); err == nil {
			t.Errorf("a value with byte %d changed opened", i)
		}
		if _, err := before.Open(sealed[:i], "wh_1"); err == nil {
			t.Errorf("a value cut at byte %d opened", i)
		}
	}
}

func ring(t *testing.T, text string) *tocsin.KeyRing {
	t.Helper()
	r, err := tocsin.ParseKeyRing(text)
	if err != nil {
		t.Fatalf("parsing key ring: %v", err)
	}
	return r
}

func TestKeyRingErrorsNameThePlaceAndNotTheKey(t *testing.T) {
	t.Parallel()
	good := tocsin.GenerateKey("a")
	for _, text := range []string{"", "nocolon", ":AAAA", "a:!!!!secret", "a:c2hvcnQtc2VjcmV0", good + "," + good, "a b:AAAA"} {
		_, err := tocsin.ParseKeyRing(text)
		if err == nil || !strings.Contains(err.Error(), "key ") {
			t.Errorf("%q: got %v, want an error that names the entry", text, err)
			continue
		}
		if _, key, ok := strings.Cut(text, ":"); ok && key != "" && strings.Contains(err.Error(), key) {
			t.Errorf("%q: the error shows the key: %v", text, err)
		}
	}
}
