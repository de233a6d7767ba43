package workflows

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
)

// ErrAttributesUnknown says that the search attributes could not be listed, because this
// client may not: whether they are there is not known.
var ErrAttributesUnknown = errors.New("this client may not list search attributes")

// EnsureSearchAttributes registers the search attributes that are missing in the
// namespace. Its errors say which those are, and what to run by hand. With
// ErrAttributesUnknown a worker may go on: they may be there.
func EnsureSearchAttributes(ctx context.Context, c client.Client, namespace string) error {
	missing, err := missingAttributes(ctx, c, namespace)
	if err != nil || len(missing) == 0 {
		return err
	}
	_, err = c.OperatorService().AddSearchAttributes(ctx, &operatorservice.AddSearchAttributesRequest{Namespace: namespace, SearchAttributes: missing})
	if err == nil {
		return nil
	}
	// Another worker may have been faster.
	if left, again := missingAttributes(ctx, c, namespace); again == nil && len(left) == 0 {
		return nil
	}
	return cannotRegister(namespace, missing, err)
}

// missingAttributes are those that the namespace does not have. One of another type is an
// error: nothing could be set.
func missingAttributes(ctx context.Context, c client.Client, namespace string) (map[string]enumspb.IndexedValueType, error) {
	have, err := c.OperatorService().ListSearchAttributes(ctx, &operatorservice.ListSearchAttributesRequest{Namespace: namespace})
	if denied(err) {
		return nil, fmt.Errorf("listing search attributes of namespace %s: %w: %w", namespace, ErrAttributesUnknown, err)
	}
	if err != nil {
		return nil, fmt.Errorf("listing search attributes of namespace %s: %w", namespace, err)
	}
	missing := map[string]enumspb.IndexedValueType{}
	var wrong []string
	for name, want := range SearchAttributes() {
		got, ok := have.GetCustomAttributes()[name]
		switch {
		case !ok:
			missing[name] = want
		case got != want:
			wrong = append(wrong, fmt.Sprintf("%s is of type %s, want %s", name, got, want))
		}
	}
	if len(wrong) > 0 {
		slices.Sort(wrong)
		return nil, fmt.Errorf("checking search attributes of namespace %s: %s; remove it with `temporal operator search-attribute remove --namespace %s --name …` where nobody else uses it, or give Tocsin a namespace of its own (TEMPORAL_NAMESPACE)",
			namespace, strings.Join(wrong, "; "), namespace)
	}
	return missing, nil
}

// cannotRegister says why not, as far as the server told, and what to do about it.
func cannotRegister(namespace string, missing map[string]enumspb.IndexedValueType, err error) error {
	var invalid *serviceerror.InvalidArgument
	advice := "by hand"
	switch {
	case denied(err):
		advice = "this client may not; whoever may runs"
	case errors.As(err, &invalid):
		advice = "a server on SQL has room for a few of each type: remove one that nobody uses (`temporal operator search-attribute list`), or give Tocsin a namespace of its own (TEMPORAL_NAMESPACE); then"
	}
	return fmt.Errorf("registering search attributes in namespace %s: %w; %s: %s", namespace, err, advice, byHand(namespace, missing))
}

// byHand is the command that registers them.
func byHand(namespace string, missing map[string]enumspb.IndexedValueType) string {
	cmd := "temporal operator search-attribute create --namespace " + namespace
	for _, name := range slices.Sorted(maps.Keys(missing)) {
		cmd += fmt.Sprintf(" --name %s --type %s", name, missing[name])
	}
	return "`" + cmd + "`"
}

func denied(err error) bool {
	var no *serviceerror.PermissionDenied
	return errors.As(err, &no)
}
