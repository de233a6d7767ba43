package webhook

import (
	"crypto/ed25519"
	"encoding/base64"
	"testing"
	"time"
)

// TestKnownVectors are the vectors published with the reference libraries.
func TestKnownVectors(t *testing.T) {
	secret, err := parseSecret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	if err != nil {
		t.Fatal(err)
	}
	key, err := base64.StdEncoding.DecodeString("6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg==")
	if err != nil {
		t.Fatal(err)
	}
	const v1 = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
	const v1a = "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg=="
	sign := func(secrets [][]byte, keys []ed25519.PrivateKey) string {
		return signature("msg_p5jXN8AQM9LWM0D4loKWxJek", time.Unix(1614265330, 0), []byte(`{"test": 2432232314}`), secrets, keys)
	}
	for want, got := range map[string]string{
		v1: sign([][]byte{secret}, nil), v1a: sign(nil, []ed25519.PrivateKey{key}), v1 + " " + v1a: sign([][]byte{secret}, []ed25519.PrivateKey{key}),
	} {
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
