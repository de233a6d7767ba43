package jira_test

import (
	"net/http"
	"regexp"
	"slices"
	"strings"
)

var (
	queryForm = regexp.MustCompile(`^project = "SEC" AND \(labels in \(([^)]*)\) OR (.*)\) ORDER BY created DESC$`)
	inQuotes  = regexp.MustCompile(`"([^"]*)"`)
)

// search understands the one query that there is.
func (f *fake) search(w http.ResponseWriter, r *http.Request) {
	jql := r.URL.Query().Get("jql")
	form := queryForm.FindStringSubmatch(jql)
	if form == nil {
		refuse(w, 400, nil, "Error in the JQL Query: "+jql)
		return
	}
	visible := f.issues
	if f.cloud {
		visible = f.issues[:f.indexed]
	}
	list := []any{}
	for _, i := range slices.Backward(visible) {
		if i.deleted || !matches(i, inQuotes.FindAllStringSubmatch(form[1], -1), inQuotes.FindAllStringSubmatch(form[2], -1)) {
			continue
		}
		shown := map[string]any{}
		for _, field := range strings.Split(r.URL.Query().Get("fields"), ",") {
			switch field {
			case "status":
				shown["status"] = f.status(i)
			case "labels", "description":
				shown[field] = i.fields[field]
			}
		}
		if f.cloud && len(shown) == 0 {
			list = append(list, map[string]any{"id": i.id})
			continue
		}
		list = append(list, map[string]any{"id": i.id, "key": i.key, "fields": shown})
	}
	write(w, 200, map[string]any{"issues": list, "isLast": true})
}

// matches looks for a label, or for a whole word of the description.
func matches(i *issue, labels, words [][]string) bool {
	has, _ := i.fields["labels"].([]any)
	for _, l := range labels {
		if slices.Contains(has, any(l[1])) {
			return true
		}
	}
	description, _ := i.fields["description"].(string)
	for _, word := range words {
		if slices.Contains(strings.Fields(description), word[1]) {
			return true
		}
	}
	return false
}
