package console

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"net/http"
	"path"
	"time"
)

//go:embed static
var static embed.FS

// asset is one embedded file.
type asset struct {
	body []byte
	// version is of its content: an address with it may be kept for ever.
	version string
}

// assets are the embedded files by name.
type assets map[string]asset

func loadAssets() (assets, error) {
	entries, err := static.ReadDir("static")
	if err != nil {
		return nil, fmt.Errorf("reading static files: %w", err)
	}
	all := assets{}
	for _, e := range entries {
		body, err := static.ReadFile("static/" + e.Name())
		if err != nil {
			return nil, fmt.Errorf("reading static files: %w", err)
		}
		sum := sha256.Sum256(body)
		all[e.Name()] = asset{body, hex.EncodeToString(sum[:6])}
	}
	return all, nil
}

// url is where an asset is, by a name that changes with its content.
func (a assets) url(name string) (string, error) {
	one, ok := a[name]
	if !ok {
		return "", fmt.Errorf("no static file %q", name)
	}
	return Base + "static/" + name + "?v=" + one.version, nil
}

func (a assets) serve(w http.ResponseWriter, r *http.Request, name string) {
	one, ok := a[path.Base(name)]
	if !ok || path.Base(name) != name || (r.Method != http.MethodGet && r.Method != http.MethodHead) {
		http.NotFound(w, r)
		return
	}
	if r.URL.Query().Get("v") == one.version {
		w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(one.body))
}
