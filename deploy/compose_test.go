// Package deploy_test holds docker-compose.yml against what the programs need. It reads
// the file as `docker compose` does; no container engine is needed.
package deploy_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
	"go.yaml.in/yaml/v3"
)

func load(t *testing.T, env ...string) (*types.Project, error) {
	t.Helper()
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	options, err := cli.NewProjectOptions([]string{filepath.Join(root, "docker-compose.yml")}, cli.WithWorkingDirectory(root), cli.WithEnv(env), cli.WithProfiles([]string{"monitoring"}))
	if err != nil {
		t.Fatal(err)
	}
	return options.LoadProject(t.Context())
}

func project(t *testing.T) *types.Project {
	t.Helper()
	p, err := load(t, "POSTGRES_PASSWORD=pw", "TOCSIN_SECRET_KEY=k1:AAAA")
	if err != nil {
		t.Fatalf("loading docker-compose.yml: %v", err)
	}
	return p
}

func TestComposeRefusesToStartWithoutSecrets(t *testing.T) {
	for _, env := range [][]string{{"POSTGRES_PASSWORD=pw"}, {"TOCSIN_SECRET_KEY=k1:AAAA"}} {
		if _, err := load(t, env...); err == nil || !strings.Contains(err.Error(), "into .env") {
			t.Errorf("with only %v: got %v, want an error that says what to write into .env", env, err)
		}
	}
}

func TestComposeHasTheWholeSystem(t *testing.T) {
	p := project(t)
	for _, name := range []string{"postgres", "temporal-schema", "temporal", "temporal-namespace", "temporal-ui", "migrate", "serve", "worker", "prometheus", "grafana"} {
		if _, err := p.GetService(name); err != nil {
			t.Errorf("service %s: %v", name, err)
		}
	}
	worker, _ := p.GetService("worker")
	if worker.Deploy == nil || worker.Deploy.Replicas == nil || *worker.Deploy.Replicas != 2 {
		t.Errorf("worker is deployed as %+v, want 2 replicas", worker.Deploy)
	}
	if got := strings.Join(worker.Entrypoint, " "); got != "/usr/local/bin/tocsin-worker" {
		t.Errorf("worker runs %q", got)
	}
}

func TestComposeStartsThingsInOrder(t *testing.T) {
	p := project(t)
	want := map[string]map[string]string{
		"temporal-schema":    {"postgres": types.ServiceConditionHealthy},
		"temporal":           {"temporal-schema": types.ServiceConditionCompletedSuccessfully},
		"temporal-namespace": {"temporal": types.ServiceConditionHealthy},
		"migrate":            {"postgres": types.ServiceConditionHealthy},
		"serve":              {"migrate": types.ServiceConditionCompletedSuccessfully},
		"worker":             {"migrate": types.ServiceConditionCompletedSuccessfully, "temporal-namespace": types.ServiceConditionCompletedSuccessfully},
	}
	for name, conditions := range want {
		s, err := p.GetService(name)
		if err != nil {
			t.Fatalf("service %s: %v", name, err)
		}
		for on, condition := range conditions {
			if got := s.DependsOn[on].Condition; got != condition {
				t.Errorf("%s waits for %s to be %q, want %q", name, on, got, condition)
			}
			if on, _ := p.GetService(on); condition == types.ServiceConditionHealthy && on.HealthCheck == nil {
				t.Errorf("%s waits for the health of a service without a health check", name)
			}
		}
	}
}

// What listens is reachable from this machine only, programs run as an ordinary user
// without privileges, and every image names its version.
func TestComposeIsClosedByDefault(t *testing.T) {
	for name, s := range project(t).Services {
		for _, port := range s.Ports {
			if port.HostIP != "127.0.0.1" {
				t.Errorf("%s publishes %s on %q", name, port.Published, port.HostIP)
			}
		}
		if !strings.Contains(s.Image, ":") || strings.HasSuffix(s.Image, ":latest") {
			t.Errorf("%s has image %q without a version", name, s.Image)
		}
		if strings.HasPrefix(s.Image, "tocsin:") && (s.Privileged || !s.ReadOnly || len(s.CapDrop) == 0) {
			t.Errorf("%s may do more than it needs", name)
		}
	}
}

// A setting that no program reads would be a setting that does nothing.
func TestComposeSettingsAreKnown(t *testing.T) {
	known := settingsInSource(t)
	for name, s := range project(t).Services {
		if !strings.HasPrefix(s.Image, "tocsin:") {
			continue
		}
		for setting := range s.Environment {
			if strings.HasPrefix(setting, "TOCSIN_") && !strings.Contains(known, setting) {
				t.Errorf("%s sets %s, which nothing reads", name, setting)
			}
		}
	}
}

func settingsInSource(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	err := filepath.WalkDir("../app", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") {
			return err
		}
		b, err := os.ReadFile(path)
		all.Write(b)
		return err
	})
	if err != nil {
		t.Fatalf("reading app: %v", err)
	}
	return all.String()
}

func TestComposeMountsExist(t *testing.T) {
	for name, s := range project(t).Services {
		for _, v := range s.Volumes {
			if v.Type != types.VolumeTypeBind {
				continue
			}
			if _, err := os.Stat(v.Source); err != nil {
				t.Errorf("%s mounts %s: %v", name, v.Source, err)
			}
		}
		for _, script := range s.Entrypoint {
			if in, ok := strings.CutPrefix(script, "/scripts/"); ok {
				if _, err := os.Stat(filepath.Join("compose", in)); err != nil {
					t.Errorf("%s runs %s: %v", name, script, err)
				}
			}
		}
	}
}

// Who only wants Tocsin does not get what looks at it; and what looks at it finds it.
func TestComposeMonitoring(t *testing.T) {
	p := project(t)
	for name, s := range p.Services {
		if want := name == "prometheus" || name == "grafana"; want != (len(s.Profiles) > 0) {
			t.Errorf("%s is in the profiles %v", name, s.Profiles)
		}
	}
	var config struct {
		RuleFiles     []string `yaml:"rule_files"`
		ScrapeConfigs []struct {
			DNS []struct {
				Names []string
				Port  int
			} `yaml:"dns_sd_configs"`
		} `yaml:"scrape_configs"`
	}
	text := read(t, "compose/prometheus.yml")
	if err := yaml.Unmarshal([]byte(text), &config); err != nil {
		t.Fatal(err)
	}
	scraped := config.ScrapeConfigs[0].DNS[0]
	for _, name := range scraped.Names {
		s, err := p.GetService(name)
		if err != nil {
			t.Fatal(err)
		}
		if listen := s.Environment["TOCSIN_METRICS_LISTEN"]; listen == nil || *listen != fmt.Sprintf("0.0.0.0:%d", scraped.Port) {
			t.Errorf("%s has its metrics at %v, and is scraped at port %d", name, listen, scraped.Port)
		}
	}
	prometheus, err := p.GetService("prometheus")
	if err != nil {
		t.Fatal(err)
	}
	mounted := map[string]string{}
	for _, v := range prometheus.Volumes {
		mounted[v.Target] = v.Source
	}
	// The rules are where they are mounted; promtool finds them where they are here.
	for _, rules := range config.RuleFiles {
		if mounted[rules] == "" {
			t.Errorf("prometheus.yml reads %s, which is not mounted", rules)
		}
		text = strings.ReplaceAll(text, rules, mounted[rules])
	}
	file := filepath.Join(t.TempDir(), "prometheus.yml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	promtool(t, "check", "config", file)
}
