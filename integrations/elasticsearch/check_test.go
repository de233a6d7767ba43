package elasticsearch_test

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/integrations/integrationtest"
)

// The answers to GET /.
const (
	elastic8   = `{"name":"n","cluster_name":"acme","version":{"number":"8.15.1","build_flavor":"default"},"tagline":"You Know, for Search"}`
	serverless = `{"cluster_name":"acme","version":{"number":"8.11.0","build_flavor":"serverless"}}`
	openSearch = `{"cluster_name":"acme","version":{"distribution":"opensearch","number":"2.17.0"},"tagline":"The OpenSearch Project: https://opensearch.org/"}`
)

// answers play a cluster by path: a status and a body.
type answers map[string]struct {
	status int
	body   string
}

func (a answers) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	said, ok := a[r.URL.Path]
	if !ok {
		fail(w, 404, "resource_not_found_exception", r.URL.Path)
		return
	}
	if body, _ := io.ReadAll(r.Body); r.URL.Path == "/_security/user/_has_privileges" {
		var asked struct {
			Index []struct{ Names, Privileges []string }
		}
		if json.Unmarshal(body, &asked) != nil || len(asked.Index) != 1 || len(asked.Index[0].Names) != 1 || asked.Index[0].Privileges[0] != "create_doc" {
			fail(w, 400, "parse_exception", string(body))
			return
		}
	}
	w.WriteHeader(said.status)
	_, _ = io.WriteString(w, said.body)
}

func may(create, configure bool) string {
	return fmt.Sprintf(`{"username":"u","has_all_requested":%v,"index":{"tocsin-alerts":{"create_doc":%v,"auto_configure":%v}}}`, create && configure, create, configure)
}

func TestCheck(t *testing.T) {
	const security, health = "/_security/user/_has_privileges", "/_cluster/health"
	key := map[string]any{"api_key": "key-id:key-secret"}
	for name, row := range map[string]struct {
		answers answers
		config  map[string]any
		found   string
		fault   string
	}{
		"all is well": {answers{"/": {200, elastic8}, security: {200, may(true, true)}, health: {200, `{"status":"green"}`}}, key,
			"writes to tocsin-alerts of cluster acme, Elasticsearch 8.15.1; the cluster is green", "ok"},
		"an index that must exist": {answers{"/": {200, elastic8}, security: {200, may(true, false)}}, key,
			"writes to tocsin-alerts of cluster acme, Elasticsearch 8.15.1; the index must exist already", "ok"},
		"a key that may only write": {answers{"/": {403, `{"error":{"type":"security_exception"}}`}, security: {200, may(true, true)}, health: {403, "{}"}}, key,
			"writes to tocsin-alerts (the credentials may not ask for the cluster's name)", "ok"},
		"no right to write": {answers{"/": {200, elastic8}, security: {200, may(false, true)}}, key, "", "webhook"},
		"no security":       {answers{"/": {200, elastic8}, security: {400, "{}"}, health: {200, `{"status":"red"}`}}, key, "whether it may write there was not to be found out; the cluster is red", "ok"},
		"no credentials":    {answers{"/": {200, elastic8}}, nil, "writes to tocsin-alerts of cluster acme, Elasticsearch 8.15.1", "ok"},
		"serverless":        {answers{"/": {200, serverless}, security: {200, may(true, true)}, health: {410, `{"error":{"type":"api_not_available_exception"}}`}}, key, "cluster acme, Elasticsearch Serverless", "ok"},
		"opensearch":        {answers{"/": {200, openSearch}, health: {200, `{"status":"yellow"}`}}, map[string]any{"username": "u", "password": "p"}, "cluster acme, OpenSearch 2.17.0; the cluster is yellow", "ok"},
		"a wrong key":       {answers{"/": {401, "{}"}}, key, "", "webhook"},
		"another product":   {answers{"/": {200, `{"hello":"world"}`}}, nil, "", "webhook"},
		"a login page":      {answers{"/": {200, "<html>"}}, nil, "", "webhook"},
		"nothing there":     {answers{}, nil, "", "webhook"},
		"starting":          {answers{"/": {503, "{}"}}, nil, "", "retry unsure"},
	} {
		server := httptest.NewServer(row.answers)
		found, exchanges, err := open(t, server.URL, row.config).(tocsin.Checker).Check(t.Context())
		server.Close()
		if outcome(err) != row.fault || !strings.Contains(found, row.found) || len(exchanges) == 0 {
			t.Errorf("%s: %q, %v, %d exchanges; want %q, %s", name, found, err, len(exchanges), row.found, row.fault)
		}
		if text := fmt.Sprintf("%s %v %+v", found, err, exchanges); strings.Contains(text, "key-secret") {
			t.Errorf("%s: shows the key: %s", name, text)
		}
	}
}

// TestCheckAsksForThePattern of a dated index.
func TestCheckAsksForThePattern(t *testing.T) {
	server := httptest.NewServer(answers{"/": {200, elastic8}, "/_security/user/_has_privileges": {200, strings.ReplaceAll(may(false, false), "alerts", "alerts-*")}})
	defer server.Close()
	_, _, err := open(t, server.URL, map[string]any{"api_key": "a:b", "index_date": "daily"}).(tocsin.Checker).Check(t.Context())
	if err == nil || !strings.Contains(err.Error(), "create_doc for tocsin-alerts-*") {
		t.Error(err)
	}
}

// TestOwnCertificateAuthority: a cluster's certificate is signed by the cluster's own
// authority, as Elasticsearch sets it up by itself.
func TestOwnCertificateAuthority(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(yes))
	defer server.Close()
	ca := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
	n := integrationtest.Notify(numbered(1)...)
	if _, err := open(t, server.URL, nil).Send(t.Context(), n); err == nil {
		t.Error("without the authority's certificate: want an error")
	}
	if _, err := open(t, server.URL, map[string]any{"ca_cert": ca}).Send(t.Context(), n); err != nil {
		t.Errorf("with it: %v", err)
	}
}
