package elasticsearch

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/integrations/internal/post"
)

// answer is what the bulk API says, and every error.
type answer struct {
	// Errors is nil when this is no answer to a bulk request.
	Errors *bool             `json:"errors"`
	Items  []map[string]item `json:"items"`
	Error  problem           `json:"error"`
}

// item is the result of one document, under the name of its action.
type item struct {
	Status int     `json:"status"`
	Error  problem `json:"error"`
}

// problem is an error: an object, or of some proxies and old versions a text.
type problem struct{ Type, Reason string }

// UnmarshalJSON implements json.Unmarshaler. What cannot be read is no problem's name.
func (p *problem) UnmarshalJSON(text []byte) error {
	var object struct{ Type, Reason string }
	if json.Unmarshal(text, &object) == nil {
		p.Type, p.Reason = object.Type, object.Reason
		return nil
	}
	_ = json.Unmarshal(text, &p.Reason)
	return nil
}

func (p problem) String() string {
	if p.Type == "" || p.Reason == "" {
		return p.Type + p.Reason
	}
	return p.Type + ": " + p.Reason
}

// theWebhooks are errors with status 400 that are about the index, the pipeline or the
// alias, and not about the document.
// https://www.elastic.co/docs/troubleshoot/elasticsearch lists what they mean; the names are
// those of the classes in
// https://github.com/elastic/elasticsearch/blob/main/server/src/main/java/org/elasticsearch/ElasticsearchException.java
var theWebhooks = map[string]bool{
	"index_not_found_exception": true, "index_closed_exception": true, "invalid_index_name_exception": true,
	"action_request_validation_exception": true, "validation_exception": true, // the latter: too many shards
}

// theWebhooksReasons are beginnings of reasons of an illegal_argument_exception, which
// otherwise is about the document ("Limit of total fields [1000] has been exceeded").
var theWebhooksReasons = []string{
	"no write index is defined for alias", "pipeline with id", "only write ops with an op_type of create are allowed in data streams",
	"explicit index in bulk is not allowed", "Validation Failed: 1: this action would add", // shards
}

// fullDisk begins the block that a full disk puts on an index, and that goes away by
// itself; before Elasticsearch 7.8, and in OpenSearch, its status is 403.
// https://github.com/elastic/elasticsearch/pull/50166
const fullDisk = "/12/"

// fault corrects what a status alone says.
func fault(status int, p problem) (tocsin.Fault, bool) {
	switch {
	case p.Type == "cluster_block_exception" && strings.Contains(p.Reason, fullDisk):
		return tocsin.FaultRetry, true
	case status != http.StatusBadRequest:
		return "", false
	case theWebhooks[p.Type]:
		return tocsin.FaultWebhook, true
	case p.Type == "illegal_argument_exception":
		for _, begin := range theWebhooksReasons {
			if strings.HasPrefix(p.Reason, begin) {
				return tocsin.FaultWebhook, true
			}
		}
	}
	return "", false
}

// failure classifies a status with what was said beside it; nil means accepted. shown is
// the words without secrets.
func failure(status int, header http.Header, p problem, shown string) error {
	err := post.Classify(status, header, shown)
	if err == nil {
		return nil
	}
	s := *tocsin.Classify(err)
	if f, known := fault(status, p); known {
		s.Fault = f
		s.Unsure = false // it was refused by name
	}
	return &s
}

// read turns the answer to a bulk request of n documents into results, or into an error
// about all of them.
func (s *sender) read(res post.Response, n int) ([]tocsin.Result, error) {
	var a answer
	bad := json.Unmarshal(res.Body, &a)
	if res.BodyCut {
		a, bad = s.cut(res.Body, n), nil
	}
	if err := failure(res.Status, res.Header, a.Error, res.Exchange.ResponseBody); err != nil {
		return nil, fmt.Errorf("writing to %s: %w", s.host, err)
	}
	switch {
	case res.BodyErr != nil:
		return nil, fmt.Errorf("writing to %s: %w", s.host, res.BodyErr)
	case bad != nil || a.Errors == nil:
		return nil, tocsin.Unsure(tocsin.Refused(post.Errorf(post.ClassBody, "writing to %s: answered %d, but not as the bulk API does, so the address may be wrong: %.200q",
			s.host, res.Status, res.Exchange.ResponseBody)))
	case !*a.Errors:
		return nil, nil
	case len(a.Items) != n:
		return nil, tocsin.Unsure(post.Errorf(post.ClassBody, "writing to %s: the answer has %d results for %d documents", s.host, len(a.Items), n))
	}
	return s.results(a.Items, res.Header)
}

// cut is what can be read of an answer that is longer than what is kept of it. Documents
// behind the cut have no result, and are sent again. The first has one even if it is cut
// off itself, so that the same answer does not come for ever.
func (s *sender) cut(body []byte, n int) answer {
	a, doubtful := salvage(body)
	if doubtful && n > 1 {
		a.Items = a.Items[:len(a.Items)-1]
	}
	if len(a.Items) > 0 && a.Errors == nil {
		a.Errors = new(true) // it stands behind the cut
	}
	for len(a.Items) > 0 && len(a.Items) < n {
		a.Items = append(a.Items, nil)
	}
	return a
}

// results are one per document. Those that are to be sent again have one error in common,
// the gravest: the pipeline judges by it. When several documents are refused and none is
// taken, that may be the index's fault all the same (a strict mapping), so no result says
// that they are dead: the pipeline halves them down to single ones, and holds the rest
// after some.
func (s *sender) results(items []map[string]item, header http.Header) ([]tocsin.Result, error) {
	out := make([]tocsin.Result, len(items))
	var common *tocsin.SendError
	refused := 0
	for i, it := range items {
		err := s.itemError(it, header)
		switch {
		case err == nil:
			continue
		case err.Fault == tocsin.FaultEvent:
			refused++
		case common == nil || common.Fault == tocsin.FaultRetry && err.Fault != tocsin.FaultRetry:
			common = err
		}
		out[i].Err = err
	}
	if refused > 1 && refused == len(items) {
		return nil, out[0].Err
	}
	for i := range out {
		if out[i].Err != nil && tocsin.Classify(out[i].Err).Fault != tocsin.FaultEvent {
			out[i].Err = common
		}
	}
	return out, nil
}

// itemError is what became of one document; nil when it is stored. 409 says that it was
// stored before: the id is the event's own.
func (s *sender) itemError(it map[string]item, header http.Header) *tocsin.SendError {
	for _, result := range it { // one, named after its action
		switch result.Status {
		case http.StatusConflict:
			return nil
		case 0:
			continue
		}
		shown := s.redact.Text(result.Error.String())
		err := failure(result.Status, header, result.Error, shown)
		if err == nil {
			return nil
		}
		e := *tocsin.Classify(err)
		e.Err = fmt.Errorf("writing to %s: document %w", s.host, e.Err)
		return &e
	}
	return tocsin.Classify(tocsin.Unsure(post.Errorf(post.ClassBody, "writing to %s: the answer has no result for a document", s.host)))
}
