package cli

import (
	"io"

	"github.com/spf13/cobra"

	tocsin "github.com/tocsin-alerts/tocsin"
)

func (p *program) audit() *cobra.Command {
	return group(&cobra.Command{Use: "audit", Short: "See who changed what, and who was not let in"}, p.auditList())
}

func (p *program) auditList() *cobra.Command {
	var flags listFlags
	var actor, action, object, name string
	cmd := &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List changes and refusals, newest first", Args: exactly(),
		Long: `List changes and refusals, newest first; -o json also shows the objects before and after.
An entry without an outcome is of a process that died meanwhile: the change may have been
made or not. Needs the scope admin.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			query, err := flags.query(map[string]string{"actor": actor, "action": action, "object": object, "name": name})
			if err != nil {
				return err
			}
			return list(cmd.Context(), p, "/v1/audit", query, flags.paging, printAudit)
		},
	}
	flags.bind(cmd)
	cmd.Flags().StringVar(&actor, "actor", "", "only by this `ACTOR`: \"key NAME\", \"command line USER\", temporal, anonymous, tocsin")
	cmd.Flags().StringVar(&action, "action", "", "only this `ACTION`: webhook.create, key.delete, api.refuse, …")
	cmd.Flags().StringVar(&object, "object", "", "only about the object with this `ID`")
	cmd.Flags().StringVar(&name, "name", "", "only about the object that had this `NAME` then")
	return cmd
}

func printAudit(w io.Writer, v page[tocsin.AuditEntry]) error {
	t := newTable(w, "AT", "ACTOR", "ADDRESS", "ACTION", "NAME", "OUTCOME", "OBJECT", "DETAIL")
	for _, e := range v.Items {
		t.row(when(&e.At), e.Actor, e.Address, e.Action, e.Name, first(e.Outcome, "not known"), e.Object, e.Detail)
	}
	return t.flush()
}
