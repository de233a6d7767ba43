package temporalserver

import (
	"context"
	"fmt"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/server/common/config"
	"go.temporal.io/server/schema/sqlite"
	"google.golang.org/protobuf/types/known/durationpb"
)

// createNamespace writes the namespace into the database before the server reads it, so
// that it is there at once; nothing when it exists.
func createNamespace(database *config.SQL, o Options) error {
	ns, err := sqlite.NewNamespaceConfig(clusterName, o.Namespace, false, o.SearchAttributes)
	if err != nil {
		return fmt.Errorf("describing namespace %s: %w", o.Namespace, err)
	}
	ns.Detail.Config.Retention = durationpb.New(o.Retention)
	if err := sqlite.CreateNamespaces(database, ns); err != nil {
		return fmt.Errorf("creating namespace %s: %w", o.Namespace, err)
	}
	return nil
}

// ensureSearchAttributes adds what a namespace of an earlier start does not have yet.
// An attribute of another type is an error.
func ensureSearchAttributes(ctx context.Context, c client.Client, o Options) error {
	var have *operatorservice.ListSearchAttributesResponse
	err := poll(ctx, func() (err error) {
		have, err = c.OperatorService().ListSearchAttributes(ctx, &operatorservice.ListSearchAttributesRequest{Namespace: o.Namespace})
		return err
	})
	if err != nil {
		return fmt.Errorf("listing search attributes: %w", err)
	}
	missing := map[string]enumspb.IndexedValueType{}
	for name, kind := range o.SearchAttributes {
		switch known, ok := have.CustomAttributes[name]; {
		case !ok:
			missing[name] = kind
		case known != kind:
			return fmt.Errorf("search attribute %s has type %s in namespace %s, want %s", name, known, o.Namespace, kind)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	_, err = c.OperatorService().AddSearchAttributes(ctx, &operatorservice.AddSearchAttributesRequest{Namespace: o.Namespace, SearchAttributes: missing})
	if err != nil {
		return fmt.Errorf("adding search attributes: %w", err)
	}
	return nil
}
