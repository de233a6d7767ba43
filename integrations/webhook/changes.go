package webhook

import (
	"encoding/json"
	"strings"

	tocsin "github.com/tocsin-alerts/tocsin"
)

// changeNames are the variables ${AKTO.changes_info.<name>} that a body template may
// use: names people know from the product this pipeline serves.
var changeNames = []string{
	"newEndpoints", "newEndpointsCount",
	"newSensitiveEndpoints", "newSensitiveEndpointsCount",
	"newParametersCount", "newSensitiveParametersCount",
	"apiThreatPayloads",
}

// newEndpoint is an element of newEndpoints.
type newEndpoint struct {
	Host           json.RawMessage `json:"host"`
	Path           json.RawMessage `json:"path"`
	Method         json.RawMessage `json:"method"`
	CollectionID   json.RawMessage `json:"apiCollectionId"`
	CollectionName json.RawMessage `json:"collectionName"`
}

// sensitiveEndpoint is an element of newSensitiveEndpoints.
type sensitiveEndpoint struct {
	URL            json.RawMessage `json:"url"`
	Method         json.RawMessage `json:"method"`
	SubTypes       json.RawMessage `json:"subTypes"`
	Link           string          `json:"link"`
	CollectionID   json.RawMessage `json:"apiCollectionId"`
	CollectionName json.RawMessage `json:"collectionName"`
}

// changesInfo computes every variable for a delivery.
func changesInfo(events []tocsin.Event) map[string]any {
	endpoints, sensitive, threats := []newEndpoint{}, []sensitiveEndpoint{}, []threat{}
	parameters, sensitiveParameters := 0, 0
	for i := range events {
		e := &events[i]
		switch e.Type {
		case "endpoint.discovered":
			var x newEndpoint
			_ = json.Unmarshal(e.Data, &x) // missing keys are null
			endpoints = append(endpoints, x)
		case "parameter.discovered":
			parameters++
			if isSensitive(e) {
				sensitiveParameters++
			}
		case "data.sensitive":
			if isParameter(e) {
				sensitiveParameters++
			} else {
				sensitive = append(sensitive, sensitiveOf(e))
			}
		case threatType:
			threats = append(threats, threatOf(e))
		}
	}
	return map[string]any{
		"newEndpoints": endpoints, "newEndpointsCount": len(endpoints),
		"newSensitiveEndpoints": sensitive, "newSensitiveEndpointsCount": len(sensitive),
		"newParametersCount": parameters, "newSensitiveParametersCount": sensitiveParameters,
		"apiThreatPayloads": threats,
	}
}

// sensitiveOf reads what data.sensitive calls data_types as subTypes, unless the
// producer gave subTypes itself.
func sensitiveOf(e *tocsin.Event) sensitiveEndpoint {
	var x sensitiveEndpoint
	var types struct {
		DataTypes json.RawMessage `json:"data_types"`
	}
	_, _ = json.Unmarshal(e.Data, &x), json.Unmarshal(e.Data, &types)
	if x.SubTypes == nil {
		x.SubTypes = types.DataTypes
	}
	if e.Link != "" {
		x.Link = e.Link
	}
	return x
}

// isParameter tells a sensitive parameter from a sensitive endpoint: its subject, or
// its data, names a parameter.
func isParameter(e *tocsin.Event) bool {
	var data struct {
		Parameter string `json:"parameter"`
	}
	_ = json.Unmarshal(e.Data, &data)
	return data.Parameter != "" || strings.HasPrefix(e.Subject, "parameter/")
}

func isSensitive(e *tocsin.Event) bool {
	var data struct {
		Sensitive bool `json:"sensitive"`
	}
	_ = json.Unmarshal(e.Data, &data)
	return data.Sensitive
}
