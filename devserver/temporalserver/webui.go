package temporalserver

import (
	"context"
	"fmt"
	"net/http"
	"time"

	uiserver "github.com/temporalio/ui-server/v2/server"
	uiconfig "github.com/temporalio/ui-server/v2/server/config"
	uioptions "github.com/temporalio/ui-server/v2/server/server_options"
)

// webUI is Temporal's Web UI.
type webUI struct {
	server *uiserver.Server
	done   chan struct{}
}

// startWebUI returns once the pages are there. The caller has made sure that the address
// is free: the UI server ends the whole process when it cannot listen.
func startWebUI(at, frontend address, namespace string, timeout time.Duration) (*webUI, error) {
	u := &webUI{done: make(chan struct{})}
	u.server = uiserver.NewServer(uioptions.WithConfigProvider(&uiconfig.Config{
		Host:                at.host,
		Port:                at.port,
		TemporalGRPCAddress: frontend.dial(),
		DefaultNamespace:    namespace,
		EnableUI:            true,
		// The cookie against forged requests could not be set over plain HTTP otherwise.
		CORS:             uiconfig.CORS{CookieInsecure: true},
		HideLogs:         true,
		DisableNewsFetch: true, // no calls to the outside
	}))
	go func() {
		defer close(u.done)
		_ = u.server.Start() // it returns nil after Stop, and never returns otherwise
	}()
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	err := poll(ctx, func() error { return healthy(ctx, "http://"+at.dial()+"/healthz") })
	if err != nil {
		u.stop()
		return nil, fmt.Errorf("waiting for temporal's web UI: %w", err)
	}
	return u, nil
}

func healthy(ctx context.Context, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	_ = resp.Body.Close() // nothing of it is used
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answered %s", url, resp.Status)
	}
	return nil
}

func (u *webUI) stop() {
	if u == nil {
		return
	}
	u.server.Stop()
	<-u.done
}
