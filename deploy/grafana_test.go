package deploy_test

import (
	"encoding/json"
	"strings"
	"testing"
)

// dashboard is the part of Grafana's dashboard model that a test can hold.
// https://grafana.com/docs/grafana/latest/dashboards/build-dashboards/view-dashboard-json-model/
type dashboard struct {
	Title, UID    string
	SchemaVersion int
	Templating    struct {
		List []struct{ Name, Type string }
	}
	Panels []panel
}

type panel struct {
	ID          int
	Type, Title string
	GridPos     struct{ X, Y, W, H int }
	Datasource  *source
	Targets     []struct {
		RefID      string
		Expr       string
		Datasource source
	}
}

type source struct{ Type, UID string }

func readDashboard(t *testing.T) dashboard {
	t.Helper()
	var d dashboard
	if err := json.Unmarshal([]byte(read(t, "grafana/tocsin.json")), &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// Grafana shows it: panels have ids of their own, are within its 24 columns and not on
// top of each other, and ask the data source that is chosen above.
func TestDashboardIsOne(t *testing.T) {
	d := readDashboard(t)
	if d.Title == "" || d.UID == "" || d.SchemaVersion < 36 || len(d.Panels) < 20 {
		t.Errorf("it is %q (%s), schema %d, with %d panels", d.Title, d.UID, d.SchemaVersion, len(d.Panels))
	}
	ids, cells := map[int]bool{}, map[[2]int]string{}
	for _, p := range d.Panels {
		if ids[p.ID] || p.Title == "" {
			t.Errorf("panel %d (%q) is there twice, or has no title", p.ID, p.Title)
		}
		ids[p.ID] = true
		g := p.GridPos
		if g.W < 1 || g.H < 1 || g.X < 0 || g.X+g.W > 24 {
			t.Errorf("panel %q is at %+v", p.Title, g)
		}
		for x := g.X; x < g.X+g.W; x++ {
			for y := g.Y; y < g.Y+g.H; y++ {
				if other := cells[[2]int{x, y}]; other != "" {
					t.Fatalf("panels %q and %q lie on each other", other, p.Title)
				}
				cells[[2]int{x, y}] = p.Title
			}
		}
		if p.Type != "row" && len(p.Targets) == 0 {
			t.Errorf("panel %q asks for nothing", p.Title)
		}
		refs := map[string]bool{}
		for _, target := range p.Targets {
			if chosen := (source{"prometheus", "${datasource}"}); target.Datasource != chosen || *p.Datasource != chosen || refs[target.RefID] {
				t.Errorf("panel %q asks %+v as %q", p.Title, target.Datasource, target.RefID)
			}
			refs[target.RefID] = true
		}
	}
}

// Every query is one that Prometheus understands, of metrics and labels that exist.
func TestDashboardAsksForWhatExists(t *testing.T) {
	known := newVocabulary(t)
	d := readDashboard(t)
	variables := map[string]string{"$__rate_interval": "5m"}
	for _, v := range d.Templating.List {
		variables["$"+v.Name] = "any"
	}
	var queries []string
	for _, p := range d.Panels {
		for _, target := range p.Targets {
			known.check(t, p.Title, target.Expr)
			query := target.Expr
			for name, value := range variables {
				query = strings.ReplaceAll(query, name, value)
			}
			if strings.Contains(query, "$") {
				t.Errorf("panel %q uses a variable that there is not: %s", p.Title, query)
			}
			queries = append(queries, query)
		}
	}
	mustParse(t, queries)
}
