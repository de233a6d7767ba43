package kubernetes_test

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/app"
	"github.com/tocsin-alerts/tocsin/workflows"
)

const example = "overlays/example"

func TestTheWholeSystemIsThere(t *testing.T) {
	b := build(t, example)
	var got []string
	for name := range b.labels {
		kind, _, _ := strings.Cut(name, "/")
		got = append(got, kind)
	}
	slices.Sort(got)
	want := []string{
		"ConfigMap", "Deployment", "Deployment", "HorizontalPodAutoscaler", "Ingress", "Job", "Namespace", "NetworkPolicy", "NetworkPolicy",
		"PodDisruptionBudget", "PodDisruptionBudget", "ScaledObject", "Secret", "Service", "ServiceAccount",
	}
	if !slices.Equal(got, want) {
		t.Errorf("the example has %v, want %v", got, want)
	}
}

// roles are how the pods' commands are parsed.
var roles = map[string]app.Roles{"serve": app.Serve, "worker": app.Work}

// Each program exists in the image, takes the flags it is given, and accepts all its
// settings.
func TestProgramsTakeTheirSettings(t *testing.T) {
	b := build(t, example)
	source := sources(t, "../../starter/internal/cli")
	known := sources(t, "../../app") + source
	for name, pod := range b.pods() {
		c := pod.Spec.Containers[0]
		if len(c.Command) > 0 && !strings.Contains(read(t, "../../Dockerfile"), "-o /out/"+filepath.Base(c.Command[0])+" ") {
			t.Errorf("%s runs %q, which the image does not have", name, c.Command)
		}
		args := c.Args
		if len(c.Command) == 0 { // the image's entrypoint is tocsin
			if !strings.Contains(source, `Use: "`+args[0]+`"`) {
				t.Errorf("%s runs tocsin %s, which is no command", name, args[0])
			}
			args = args[1:]
		}
		env := b.environment(t, c)
		for setting := range env {
			if strings.HasPrefix(setting, "TOCSIN_") && !strings.Contains(known, `"`+setting+`"`) {
				t.Errorf("%s sets %s, which nothing reads", name, setting)
			}
		}
		role, isProcess := roles[name]
		if !isProcess {
			if len(args) > 0 {
				t.Errorf("%s has the arguments %q", name, args)
			}
			continue
		}
		env["TOCSIN_SECRET_KEY"] = tocsin.GenerateKey("test") // the example's is none
		settings, err := app.ParseFlags(name, args, role, func(key string) string { return env[key] }, io.Discard)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		cfg, err := settings.Config(io.Discard)
		if err == nil {
			_, err = app.New(cfg)
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// environment is what a container sees of its own settings, the ConfigMap and the Secret.
func (b *built) environment(t *testing.T, c corev1.Container) map[string]string {
	t.Helper()
	env := map[string]string{}
	for _, from := range c.EnvFrom {
		switch {
		case from.ConfigMapRef != nil:
			config, ok := b.configs[from.ConfigMapRef.Name]
			if !ok {
				t.Errorf("%s reads ConfigMap %s, which is not there", c.Name, from.ConfigMapRef.Name)
			}
			for k, v := range config.Data {
				env[k] = v
			}
		case from.SecretRef != nil:
			secret, ok := b.secrets[from.SecretRef.Name]
			if !ok {
				t.Errorf("%s reads Secret %s, which is not there", c.Name, from.SecretRef.Name)
			}
			for k, v := range secret.Data {
				env[k] = string(v)
			}
		}
	}
	for _, e := range c.Env {
		env[e.Name] = e.Value
	}
	for _, wanted := range []string{"TOCSIN_DATABASE_URL", "TOCSIN_SECRET_KEY", "TEMPORAL_ADDRESS", "TEMPORAL_NAMESPACE"} {
		if env[wanted] == "" {
			t.Errorf("%s has no %s", c.Name, wanted)
		}
	}
	return env
}

// What listens, what is probed, and what the Service and the NetworkPolicies name is one
// and the same; a worker has the metrics listener only.
func TestPortsFit(t *testing.T) {
	b := build(t, example)
	want := map[string]map[string]string{
		"serve":   {"http": "TOCSIN_LISTEN", "metrics": "TOCSIN_METRICS_LISTEN"},
		"worker":  {"metrics": "TOCSIN_METRICS_LISTEN"},
		"migrate": {},
	}
	ports := map[string]bool{}
	for name, pod := range b.pods() {
		c := pod.Spec.Containers[0]
		env := b.environment(t, c)
		if len(c.Ports) != len(want[name]) {
			t.Errorf("%s has %d ports, want %d", name, len(c.Ports), len(want[name]))
		}
		for _, p := range c.Ports {
			ports[p.Name] = true
			if listen := env[want[name][p.Name]]; listen != fmt.Sprint("0.0.0.0:", p.ContainerPort) {
				t.Errorf("%s listens at %q for %s, and its port is %d", name, listen, p.Name, p.ContainerPort)
			}
		}
		if len(c.Ports) == 0 {
			continue
		}
		for path, probe := range map[string]*corev1.Probe{"/-/healthy": c.LivenessProbe, "/-/ready": c.ReadinessProbe} {
			if probe == nil || probe.HTTPGet == nil || probe.HTTPGet.Path != path || want[name][probe.HTTPGet.Port.StrVal] == "" {
				t.Errorf("%s: %s is probed as %+v", name, path, probe)
			}
		}
		if c.StartupProbe == nil || c.StartupProbe.HTTPGet.Path != "/-/healthy" {
			t.Errorf("%s: its start is probed as %+v", name, c.StartupProbe)
		}
		// ready may take 5 s to say that the store does not answer (app.ready).
		if c.ReadinessProbe.TimeoutSeconds <= 5 {
			t.Errorf("%s: its readiness probe waits %d s, and the answer may take 5", name, c.ReadinessProbe.TimeoutSeconds)
		}
		scrape := pod.Annotations["prometheus.io/port"]
		if scrape != fmt.Sprint(c.Ports[len(c.Ports)-1].ContainerPort) {
			t.Errorf("%s is scraped at port %q", name, scrape)
		}
	}
	for name, p := range b.policies {
		for _, rule := range p.Spec.Ingress {
			for _, at := range rule.Ports {
				if !ports[at.Port.StrVal] {
					t.Errorf("NetworkPolicy %s lets in to %v, where nothing listens", name, at.Port)
				}
			}
		}
	}
	service := b.services["tocsin"]
	if got := service.Spec.Ports[0].TargetPort.StrVal; got != "http" {
		t.Errorf("the Service leads to port %q", got)
	}
	for _, rule := range b.ingresses["tocsin"].Spec.Rules {
		for _, path := range rule.HTTP.Paths {
			if s := path.Backend.Service; s.Name != service.Name || s.Port.Name != service.Spec.Ports[0].Name {
				t.Errorf("the Ingress leads to %s:%s", s.Name, s.Port.Name)
			}
		}
	}
}

// Pods may do nothing that they don't need, and are given the time to end that they take.
func TestPodsAreClosedAndEndInOrder(t *testing.T) {
	b := build(t, example)
	for name, pod := range b.pods() {
		s, c := pod.Spec, pod.Spec.Containers[0]
		if len(s.Containers) != 1 || len(s.InitContainers) != 0 {
			t.Errorf("%s has %d containers, of which one is looked at", name, len(s.Containers)+len(s.InitContainers))
		}
		if p := s.SecurityContext; p == nil || !is(p.RunAsNonRoot) || p.RunAsUser == nil || *p.RunAsUser == 0 || p.SeccompProfile == nil || p.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault {
			t.Errorf("%s: its pod runs as %+v", name, p)
		}
		if p := c.SecurityContext; p == nil || !is(p.ReadOnlyRootFilesystem) || p.AllowPrivilegeEscalation == nil || *p.AllowPrivilegeEscalation || p.Capabilities == nil || !slices.Equal(p.Capabilities.Drop, []corev1.Capability{"ALL"}) {
			t.Errorf("%s: its container runs as %+v", name, p)
		}
		if s.AutomountServiceAccountToken == nil || *s.AutomountServiceAccountToken || len(b.accounts[s.ServiceAccountName].Name) == 0 {
			t.Errorf("%s has account %q and may have its token", name, s.ServiceAccountName)
		}
		if c.Resources.Requests.Cpu().IsZero() || c.Resources.Requests.Memory().IsZero() || c.Resources.Limits.Memory().IsZero() {
			t.Errorf("%s has resources %+v", name, c.Resources)
		}
		if !strings.Contains(c.Image, "/tocsin:") || strings.HasSuffix(c.Image, ":latest") {
			t.Errorf("%s has image %q", name, c.Image)
		}
	}
	for name, d := range b.deployments {
		s := d.Spec.Template.Spec
		needed := app.DefaultStopTimeout
		if l := s.Containers[0].Lifecycle; l != nil {
			needed += time.Duration(l.PreStop.Sleep.Seconds) * time.Second
		}
		if s.TerminationGracePeriodSeconds == nil || time.Duration(*s.TerminationGracePeriodSeconds)*time.Second <= needed {
			t.Errorf("%s is killed after %v s, and may take %s to stop", name, s.TerminationGracePeriodSeconds, needed)
		}
		if len(s.TopologySpreadConstraints) == 0 {
			t.Errorf("%s: its pods may all be on one machine", name)
		}
		for _, c := range s.TopologySpreadConstraints {
			b.mustSelect(t, name+": topology spread", c.LabelSelector, d.Spec.Template.Labels)
		}
		if r := d.Spec.Strategy.RollingUpdate; r == nil || r.MaxUnavailable.IntValue() != 0 {
			t.Errorf("%s: pods are taken away before new ones are ready", name)
		}
		budget := b.budgets[name]
		b.mustSelect(t, name+": disruption budget", budget.Spec.Selector, d.Spec.Template.Labels)
		b.mustSelect(t, name, d.Spec.Selector, d.Spec.Template.Labels)
	}
}

// mustSelect checks that a selector selects these pods, and of no other component.
func (b *built) mustSelect(t *testing.T, what string, s *metav1.LabelSelector, wanted map[string]string) {
	t.Helper()
	selector, err := metav1.LabelSelectorAsSelector(s)
	if err != nil {
		t.Errorf("%s: %v", what, err)
		return
	}
	for _, pod := range b.pods() {
		if want := pod.Labels[component] == wanted[component]; selector.Matches(labels.Set(pod.Labels)) != want {
			t.Errorf("%s: %q selects %s: %t", what, selector, pod.Labels[component], !want)
		}
	}
}

// The scalers ask for what is there, in the words of KEDA's Temporal scaler, and nothing
// else says how many pods there are.
func TestScalersFit(t *testing.T) {
	b := build(t, example)
	worker := b.scaled["tocsin-worker"].Spec
	env := b.environment(t, b.deployments["tocsin-worker"].Spec.Template.Spec.Containers[0])
	if worker.ScaleTargetRef.Name != "tocsin-worker" || worker.MinReplicaCount < 2 || worker.MaxReplicaCount <= worker.MinReplicaCount {
		t.Errorf("workers are scaled as %+v", worker)
	}
	// https://keda.sh/docs/2.21/scalers/temporal/
	allowed := []string{"endpoint", "namespace", "taskQueue", "queueTypes", "targetQueueSize", "activationTargetQueueSize"}
	meta := worker.Triggers[0].Metadata
	for name := range meta {
		if !slices.Contains(allowed, name) {
			t.Errorf("the trigger temporal has %s", name)
		}
	}
	if worker.Triggers[0].Type != "temporal" || meta["taskQueue"] != workflows.TaskQueue || meta["namespace"] != env["TEMPORAL_NAMESPACE"] || meta["endpoint"] != env["TEMPORAL_ADDRESS"] {
		t.Errorf("the scaler looks at %v; workers at %s, %s, %s", meta, env["TEMPORAL_ADDRESS"], env["TEMPORAL_NAMESPACE"], workflows.TaskQueue)
	}
	serve := b.hpas["tocsin-serve"].Spec
	if serve.ScaleTargetRef.Name != "tocsin-serve" || serve.MinReplicas == nil || *serve.MinReplicas < 2 {
		t.Errorf("serves are scaled as %+v", serve)
	}
	for name, d := range b.deployments {
		if d.Spec.Replicas != nil {
			t.Errorf("%s says it has %d pods, against its scaler", name, *d.Spec.Replicas)
		}
	}
}

// docs/operations.md applies one part after the other by this label.
func TestEveryObjectHasItsComponent(t *testing.T) {
	for name, l := range build(t, example).labels {
		if !slices.Contains([]string{"config", "migrate", "serve", "worker"}, l[component]) {
			t.Errorf("%s has the component %q", name, l[component])
		}
	}
}

func is(b *bool) bool { return b != nil && *b }

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// sources is the text of a folder's Go files.
func sources(t *testing.T, folder string) string {
	t.Helper()
	var all strings.Builder
	err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		all.WriteString(read(t, path))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all.String()
}
