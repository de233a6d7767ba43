package app

// Variable is a setting of the environment.
type Variable struct {
	Name    string
	Default string // "" for none
	Means   string
	ReadBy  string
}

// Variables are all variables of Tocsin's own, for documents and for finding mistakes; a
// test holds them against the sources.
func Variables() []Variable {
	const processes = "serve, worker"
	return []Variable{
		{"TOCSIN_API_URL", "http://127.0.0.1:8080", "where the command line finds the API", "command line"},
		{"TOCSIN_API_KEY", "", "the key the command line shows the API", "command line"},
		{"TOCSIN_DATABASE_URL", "", "the store: postgres://user:password@host:5432/database; sqlite:path for looking into a stopped tocsin-dev's", processes + ", commands that open the store"},
		{"TOCSIN_SECRET_KEY", "", "the key ring that seals secrets, id:base64 of 32 bytes,…; the first seals, all open", processes + ", secrets, doctor"},
		{"TOCSIN_LISTEN", DefaultListen, "where the HTTP API listens", "serve"},
		{"TOCSIN_METRICS_LISTEN", "", "a further address for /metrics, /-/healthy and /-/ready", processes},
		{"TOCSIN_PPROF", "false", "true serves profiles at TOCSIN_METRICS_LISTEN, under /debug/pprof/", processes},
		{"TOCSIN_PUBLIC_URL", "", "where people reach this Tocsin, for links", processes},
		{"TOCSIN_TEMPORAL_UI", "", "where people reach Temporal's Web UI, for the console's links", "serve"},
		{oidcIssuer, "", "where people sign in to the console without a key: an OpenID Connect provider's address, exactly as its tokens have it", "serve"},
		{oidcClient, "", "what the provider calls this Tocsin", "serve"},
		{oidcSecret, "", "the secret that goes with it; none for a public client", "serve"},
		{oidcClaim, "groups", "the claim that decides who may do what; a dot goes into objects", "serve"},
		{oidcRead, "", "values of the claim that may read, …,…", "serve"},
		{oidcAdmin, "", "values of the claim that may administer, …,…", "serve"},
		{"TOCSIN_EGRESS_ALLOW", "", "private networks that webhooks may reach, CIDR,…; all others are refused", processes + ", doctor"},
		{"TOCSIN_SLOTS", "1000", "how many webhooks a worker delivers for at once, 4 to 100000", "worker"},
		{"TOCSIN_RETENTION", "30d", "how long finished deliveries and events are kept; what is owed is kept for ever", processes + ", tocsin-dev, prune"},
		{"TOCSIN_DEDUPE_WINDOW", "30d", "how long an event's source and id are remembered; at least the retention", processes + ", tocsin-dev, prune"},
		{"TOCSIN_AUDIT_RETENTION", "365d", "how long the audit log is kept", processes + ", tocsin-dev, prune"},
		{"TOCSIN_LOG_LEVEL", "info; tocsin-dev: warn", "debug, info, warn or error", processes + ", tocsin-dev"},
		{"TOCSIN_LOG_FORMAT", "text", "text or json", processes},
		{"TOCSIN_DATA_DIR", "tocsin-data", "the folder of tocsin-dev's state", "tocsin-dev"},
	}
}
