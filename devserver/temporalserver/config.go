package temporalserver

import (
	"time"

	"github.com/google/uuid"
	"go.temporal.io/server/common/authorization"
	"go.temporal.io/server/common/cluster"
	"go.temporal.io/server/common/config"
	"go.temporal.io/server/common/dynamicconfig"
	"go.temporal.io/server/common/log"
	"go.temporal.io/server/common/membership/static"
	"go.temporal.io/server/common/metrics"
	sqliteplugin "go.temporal.io/server/common/persistence/sql/sqlplugin/sqlite"
	"go.temporal.io/server/common/primitives"
	"go.temporal.io/server/temporal"
)

const (
	clusterName = "active"
	storeName   = "sqlite"
)

// sqlConfig is how the server opens its database. Connections stay at one: the plugin
// cannot begin its transactions as IMMEDIATE, and deferred ones that upgrade would fail
// with SQLITE_BUSY.
func sqlConfig(path string) *config.SQL {
	if path == "" {
		return &config.SQL{
			PluginName: sqliteplugin.PluginName,
			// The plugin never lets a database go; a fresh name keeps servers of one
			// process apart.
			DatabaseName:      "memory-" + uuid.NewString(),
			ConnectAttributes: map[string]string{"mode": "memory", "cache": "shared"},
		}
	}
	return &config.SQL{
		PluginName:   sqliteplugin.PluginName,
		DatabaseName: path,
		// Keys without underscore: this plugin turns them into pragmas itself, and ignores
		// the "_journal_mode" form silently.
		ConnectAttributes: map[string]string{"mode": "rwc", "journal_mode": "wal", "synchronous": "2", "busy_timeout": "5000"},
	}
}

func newServer(database *config.SQL, frontend, metricsAt address, inner [3]int, logger log.Logger) (temporal.Server, error) {
	cfg := serverConfig(database, frontend, inner)
	if metricsAt.host != "" {
		cfg.Global.Metrics = &metrics.Config{Prometheus: &metrics.PrometheusConfig{Framework: metrics.FrameworkOpentelemetry, ListenAddress: metricsAt.String()}}
	}
	authorizer, err := authorization.GetAuthorizerFromConfig(&cfg.Global.Authorization)
	if err != nil {
		return nil, err
	}
	claims, err := authorization.GetClaimMapperFromConfig(&cfg.Global.Authorization, logger)
	if err != nil {
		return nil, err
	}
	hosts := map[primitives.ServiceName]static.Hosts{}
	for name, a := range map[primitives.ServiceName]address{
		primitives.FrontendService: frontend,
		primitives.HistoryService:  {"127.0.0.1", inner[0]},
		primitives.MatchingService: {"127.0.0.1", inner[1]},
		primitives.WorkerService:   {"127.0.0.1", inner[2]},
	} {
		hosts[name] = static.SingleLocalHost(a.dial())
	}
	return temporal.NewServer(
		temporal.ForServices(temporal.DefaultServices),
		temporal.WithConfig(cfg),
		temporal.WithStaticHosts(hosts),
		temporal.WithLogger(logger),
		temporal.WithNamespaceLogger(logger),
		temporal.WithAuthorizer(authorizer),
		temporal.WithClaimMapper(func(*config.Config) authorization.ClaimMapper { return claims }),
		temporal.WithDynamicConfigClient(dynamicConfig()),
	)
}

func serverConfig(database *config.SQL, frontend address, inner [3]int) *config.Config {
	service := func(ip string, port int) config.Service {
		return config.Service{RPC: config.RPC{GRPCPort: port, BindOnIP: ip}}
	}
	cfg := &config.Config{
		Persistence: config.Persistence{
			DefaultStore:     storeName,
			VisibilityStore:  storeName,
			NumHistoryShards: 1,
			DataStores:       map[string]config.DataStore{storeName: {SQL: database}},
		},
		ClusterMetadata: &cluster.Config{
			FailoverVersionIncrement: 10,
			MasterClusterName:        clusterName,
			CurrentClusterName:       clusterName,
			ClusterInformation: map[string]cluster.ClusterInformation{
				// The id of an existing database wins over this one.
				clusterName: {Enabled: true, InitialFailoverVersion: 1, RPCAddress: frontend.dial(), ClusterID: uuid.NewString()},
			},
		},
		DCRedirectionPolicy: config.DCRedirectionPolicy{Policy: "noop"},
		Services: map[string]config.Service{
			"frontend": service(frontend.host, frontend.port),
			"history":  service("127.0.0.1", inner[0]),
			"matching": service("127.0.0.1", inner[1]),
			"worker":   service("127.0.0.1", inner[2]),
		},
		Archival: config.Archival{
			History:    config.HistoryArchival{State: "disabled"},
			Visibility: config.VisibilityArchival{State: "disabled"},
		},
		PublicClient: config.PublicClient{HostPort: frontend.dial()},
		NamespaceDefaults: config.NamespaceDefaults{Archival: config.ArchivalNamespaceDefaults{
			History:    config.HistoryArchivalNamespaceDefaults{State: "disabled"},
			Visibility: config.VisibilityArchivalNamespaceDefaults{State: "disabled"},
		}},
	}
	cfg.Global.Membership = config.Membership{MaxJoinDuration: 30 * time.Second, BroadcastAddress: "127.0.0.1"}
	return cfg
}

// dynamicConfig raises the limits meant for servers of many tenants, makes what was just
// registered visible at once, and turns on what our workflows rely on.
func dynamicConfig() dynamicconfig.StaticClient {
	settings := map[string]any{
		"frontend.namespaceRPS":                20000,
		"frontend.namespaceRPS.visibility":     100,
		"frontend.rps":                         20000,
		"history.rps":                          30000,
		"frontend.persistenceMaxQPS":           10000,
		"history.persistenceMaxQPS":            45000,
		"history.hostLevelCacheMaxSize":        8096,
		"limit.maxIDLength":                    255, // as PostgreSQL has it
		"frontend.WorkflowPauseEnabled":        true,
		"matching.autoEnableV2":                true, // fairness and priority keys are ignored otherwise
		"matching.numTaskqueueReadPartitions":  1,    // exact rate limits and order
		"matching.numTaskqueueWritePartitions": 1,

		"frontend.enableCancelWorkerPollsOnShutdown":       true, // quick stop of workers
		"system.forceSearchAttributesCacheRefreshOnRead":   true,
		"system.forceNexusEndpointRefreshOnRead":           true,
		"history.enableStandaloneActivityOperatorCommands": true,
	}
	client := dynamicconfig.StaticClient{}
	for name, value := range settings {
		client[dynamicconfig.MakeKey(name)] = value
	}
	return client
}
