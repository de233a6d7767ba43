package app

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/contrib/envconfig"
	sdklog "go.temporal.io/sdk/log"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/catalog"
	"github.com/tocsin-alerts/tocsin/ingest"
	"github.com/tocsin-alerts/tocsin/integrations"
	"github.com/tocsin-alerts/tocsin/integrations/webhook"
	"github.com/tocsin-alerts/tocsin/webhooks"
	"github.com/tocsin-alerts/tocsin/workflows"
)

func (a *App) openStore(ctx context.Context) error {
	a.store = a.cfg.Store
	if a.store == nil {
		store, err := OpenStore(ctx, a.cfg.DatabaseURL, a.log)
		if err != nil {
			return err
		}
		a.store = store
		a.cleanup("store", func(context.Context) error { return store.Close() })
	}
	if a.cfg.Migrate {
		if err := migrateAtStart(ctx, a.store); err != nil {
			return fmt.Errorf("migrating the store: %w", err)
		}
	}
	if err := a.store.Ping(ctx); err != nil {
		return fmt.Errorf("checking the store (a new or older one needs `tocsin migrate`): %w", err)
	}
	return nil
}

// openTemporal makes a client that connects when it is first needed, so that a Temporal
// that is away does not keep the API from starting.
func (a *App) openTemporal() error {
	options, err := a.temporalOptions()
	if err != nil {
		return err
	}
	if options.Logger == nil {
		options.Logger = sdklog.NewStructuredLogger(a.log)
	}
	setDefault(&options.Namespace, client.DefaultNamespace)
	a.namespace = options.Namespace
	sdk, err := newSDKMetrics(a.registry)
	if err != nil {
		return err
	}
	options.MetricsHandler = sdkHandler{m: sdk}
	if err := a.traceWorkflows(&options); err != nil {
		return err
	}
	if a.temporal, err = client.NewLazyClient(options); err != nil {
		return tocsin.Errorf(tocsin.CodeInvalid, "reading the TEMPORAL_* settings: %w", err)
	}
	a.cleanup("Temporal client", func(context.Context) error {
		a.temporal.Close()
		return nil
	})
	return nil
}

func (a *App) temporalOptions() (client.Options, error) {
	if a.cfg.Temporal != nil {
		return *a.cfg.Temporal, nil
	}
	return temporalOptions(a.log, a.cfg.Version)
}

// temporalOptions are what the TEMPORAL_* variables say.
func temporalOptions(log *slog.Logger, version string) (client.Options, error) {
	options, err := envconfig.LoadDefaultClientOptions()
	if err != nil {
		return options, tocsin.Errorf(tocsin.CodeInvalid, "reading the TEMPORAL_* settings: %w", err)
	}
	options.Logger = sdklog.NewStructuredLogger(log)
	if options.Identity == "" {
		options.Identity = workflows.Identity("tocsin", version)
	}
	return options, nil
}

// parts are the objects that both roles use.
type parts struct {
	catalog   *catalog.Catalog
	conductor tocsin.Conductor
	ingest    *ingest.Ingest
	webhooks  *webhooks.Service
	control   controls
}

func (a *App) assemble() (parts, error) {
	p := parts{catalog: catalog.Default(), conductor: workflows.NewConductor(a.temporal, a.log)}
	channels := integrations.Channels(integrations.Options{
		AllowCIDRs: a.cfg.EgressAllow, Catalog: p.catalog, Logger: a.log, UserAgent: "tocsin/" + a.cfg.Version,
		// The service that keeps the keys needs the channels first; nothing is sent before
		// both are there.
		Signers: func(ctx context.Context) ([]webhook.Signer, error) { return signers(ctx, p.webhooks) },
	})
	counted, err := ingest.NewMetrics(a.registry)
	if err != nil {
		return parts{}, err
	}
	p.ingest, err = ingest.New(ingest.Config{
		Store: a.store, Conductor: p.conductor, Catalog: p.catalog, Channels: channels, Logger: a.log,
		Metrics: counted, Traces: a.tracerProvider(),
	})
	if err != nil {
		return parts{}, fmt.Errorf("setting up ingest: %w", err)
	}
	a.cleanup("ingest", func(context.Context) error {
		p.ingest.Close()
		return nil
	})
	service := webhooks.Config{
		Store: a.store, Conductor: p.conductor, KeyRing: a.ring, Channels: channels, Catalog: p.catalog,
		CheckFilter: checkFilter, Matches: p.ingest.Matches, History: a.cfg.Retention.History, PublicURL: a.cfg.PublicURL, Logger: a.log, MinRunEvery: a.cfg.MinRunEvery,
	}
	if p.webhooks, err = webhooks.New(service); err != nil {
		return parts{}, fmt.Errorf("setting up webhooks: %w", err)
	}
	// A workflow that carries out an update knows of it already.
	service.Conductor = nil
	if p.control.Service, err = webhooks.New(service); err != nil {
		return parts{}, fmt.Errorf("setting up webhooks: %w", err)
	}
	return p, nil
}

// signers are the installation's keys as the channel webhook takes them.
func signers(ctx context.Context, service *webhooks.Service) ([]webhook.Signer, error) {
	keys, err := service.Signers(ctx)
	out := make([]webhook.Signer, len(keys))
	for i, k := range keys {
		out[i] = webhook.Signer(k)
	}
	return out, err
}

func checkFilter(expr string) error {
	_, err := ingest.CompileFilter(expr)
	return err
}

// controls is what updates sent by hand, from Temporal's own tools, come to.
type controls struct{ *webhooks.Service }

// Configure changes settings by a merge patch.
func (c controls) Configure(ctx context.Context, idOrName string, patch json.RawMessage) (tocsin.Webhook, error) {
	changed, err := c.Change(ctx, idOrName, patch, false)
	return changed.Webhook, err
}
