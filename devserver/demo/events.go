package demo

import (
	"encoding/json"
	"fmt"
	"time"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/catalog"
)

// Events returns the catalog's example of every alert type, as if it had happened now:
// with ids never used before and all its times moved along. The types of category
// pipeline are left out: Tocsin reports them itself, and takes them from nobody.
func Events(c *catalog.Catalog, now time.Time) ([]map[string]any, error) {
	var all []map[string]any
	for _, t := range c.Types() {
		if t.Category == catalog.CategoryPipeline {
			continue
		}
		var e map[string]any
		if err := json.Unmarshal(t.Example, &e); err != nil {
			return nil, fmt.Errorf("reading example of %s: %w", t.Type, err)
		}
		text, _ := e["time"].(string)
		then, err := time.Parse(time.RFC3339, text)
		if err != nil {
			return nil, fmt.Errorf("reading time of example of %s: %w", t.Type, err)
		}
		moved, _ := move("", e, now.Sub(then)).(map[string]any)
		moved["id"] = tocsin.NewID("demo")
		moved["time"] = now.UTC().Format(time.RFC3339Nano)
		all = append(all, moved)
	}
	return all, nil
}

// move shifts the times in a JSON value: strings in RFC 3339, and the numbers of the
// threat data's keys timestamp and ts, which are seconds since 1970.
func move(key string, value any, by time.Duration) any {
	switch v := value.(type) {
	case map[string]any:
		for k, inner := range v {
			v[k] = move(k, inner, by)
		}
	case []any:
		for n, inner := range v {
			v[n] = move(key, inner, by)
		}
	case string:
		if t, err := time.Parse(time.RFC3339, v); err == nil {
			return t.Add(by).UTC().Truncate(time.Second).Format(time.RFC3339)
		}
	case float64:
		if key == "timestamp" || key == "ts" {
			return int64(v) + int64(by/time.Second)
		}
	}
	return value
}
