package kubernetes_test

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

// built are the objects that `kubectl apply -k` would send, each decoded strictly: a
// field that Kubernetes does not have is an error.
type built struct {
	deployments map[string]appsv1.Deployment
	jobs        map[string]batchv1.Job
	budgets     map[string]policyv1.PodDisruptionBudget
	policies    map[string]networkingv1.NetworkPolicy
	services    map[string]corev1.Service
	ingresses   map[string]networkingv1.Ingress
	accounts    map[string]corev1.ServiceAccount
	configs     map[string]corev1.ConfigMap
	secrets     map[string]corev1.Secret
	namespaces  map[string]corev1.Namespace
	hpas        map[string]autoscalingv2.HorizontalPodAutoscaler
	scaled      map[string]scaledObject
	labels      map[string]map[string]string // of every object, by kind/name
}

// scaledObject is the part of KEDA's ScaledObject that is used here; what is not in it is
// an error. https://keda.sh/docs/2.21/reference/scaledobject-spec/
type scaledObject struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              struct {
		ScaleTargetRef struct {
			Name string `json:"name"`
		} `json:"scaleTargetRef"`
		PollingInterval int32 `json:"pollingInterval"`
		MinReplicaCount int32 `json:"minReplicaCount"`
		MaxReplicaCount int32 `json:"maxReplicaCount"`
		Fallback        struct {
			FailureThreshold int32  `json:"failureThreshold"`
			Replicas         int32  `json:"replicas"`
			Behavior         string `json:"behavior"`
		} `json:"fallback"`
		Advanced struct {
			HorizontalPodAutoscalerConfig struct {
				Behavior autoscalingv2.HorizontalPodAutoscalerBehavior `json:"behavior"`
			} `json:"horizontalPodAutoscalerConfig"`
		} `json:"advanced"`
		Triggers []struct {
			Type       string            `json:"type"`
			MetricType string            `json:"metricType"`
			Metadata   map[string]string `json:"metadata"`
		} `json:"triggers"`
	} `json:"spec"`
}

// build renders a folder as `kubectl kustomize` does, with what secret.env.example says
// for secrets.
func build(t *testing.T, folder string) built {
	t.Helper()
	disk := filesys.MakeFsInMemory()
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if d.Name() == "secret.env" {
			return nil // somebody's own
		}
		return disk.WriteFile(filepath.Join("/k", strings.TrimSuffix(path, ".example")), content)
	})
	if err != nil {
		t.Fatal(err)
	}
	resources, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(disk, filepath.Join("/k", folder))
	if err != nil {
		t.Fatalf("building %s: %v", folder, err)
	}
	text, err := resources.AsYaml()
	if err != nil {
		t.Fatal(err)
	}
	b := built{
		deployments: map[string]appsv1.Deployment{}, jobs: map[string]batchv1.Job{}, budgets: map[string]policyv1.PodDisruptionBudget{},
		policies: map[string]networkingv1.NetworkPolicy{}, services: map[string]corev1.Service{}, ingresses: map[string]networkingv1.Ingress{},
		accounts: map[string]corev1.ServiceAccount{}, configs: map[string]corev1.ConfigMap{}, secrets: map[string]corev1.Secret{},
		namespaces: map[string]corev1.Namespace{}, hpas: map[string]autoscalingv2.HorizontalPodAutoscaler{}, scaled: map[string]scaledObject{},
		labels: map[string]map[string]string{},
	}
	for document := range bytes.SplitSeq(text, []byte("\n---\n")) {
		b.add(t, document)
	}
	return b
}

func (b *built) add(t *testing.T, document []byte) {
	t.Helper()
	var head struct {
		metav1.TypeMeta   `json:",inline"`
		metav1.ObjectMeta `json:"metadata"`
	}
	if err := yaml.Unmarshal(document, &head); err != nil {
		t.Fatalf("%v:\n%s", err, document)
	}
	b.labels[head.Kind+"/"+head.Name] = head.Labels
	switch head.APIVersion + " " + head.Kind {
	case "apps/v1 Deployment":
		into(t, b.deployments, head.Name, document)
	case "batch/v1 Job":
		into(t, b.jobs, head.Name, document)
	case "policy/v1 PodDisruptionBudget":
		into(t, b.budgets, head.Name, document)
	case "networking.k8s.io/v1 NetworkPolicy":
		into(t, b.policies, head.Name, document)
	case "networking.k8s.io/v1 Ingress":
		into(t, b.ingresses, head.Name, document)
	case "v1 Service":
		into(t, b.services, head.Name, document)
	case "v1 ServiceAccount":
		into(t, b.accounts, head.Name, document)
	case "v1 ConfigMap":
		into(t, b.configs, head.Name, document)
	case "v1 Secret":
		into(t, b.secrets, head.Name, document)
	case "v1 Namespace":
		into(t, b.namespaces, head.Name, document)
	case "autoscaling/v2 HorizontalPodAutoscaler":
		into(t, b.hpas, head.Name, document)
	case "keda.sh/v1alpha1 ScaledObject":
		into(t, b.scaled, head.Name, document)
	default:
		t.Errorf("%s %s %s: no test reads this kind", head.APIVersion, head.Kind, head.Name)
	}
}

func into[T any](t *testing.T, all map[string]T, name string, document []byte) {
	t.Helper()
	var one T
	if err := yaml.UnmarshalStrict(document, &one); err != nil {
		t.Errorf("%s: %v", name, err)
	}
	all[name] = one
}

// pods are the pod templates, by the component they are labelled as.
func (b *built) pods() map[string]corev1.PodTemplateSpec {
	all := map[string]corev1.PodTemplateSpec{}
	for _, d := range b.deployments {
		all[d.Spec.Template.Labels[component]] = d.Spec.Template
	}
	for _, j := range b.jobs {
		all[j.Spec.Template.Labels[component]] = j.Spec.Template
	}
	return all
}

const component = "app.kubernetes.io/component"
