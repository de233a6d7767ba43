package sentinel_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// azure plays Entra's token endpoint and a data collection endpoint. It checks the grant,
// the token and the rule, holds bodies to 1 MB, and cuts fields over 64 KB in silence,
// which is counted. It does not know the table: that a stream's declaration fits the rows
// is a test of its own (TestDeclaration).
type azure struct {
	t      *testing.T
	secret string
	life   string // what is said of a token's life, as JSON
	role   bool
	// tokenAnswers and answers replace the next answers.
	tokenAnswers, answers []func(w http.ResponseWriter)

	mu      sync.Mutex
	granted int
	valid   map[string]bool
	calls   int
	cut     int
	rows    []map[string]any
}

func newAzure(t *testing.T) *azure {
	return &azure{t: t, secret: secret, life: "3599", role: true, valid: map[string]bool{}}
}

func (a *azure) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if strings.HasSuffix(r.URL.Path, "/oauth2/v2.0/token") {
		a.grant(w, r)
		return
	}
	a.ingest(w, r)
}

func next(list *[]func(w http.ResponseWriter), w http.ResponseWriter) bool {
	if len(*list) == 0 {
		return false
	}
	f := (*list)[0]
	*list = (*list)[1:]
	if f != nil {
		f(w)
	}
	return f != nil
}

// refuse is Entra's no.
func (a *azure) refuse(w http.ResponseWriter, status int, word, description string) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(map[string]any{"error": word, "error_description": description, "error_codes": []int{1}}); err != nil {
		a.t.Error(err)
	}
}

func (a *azure) grant(w http.ResponseWriter, r *http.Request) {
	if next(&a.tokenAnswers, w) {
		return
	}
	if err := r.ParseForm(); err != nil {
		a.refuse(w, 400, "invalid_request", err.Error())
		return
	}
	switch {
	case r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/x-www-form-urlencoded" || r.PostForm.Get("grant_type") != "client_credentials":
		a.refuse(w, 400, "unsupported_grant_type", "AADSTS70003: not supported")
	case r.URL.Path != "/"+tenant+"/oauth2/v2.0/token":
		a.refuse(w, 400, "invalid_request", "AADSTS90002: Tenant not found.")
	case r.PostForm.Get("client_id") != client:
		a.refuse(w, 400, "unauthorized_client", "AADSTS700016: Application was not found in the directory.")
	case r.PostForm.Get("client_secret") != a.secret:
		a.refuse(w, 401, "invalid_client", "AADSTS7000215: Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID.")
	case r.PostForm.Get("scope") != "https://monitor.azure.com/.default":
		a.refuse(w, 400, "invalid_scope", "AADSTS70011: The provided request must include a 'scope' input parameter.")
	default:
		a.granted++
		token := fmt.Sprintf("eyJ0eXAi.canary-token-%d.c2ln", a.granted)
		a.valid[token] = true
		fmt.Fprintf(w, `{"token_type":"Bearer","expires_in":%s,"ext_expires_in":3599,"access_token":%q}`, a.life, token)
	}
}

// fail is Azure Monitor's no.
func (a *azure) fail(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(map[string]any{"error": map[string]string{"code": code, "message": message}}); err != nil {
		a.t.Error(err)
	}
}

func (a *azure) ingest(w http.ResponseWriter, r *http.Request) {
	a.calls++
	token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	switch {
	case !a.valid[token]:
		a.fail(w, 401, "InvalidToken", "The token is not valid")
		return
	case next(&a.answers, w):
		return
	case !a.role:
		a.fail(w, 403, "OperationFailed", "The authentication token provided does not have access to ingest data for the data collection rule with immutable Id '"+rule+"'.")
		return
	case r.URL.Path != "/dataCollectionRules/"+rule+"/streams/Custom-TocsinAlerts" || r.URL.Query().Get("api-version") != "2023-01-01":
		a.fail(w, 404, "NotFound", "Data collection rule was not found")
		return
	}
	from := io.Reader(r.Body)
	if r.Header.Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(r.Body)
		if err != nil {
			a.fail(w, 400, "InvalidRequest", "gzip")
			return
		}
		from = z
	}
	body, err := io.ReadAll(from)
	var rows []map[string]any
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	switch {
	case err == nil && len(body) > 1_000_000:
		a.fail(w, 413, "ContentLengthLimitExceeded", "Maximum allowed content length: 1048576 bytes (1 MB).")
	case err != nil, r.Header.Get("Content-Type") != "application/json", d.Decode(&rows) != nil:
		a.fail(w, 400, "InvalidRequest", "not a JSON array")
	default:
		a.take(rows)
		w.WriteHeader(http.StatusNoContent)
	}
}

func (a *azure) take(rows []map[string]any) {
	for _, row := range rows {
		for name, value := range row {
			text, ok := value.(string)
			if !ok {
				encoded, err := json.Marshal(value)
				if err != nil {
					a.t.Error(err)
				}
				text = string(encoded)
			}
			if len(text) > 64_000 {
				a.cut++
				a.t.Errorf("%s is %d bytes long", name, len(text))
			}
		}
		if _, err := time.Parse(time.RFC3339Nano, fmt.Sprint(row["TimeGenerated"])); err != nil {
			a.t.Error(err)
		}
		a.rows = append(a.rows, row)
	}
}
