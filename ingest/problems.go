package ingest

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/tocsin-alerts/tocsin"
)

// maxField bounds how much of a field's name is repeated in an error.
const maxField = 200

// problems gathers what is wrong with the events of one request.
type problems struct {
	fields   []tocsin.FieldError
	total    int // may be more than are kept
	tooLarge bool
}

func (p *problems) add(index int, field, message string) {
	p.total++
	if len(field) > maxField {
		field = shorten([]byte(field))
	}
	if len(p.fields) < maxReported {
		p.fields = append(p.fields, tocsin.FieldError{Index: &index, Field: field, Message: message})
	}
}

// has reports whether something is known to be wrong with the field already.
func (p *problems) has(index int, field string) bool {
	return slices.ContainsFunc(p.fields, func(f tocsin.FieldError) bool {
		// An event that is no object at all has the field "".
		return *f.Index == index && (f.Field == field || f.Field == "")
	})
}

// err returns nil when nothing is wrong, else one error that lists it.
func (p *problems) err(events int) error {
	if p.total == 0 {
		return nil
	}
	slices.SortStableFunc(p.fields, func(a, b tocsin.FieldError) int { return cmp.Compare(*a.Index, *b.Index) })
	wrong := map[int]bool{}
	for _, f := range p.fields {
		wrong[*f.Index] = true
	}
	e := &tocsin.Error{Code: tocsin.CodeInvalid, Fields: p.fields}
	e.Message = fmt.Sprintf("%d of %d events are invalid and nothing was stored", len(wrong), events)
	if more := p.total - len(p.fields); more > 0 {
		e.Message = fmt.Sprintf("events are invalid and nothing was stored; the first %d errors of %d", len(p.fields), p.total)
	}
	if p.tooLarge {
		e.Code = tocsin.CodeTooLarge
	}
	return e
}
