package workflows_test

import (
	"context"
	"errors"
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"google.golang.org/grpc"

	"github.com/tocsin-alerts/tocsin/workflows"
)

// operator is a namespace's operator service that may refuse.
type operator struct {
	operatorservice.OperatorServiceClient
	client.Client

	have       map[string]enumspb.IndexedValueType
	list, add  error
	beforeAdd  func() // what somebody else does meanwhile
	registered map[string]enumspb.IndexedValueType
}

func (o *operator) OperatorService() operatorservice.OperatorServiceClient { return o }

func (o *operator) ListSearchAttributes(context.Context, *operatorservice.ListSearchAttributesRequest, ...grpc.CallOption) (*operatorservice.ListSearchAttributesResponse, error) {
	return &operatorservice.ListSearchAttributesResponse{CustomAttributes: maps.Clone(o.have)}, o.list
}

func (o *operator) AddSearchAttributes(_ context.Context, in *operatorservice.AddSearchAttributesRequest, _ ...grpc.CallOption) (*operatorservice.AddSearchAttributesResponse, error) {
	if o.beforeAdd != nil {
		o.beforeAdd()
	}
	if o.add != nil {
		return nil, o.add
	}
	o.registered = in.GetSearchAttributes()
	return &operatorservice.AddSearchAttributesResponse{}, nil
}

// without are our search attributes but for some.
func without(names ...string) map[string]enumspb.IndexedValueType {
	all := workflows.SearchAttributes()
	for _, name := range names {
		delete(all, name)
	}
	return all
}

func TestMissingSearchAttributesAreRegistered(t *testing.T) {
	t.Parallel()
	o := &operator{have: without("TocsinPending", "TocsinStatus")}
	o.have["Another"] = enumspb.INDEXED_VALUE_TYPE_BOOL
	if err := workflows.EnsureSearchAttributes(t.Context(), o, "alerts"); err != nil {
		t.Fatal(err)
	}
	want := map[string]enumspb.IndexedValueType{"TocsinPending": enumspb.INDEXED_VALUE_TYPE_INT, "TocsinStatus": enumspb.INDEXED_VALUE_TYPE_KEYWORD}
	if diff := cmp.Diff(want, o.registered); diff != "" {
		t.Errorf("registered (-want +got):\n%s", diff)
	}
	o = &operator{have: without(), add: errors.New("nothing is missing")}
	if err := workflows.EnsureSearchAttributes(t.Context(), o, "alerts"); err != nil {
		t.Errorf("with all of them there: %v", err)
	}
}

func TestSearchAttributesThatCannotBeRegistered(t *testing.T) {
	t.Parallel()
	wrong := without()
	wrong["TocsinPending"] = enumspb.INDEXED_VALUE_TYPE_KEYWORD
	const byHand = "`temporal operator search-attribute create --namespace alerts --name TocsinPending --type Int`"
	tests := []struct {
		name     string
		operator operator
		want     []string
		unknown  bool
	}{
		{"nobody may list", operator{list: serviceerror.NewPermissionDenied("no", "")}, []string{"namespace alerts", "may not list"}, true},
		{"nobody may add", operator{have: without("TocsinPending"), add: serviceerror.NewPermissionDenied("not you", "")}, []string{"namespace alerts", "not you", "whoever may runs", byHand}, false},
		{"no room", operator{have: without("TocsinPending"), add: serviceerror.NewInvalidArgument("cannot have more than 3 search attribute of type Int.")}, []string{"cannot have more than 3", "remove one", byHand}, false},
		{"another type", operator{have: wrong}, []string{"TocsinPending is of type Keyword, want Int", "search-attribute remove", "TEMPORAL_NAMESPACE"}, false},
		{"server away", operator{list: serviceerror.NewUnavailable("away")}, []string{"away"}, false},
	}
	for _, tt := range tests {
		err := workflows.EnsureSearchAttributes(t.Context(), &tt.operator, "alerts")
		if err == nil {
			t.Errorf("%s: no error", tt.name)
			continue
		}
		for _, want := range tt.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: got %q, want %q in it", tt.name, err, want)
			}
		}
		if got := errors.Is(err, workflows.ErrAttributesUnknown); got != tt.unknown {
			t.Errorf("%s: may go on: %v, want %v", tt.name, got, tt.unknown)
		}
	}
}

// Two workers start at once: the slower one is refused, and finds them there.
func TestSearchAttributesThatAnotherWorkerRegistered(t *testing.T) {
	t.Parallel()
	o := &operator{have: without("TocsinPending"), add: serviceerror.NewUnavailable("race")}
	o.beforeAdd = func() { o.have = without() }
	if err := workflows.EnsureSearchAttributes(t.Context(), o, "alerts"); err != nil {
		t.Error(err)
	}
}
