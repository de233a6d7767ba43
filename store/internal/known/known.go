// Package known brings what a process knows of the webhooks up to date, so that a change of
// one costs the reading of one, and of nothing but the versions of the others.
package known

import (
	"maps"
	"slices"
	"strings"

	"github.com/tocsin-alerts/tocsin"
)

// Refresh returns the webhooks of which versions says the ids and versions, by name: those
// of have whose version is still that, and the others as read finds them. have stays as it
// is; versions does not.
func Refresh(have []tocsin.Webhook, versions map[string]int64, read func(ids []string) ([]tocsin.Webhook, error)) ([]tocsin.Webhook, error) {
	all := make([]tocsin.Webhook, 0, len(versions))
	for i := range have {
		if version, there := versions[have[i].ID]; there && version == have[i].Version {
			all = append(all, have[i])
			delete(versions, have[i].ID)
		}
	}
	if len(versions) == 0 {
		return all, nil
	}
	changed, err := read(slices.Collect(maps.Keys(versions)))
	if err != nil {
		return nil, err
	}
	all = append(all, changed...)
	slices.SortFunc(all, func(a, b tocsin.Webhook) int { return strings.Compare(a.Name, b.Name) })
	return all, nil
}
