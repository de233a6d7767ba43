package dev

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// peers are the addresses at which the inbox takes what does not come by HTTP; the zero
// value is that it does not. The demo's webhooks keep them, so that they are kept, too.
type peers struct {
	Mail   string `json:"mail"`
	Syslog string `json:"syslog"`
}

const peersFile = "inbox.json"

// readPeers returns what was kept; the zero value if nothing was.
func (d *dataDir) readPeers() (p peers, err error) {
	text, err := os.ReadFile(d.file(peersFile)) // #nosec G304 -- the user's own folder
	if errors.Is(err, fs.ErrNotExist) {
		return p, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &p)
	}
	if err != nil {
		return p, fmt.Errorf("reading the inbox's addresses in %s: %w", d.file(peersFile), err)
	}
	return p, nil
}

func (d *dataDir) keepPeers(p peers) error {
	text, _ := json.Marshal(p) // two texts
	if err := os.WriteFile(d.file(peersFile), append(text, '\n'), 0o600); err != nil {
		return fmt.Errorf("keeping the inbox's addresses: %w", err)
	}
	return nil
}
