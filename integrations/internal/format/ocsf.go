package format

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/integrations/internal/alert"
)

// OCSFVersion is the version of the schema that [OCSF] follows.
// https://schema.ocsf.io/1.9.0/classes/detection_finding
const OCSFVersion = "1.9.0"

// The numbers of a Detection Finding.
const (
	categoryFindings = 2
	classDetection   = 2004
)

// activity is what happened to the finding.
type activity struct {
	id       int
	name     string
	statusID int
	status   string
}

// The activities of a finding and the statuses they leave it in.
var (
	created = activity{1, "Create", 1, "New"}
	updated = activity{2, "Update", 2, "In Progress"}
	closed  = activity{3, "Close", 4, "Resolved"}
)

// activityOf tells the activity from one event alone. Each firing is a Create with a
// metadata.uid of its own and the finding_info.uid of its incident, by which a SIEM finds
// what belongs together: that an incident fires again is not known here, and guessing it
// from what was sent before would make the bytes differ between attempts.
func activityOf(e *tocsin.Event) activity {
	switch {
	case e.Status == tocsin.Resolved:
		return closed
	case e.Type == tocsin.TypeIncidentAcknowledged:
		return updated
	}
	return created
}

// severities are severity_id and its caption.
var severities = map[tocsin.Severity]struct {
	id   int
	name string
}{
	tocsin.SeverityNone: {0, "Unknown"}, tocsin.SeverityInfo: {1, "Informational"}, tocsin.SeverityLow: {2, "Low"},
	tocsin.SeverityMedium: {3, "Medium"}, tocsin.SeverityHigh: {4, "High"}, tocsin.SeverityCritical: {5, "Critical"},
}

// finding is a Detection Finding: the attributes used here, in the order they are read in.
type finding struct {
	ActivityID   int    `json:"activity_id"`
	ActivityName string `json:"activity_name"`
	CategoryUID  int    `json:"category_uid"`
	CategoryName string `json:"category_name"`
	ClassUID     int    `json:"class_uid"`
	ClassName    string `json:"class_name"`
	TypeUID      int    `json:"type_uid"`
	TypeName     string `json:"type_name"`
	SeverityID   int    `json:"severity_id"`
	Severity     string `json:"severity"`
	StatusID     int    `json:"status_id"`
	Status       string `json:"status"`
	StatusDetail string `json:"status_detail,omitempty"`
	IsAlert      bool   `json:"is_alert"`
	Time         int64  `json:"time"`
	Message      string `json:"message,omitempty"`

	Metadata        metadata        `json:"metadata"`
	Info            findingInfo     `json:"finding_info"`
	RiskScore       *int64          `json:"risk_score,omitempty"`
	Resources       []resource      `json:"resources,omitempty"`
	Evidences       []evidence      `json:"evidences,omitempty"`
	Observables     []observable    `json:"observables,omitempty"`
	Vulnerabilities []vulnerability `json:"vulnerabilities,omitempty"`
	Remediation     *remediation    `json:"remediation,omitempty"`
}

type metadata struct {
	Version       string     `json:"version"`
	Product       product    `json:"product"`
	UID           string     `json:"uid"`
	EventCode     string     `json:"event_code,omitempty"`
	LogProvider   string     `json:"log_provider"`
	LogSource     string     `json:"log_source,omitempty"`
	OriginalTime  string     `json:"original_time,omitempty"`
	ProcessedTime int64      `json:"processed_time,omitempty"`
	Tags          []keyValue `json:"tags,omitempty"`
}

type product struct {
	Name       string `json:"name"`
	VendorName string `json:"vendor_name"`
}

type keyValue struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

type findingInfo struct {
	UID          string   `json:"uid"`
	Title        string   `json:"title"`
	Desc         string   `json:"desc,omitempty"`
	Types        []string `json:"types"`
	CreatedTime  int64    `json:"created_time,omitempty"`
	ModifiedTime int64    `json:"modified_time,omitempty"`
	DataSources  []string `json:"data_sources,omitempty"`
	SrcURL       string   `json:"src_url,omitempty"`
	Analytic     analytic `json:"analytic"`
}

type analytic struct {
	TypeID   int    `json:"type_id"`
	Type     string `json:"type"`
	Name     string `json:"name,omitempty"`
	UID      string `json:"uid,omitempty"`
	Category string `json:"category,omitempty"`
}

// OCSF is the event as a Detection Finding (class 2004) of OCSF 1.9. An event that fires
// is a Create, somebody's acknowledgement of its incident an Update, and one that is
// resolved a Close; finding_info.uid is the dedup key, metadata.uid the event's id. What
// data has stays whole under unmapped, beside the attributes that are made from it.
func OCSF(e *tocsin.Event) (json.RawMessage, error) {
	d := dataOf(e)
	act, severity := activityOf(e), severities[e.Severity]
	if severity.name == "" {
		severity.name = severities[tocsin.SeverityNone].name
	}
	at := occurred(e)
	f := finding{
		ActivityID: act.id, ActivityName: act.name, CategoryUID: categoryFindings, CategoryName: "Findings",
		ClassUID: classDetection, ClassName: "Detection Finding",
		TypeUID: classDetection*100 + act.id, TypeName: "Detection Finding: " + act.name,
		SeverityID: severity.id, Severity: severity.name, StatusID: act.statusID, Status: act.status,
		StatusDetail: d.statusDetail(e), IsAlert: act == created, Time: at, Message: alert.Name(e),
		Metadata: metadataOf(e), Info: infoOf(e, d, act, at),
		RiskScore: d.riskScore(e), Resources: resourcesOf(e, d), Evidences: evidencesOf(e, d),
		Vulnerabilities: vulnerabilitiesOf(e, d), Remediation: d.remediation(),
	}
	f.Observables = observablesOf(f.Evidences)
	text, err := encode(f)
	if err != nil {
		return nil, fmt.Errorf("encoding event %q: %w", e.ID, err)
	}
	unmapped := []byte(e.Data)
	if len(unmapped) > 0 && !d.object {
		unmapped = slices.Concat([]byte(`{"data":`), unmapped, []byte("}")) // the schema wants an object
	}
	return with(text, "unmapped", unmapped, e)
}

// occurred is when the event happened, in milliseconds; the receipt where nothing is said.
func occurred(e *tocsin.Event) int64 {
	if e.Time.IsZero() {
		return milliseconds(e.ReceivedAt)
	}
	return milliseconds(e.Time)
}

func milliseconds(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func metadataOf(e *tocsin.Event) metadata {
	m := metadata{
		Version: OCSFVersion, Product: product{"Tocsin", "Tocsin"}, UID: e.ID, EventCode: e.Type, LogProvider: "Tocsin", LogSource: e.Source,
		ProcessedTime: milliseconds(e.ReceivedAt), Tags: tagsOf(e.Labels),
	}
	if !e.Time.IsZero() {
		m.OriginalTime = e.Time.UTC().Format(time.RFC3339Nano)
	}
	return m
}

func infoOf(e *tocsin.Event, d data, act activity, at int64) findingInfo {
	info := findingInfo{
		UID: alert.DedupKey(e), Title: titleOf(e), Desc: e.Summary, Types: []string{e.Type}, SrcURL: alert.Link(e), Analytic: analyticOf(e, d),
	}
	if e.Source != "" {
		info.DataSources = []string{e.Source}
	}
	if act == created {
		info.CreatedTime = at
	} else {
		info.ModifiedTime = at
	}
	return info
}

// titleOf keeps the mark of a test, which [alert.Name] leaves to headlines.
func titleOf(e *tocsin.Event) string {
	if mark := alert.TestMark(tocsin.Notification{Test: true}); strings.HasPrefix(e.Title, mark) {
		return e.Title
	}
	return alert.Name(e)
}
