package ingest_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestFilterDoubts(t *testing.T) {
	in := newScene(t, nil).in
	for _, c := range []struct {
		filter string
		want   []string
	}{
		{"", nil},
		{`severity == "high" && type == "agent.discovered"`, nil},
		{`severity == "hihg"`, []string{`severity is never "hihg"; did you mean "high"?`}},
		{`"High" != severity`, []string{`severity is never "High"; did you mean "high"?`}},
		{`severity == "urgent"`, []string{`severity is never "urgent"; it is info, low, medium, high or critical`}},
		{`severity in ["high", "criticl"] || data.kind.exists(k, severity == "criticl")`, []string{`severity is never "criticl"; did you mean "critical"?`}},
		{`type == "agent.discoverd"`, []string{`type is never "agent.discoverd"; did you mean "agent.discovered"?`}},
		{`type == "custom.anything" || type == "webhook.failing"`, nil},
		{`type == "x"`, []string{`type is never "x"; it is one of the catalog, or begins with custom.`}},
		{`status == "open"`, []string{`status is never "open"; it is firing or resolved`}},
		{`category == "threat" || category == "custom"`, nil},
		{`category == "threats"`, []string{`category is never "threats"; did you mean "threat"?`}},
		{`severity == subject || severity == data.level || data.severity == "bad" || labels["type"] == "x"`, nil},
		{`severity.startsWith("hihg")`, nil},
		{`severity ==`, nil},
		{`severity == 3`, nil},
	} {
		if diff := cmp.Diff(c.want, in.FilterDoubts(c.filter)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.filter, diff)
		}
	}
}
