package app

import "github.com/prometheus/client_golang/prometheus"

// Registries are those of a started app's metrics.
func Registries(a *App) (all, named *prometheus.Registry) { return a.registry, a.named }

// SDKMetricNames are the names of the SDK's metrics that are taken, as the SDK calls them.
func SDKMetricNames() (names []string) {
	for _, list := range [][]sdkMetric{sdkCounters(), sdkTimers(), sdkGauges()} {
		for _, m := range list {
			names = append(names, m.name)
		}
	}
	return names
}
