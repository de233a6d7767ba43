package ingest_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/ingest"
)

func TestFilterSpeaksOfEverything(t *testing.T) {
	e := example(t, "agent.discovered")
	e.Severity, e.Status, e.DedupKey, e.Link = tocsin.SeverityMedium, tocsin.Firing, "incident-1", "https://console.example.org/1"
	for _, expr := range []string{
		`id == "agent-leave-planner-1"`,
		`source.startsWith("/collections/")`,
		`type == "agent.discovered" && category == "discovery"`,
		`subject.matches("^agent/[a-z-]+$")`,
		`severity == "medium" && level == 3 && level >= 2`,
		`severity in ["medium", "high"]`,
		`status == "firing"`,
		`time < timestamp("2026-01-01T00:00:00Z") && time.getFullYear() == 2025`,
		`dedup_key == "incident-1" && link != ""`,
		`title.lowerAscii().contains("leave-planner") && summary.size() > 10`,
		`collection == "hr-assistants" && labels.environment == "production" && !("team" in labels)`,
		`data.shadow && data.framework == "CrewAI" && "tool_use" in data.capabilities`,
		`data.shadow`,
		`!has(data.region) || data.region == "eu"`,
		`data.capabilities.exists(c, c.startsWith("retr"))`,
		`data.?region.orValue("none") == "none"`,
		"// a comment\nlevel > 1\n",
		`title.upperAscii().trim().split(" ")[0].substring(0, 1).charAt(0) == "N" && title.indexOf("e") < title.lastIndexOf("e")`,
		`type(level) == int && type != ""`,
	} {
		f, err := ingest.CompileFilter(expr)
		if err != nil {
			t.Errorf("%s: %v", expr, err)
			continue
		}
		if ok, err := f.Match(&e, "discovery"); !ok || err != nil {
			t.Errorf("%s: %v, %v", expr, ok, err)
		}
	}
}

func TestFilterNumbers(t *testing.T) {
	e := example(t, "risk_score.changed")
	for expr, want := range map[string]bool{
		`data.current > 80`: true, `data.current == 81`: true, `data.current - data.previous > 50.0`: false, `int(data.current) % 2 == 1`: true,
	} {
		f, err := ingest.CompileFilter(expr)
		if err != nil {
			t.Fatalf("%s: %v", expr, err)
		}
		if got, err := f.Match(&e, "security"); got != want || err != nil {
			t.Errorf("%s: %v, %v", expr, got, err)
		}
	}
}

func TestFilterErrorsHaveAPosition(t *testing.T) {
	for _, tt := range []struct{ expr, want string }{
		{`severity = "high"`, `line 1, column 10: Syntax error`},
		{"level > 2 &&\n  severty == \"high\"", `line 2, column 3: "severty" is not known here; did you mean "severity"?`},
		{`nonsense`, `line 1, column 1: "nonsense" is not known here; a filter speaks of category, collection, data, dedup_key`},
		{`level > "high"`, `line 1, column 7: found no matching overload for '_>_' applied to '(int, string)'`},
		{`labels.team == 3`, `line 1, column 13: found no matching overload`},
		{`title`, `"title" yields string; a filter yields true or false`},
		{`title.matches("(")`, `error parsing regexp`},
		{`title.replace("", summary) == ""`, `line 1, column 14: "replace" is not known here; functions are`},
		{`data.list.join(summary) == ""`, `"join" is not known here; functions are`},
		{`  `, `is empty; leave it out, or write for example severity == "critical"`},
		{`(`, `line 1, column 2: the expression ends where a value should follow`},
		{`severity == `, `line 1, column 13: the expression ends where a value should follow`},
		{"level > 2 &&\n  !", `line 2, column 4: the expression ends where a value should follow`},
		{`(true`, `line 1, column 6: the expression ends where ')' should follow`},
		{`level in [1,`, `line 1, column 13: the expression ends where ']' should follow`},
		{`true ? 1`, `line 1, column 9: the expression ends where ':' should follow`},
		{`1 +* 2`, `line 1, column 4: Syntax error: extraneous input '*'`},
		{strings.Repeat("!", 5000) + "true", `size`},
		{strings.Repeat("(", 500) + "true" + strings.Repeat(")", 500), `recursion`},
	} {
		_, err := ingest.CompileFilter(tt.expr)
		var e *tocsin.Error
		if !errors.As(err, &e) || e.Code != tocsin.CodeInvalid || len(e.Fields) == 0 {
			t.Errorf("%.40s: %v", tt.expr, err)
			continue
		}
		if e.Fields[0].Field != "filter" || !strings.Contains(e.Fields[0].Message, tt.want) {
			t.Errorf("%.40s: got %q, want it to contain %q", tt.expr, e.Fields[0].Message, tt.want)
		}
		if strings.Contains(err.Error(), "NUM_FLOAT") {
			t.Errorf("%.40s: got %q, which lists the parser's tokens", tt.expr, err)
		}
	}
}

func TestFilterThatCannotBeEvaluatedSaysNo(t *testing.T) {
	e := example(t, "agent.discovered")
	e.Data = []byte(`{"shadow":"maybe","list":[` + strings.Repeat("1,", 2000) + `1]}`)
	for _, tt := range []struct{ expr, want string }{
		{`data.region == "eu"`, "no such key: region"},
		{`labels.team == "red"`, "no such key: team"},
		{`data.shadow`, "it yields string and not true or false"},
		{`data.list.all(a, data.list.all(b, a == b))`, "cost limit exceeded"},
		{`1 / (level - level) == 1`, "division by zero"},
	} {
		f, err := ingest.CompileFilter(tt.expr)
		if err != nil {
			t.Fatalf("%s: %v", tt.expr, err)
		}
		if ok, err := f.Match(&e, "discovery"); ok || err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, %v; want %q", tt.expr, ok, err, tt.want)
		}
	}
	// Without data has() is false, and no error.
	f, err := ingest.CompileFilter(`has(data.region)`)
	if err != nil {
		t.Fatal(err)
	}
	if ok, err := f.Match(&tocsin.Event{}, ""); ok || err != nil {
		t.Errorf("without data: %v, %v", ok, err)
	}
}
