package api_test

import (
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tocsin-alerts/tocsin/api"
	"github.com/tocsin-alerts/tocsin/internal/openapi"
)

// document is openapi.yaml. The kit holds every exchange with the API against it.
var document = sync.OnceValue(func() *openapi.Document {
	d, err := openapi.Parse(api.Document())
	if err != nil {
		panic(err)
	}
	return d
})

func TestDocumentAndRoutesAgree(t *testing.T) {
	var documented []string
	for _, op := range document().Operations() {
		documented = append(documented, op.Method+" "+op.Path)
	}
	routes := api.Routes()
	slices.Sort(documented)
	slices.Sort(routes)
	if diff := cmp.Diff(routes, documented); diff != "" {
		t.Errorf("routes (-) and openapi.yaml (+) differ:\n%s", diff)
	}
}

func TestDocumentIsSound(t *testing.T) {
	if err := document().Sound(); err != nil {
		t.Error(err)
	}
}
