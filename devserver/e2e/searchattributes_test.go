package e2e_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"
	sdklog "go.temporal.io/sdk/log"

	"github.com/tocsin-alerts/tocsin/devserver/devtest"
	"github.com/tocsin-alerts/tocsin/devserver/temporalserver"
	"github.com/tocsin-alerts/tocsin/workflows"
)

// namespaceWith dials a fresh Temporal whose namespace has these search attributes.
func namespaceWith(t *testing.T, attributes map[string]enumspb.IndexedValueType) client.Client {
	t.Helper()
	server, err := temporalserver.Start(temporalserver.Options{SearchAttributes: attributes})
	if err != nil {
		t.Fatalf("starting Temporal: %v", err)
	}
	t.Cleanup(func() { _ = server.Stop() })
	c, err := client.Dial(client.Options{HostPort: server.Addr(), Logger: sdklog.NewStructuredLogger(slog.New(slog.DiscardHandler))})
	if err != nil {
		t.Fatalf("dialling Temporal: %v", err)
	}
	t.Cleanup(c.Close)
	return c
}

// A namespace that can take them gets them. A server on SQL has room for three of type Int:
// where others took two, the error says so, and what to run.
func TestSearchAttributesOfARealNamespace(t *testing.T) {
	t.Parallel()
	ensure := func(c client.Client) error {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		return workflows.EnsureSearchAttributes(ctx, c, "default")
	}
	empty := namespaceWith(t, nil)
	devtest.Until(t, "the attributes to be registered", func() error { return ensure(empty) })
	if err := ensure(empty); err != nil {
		t.Errorf("the second time: %v", err)
	}

	tests := []struct {
		name string
		have map[string]enumspb.IndexedValueType
		want []string
	}{
		{"two of type Int are taken", map[string]enumspb.IndexedValueType{"One": enumspb.INDEXED_VALUE_TYPE_INT, "Two": enumspb.INDEXED_VALUE_TYPE_INT},
			[]string{"cannot have more than 3 search attribute of type Int", "--name TocsinPending --type Int"}},
		{"one is of another type", map[string]enumspb.IndexedValueType{"TocsinFailures": enumspb.INDEXED_VALUE_TYPE_KEYWORD},
			[]string{"TocsinFailures is of type Keyword, want Int"}},
	}
	for _, tt := range tests {
		err := ensure(namespaceWith(t, tt.have))
		for _, want := range tt.want {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: got %v, want %q in it", tt.name, err, want)
			}
		}
		if errors.Is(err, workflows.ErrAttributesUnknown) {
			t.Errorf("%s: a worker would go on, and every workflow task fail", tt.name)
		}
	}
}
