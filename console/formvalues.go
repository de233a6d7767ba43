package console

import (
	"errors"
	"slices"
	"strings"

	"github.com/tocsin-alerts/tocsin"
)

// typed is what was filled in under a name, without the spaces around it.
func (p *request) typed(name string) string { return strings.TrimSpace(p.PostFormValue(name)) }

// lines are the entries of a field that takes several, apart by lines or commas.
func lines(text string) []string {
	var all []string
	for _, one := range strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == '\r' || r == ',' }) {
		if one = strings.TrimSpace(one); one != "" && !slices.Contains(all, one) {
			all = append(all, one)
		}
	}
	return all
}

// ofFields tells what is wrong with an entry of a list, "events[2]", by the field of the
// form that holds the list.
func ofFields(err error) error {
	var problem *Problem
	if !errors.As(err, &problem) {
		return err
	}
	told := *problem
	told.Errors = nil
	for _, f := range problem.Errors {
		name, _, _ := strings.Cut(f.Field, "[")
		told.Errors = append(told.Errors, tocsin.FieldError{Field: name, Message: f.Message})
	}
	return &told
}
