package elasticsearch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/integrations/internal/post"
)

// cluster is what a cluster says of itself.
// https://www.elastic.co/docs/api/doc/elasticsearch/operation/operation-info
// https://docs.opensearch.org/latest/api-reference/info/
type cluster struct {
	Name    string `json:"cluster_name"`
	Version struct {
		Number       string `json:"number"`
		Distribution string `json:"distribution"` // "opensearch", or absent
		Flavor       string `json:"build_flavor"` // "serverless"
	} `json:"version"`
}

// product is the cluster's software and its version.
func (c cluster) product() string {
	switch {
	case c.Version.Distribution == "opensearch":
		return "OpenSearch " + c.Version.Number
	case c.Version.Flavor == "serverless":
		return "Elasticsearch Serverless"
	}
	return "Elasticsearch " + c.Version.Number
}

// privileges are what the index is asked for: the first is enough for one that exists.
// https://www.elastic.co/docs/deploy-manage/users-roles/cluster-or-deployment-auth/elasticsearch-privileges#privileges-list-indices
const (
	mayCreate    = "create_doc"
	mayConfigure = "auto_configure"
)

// Check implements tocsin.Checker: it asks who the cluster is, whether the credentials may
// write to the index, and how the cluster feels. A key that may do nothing but write is
// not told the first and the last, and is fine.
func (s *sender) Check(ctx context.Context) (string, []tocsin.Exchange, error) {
	session := s.client.Session(s.redact)
	found, err := "", s.checkAtSend(ctx)
	if err == nil {
		found, err = s.check(ctx, session)
	}
	if err != nil {
		err = fmt.Errorf("asking %s: %w", s.host, err)
	}
	return found, session.Exchanges(), err
}

func (s *sender) check(ctx context.Context, session *post.Session) (string, error) {
	var c cluster
	err := s.ask(ctx, session, http.MethodGet, "/", nil, &c)
	if err != nil && !forbidden(err) {
		return "", err
	}
	found := "writes to " + s.config.pattern()
	switch {
	case err != nil:
		found += " (the credentials may not ask for the cluster's name)"
	case c.Version.Number == "":
		return "", tocsin.Refused(post.Errorf(post.ClassBody, "what answers is neither Elasticsearch nor OpenSearch"))
	default:
		found += fmt.Sprintf(" of cluster %.100s, %.60s", c.Name, c.product())
	}
	missing, err := s.checkPrivileges(ctx, session, c)
	if err != nil {
		return "", err
	}
	return found + missing + s.health(ctx, session), nil
}

// checkPrivileges asks Elasticsearch what the credentials may do to the index; everybody
// may ask for himself. OpenSearch has no such question, and a cluster without security no
// answer.
// https://www.elastic.co/docs/api/doc/elasticsearch/operation/operation-security-has-privileges
func (s *sender) checkPrivileges(ctx context.Context, session *post.Session, c cluster) (string, error) {
	if s.config.auth == "" || c.Version.Distribution == "opensearch" {
		return "", nil
	}
	index := map[string]any{"names": []string{s.config.pattern()}, "privileges": []string{mayCreate, mayConfigure}}
	body, err := json.Marshal(map[string]any{"index": []any{index}})
	if err != nil {
		return "", err
	}
	var answer struct {
		Index map[string]map[string]bool `json:"index"`
	}
	err = s.ask(ctx, session, http.MethodPost, "/_security/user/_has_privileges", body, &answer)
	may, known := answer.Index[s.config.pattern()]
	switch {
	case unauthorized(err):
		return "", err
	case err != nil || !known:
		return "; whether it may write there was not to be found out", nil
	case !may[mayCreate]:
		return "", tocsin.Refused(post.Errorf(post.ClassStatus, "the credentials lack the privilege %s for %s", mayCreate, s.config.pattern()))
	case !may[mayConfigure]:
		return "; the index must exist already", nil
	}
	return "", nil
}

// health is the status of the cluster where it may be asked for.
// https://www.elastic.co/docs/api/doc/elasticsearch/operation/operation-cluster-health
func (s *sender) health(ctx context.Context, session *post.Session) string {
	var answer struct{ Status string }
	if s.ask(ctx, session, http.MethodGet, "/_cluster/health", nil, &answer) != nil || answer.Status == "" {
		return ""
	}
	return fmt.Sprintf("; the cluster is %.10s", answer.Status)
}

// ask makes one request and reads its JSON answer.
func (s *sender) ask(ctx context.Context, session *post.Session, method, path string, body []byte, into any) error {
	header := s.header()
	if body != nil {
		header.Set("Content-Type", "application/json")
	}
	res, err := session.Do(ctx, post.Request{Method: method, URL: s.config.url + path, Header: header, Body: body})
	if err != nil {
		return err
	}
	var a answer
	_ = json.Unmarshal(res.Body, &a) // for the words of an error
	if err := failure(res.Status, res.Header, a.Error, res.Exchange.ResponseBody); err != nil {
		return &statusError{res.Status, err}
	}
	if json.Unmarshal(res.Body, into) != nil {
		return tocsin.Refused(post.Errorf(post.ClassBody, "answered %d, but not with JSON, so the address may be wrong: %.200q", res.Status, strings.TrimSpace(res.Exchange.ResponseBody)))
	}
	return nil
}

// statusError is a classified error with the status it comes from.
type statusError struct {
	status int
	err    error
}

func (e *statusError) Error() string { return e.err.Error() }

func (e *statusError) Unwrap() error { return e.err }

func hasStatus(err error, status int) bool {
	var e *statusError
	return errors.As(err, &e) && e.status == status
}

func forbidden(err error) bool    { return hasStatus(err, http.StatusForbidden) }
func unauthorized(err error) bool { return hasStatus(err, http.StatusUnauthorized) }
