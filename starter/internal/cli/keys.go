package cli

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/app"
)

func (p *program) keys() *cobra.Command {
	return group(&cobra.Command{Use: "keys", Aliases: []string{"key"}, Short: "Make API keys, and keys that seal secrets",
		Long: "Make API keys, and keys that seal secrets. All but ring open the store\n(TOCSIN_DATABASE_URL) themselves: the first key cannot come from the API."},
		p.keysCreate(), p.keysList(), p.keysRotate(), p.keysDelete(), p.keysRing())
}

// createdKey is a key and its text, in the one answer that shows it.
type createdKey struct {
	tocsin.Key
	Text string `json:"key"`
}

func (p *program) keysCreate() *cobra.Command {
	var scopes []string
	var expires string
	cmd := &cobra.Command{
		Use: "create NAME --scopes SCOPE,…", Short: "Make an API key and show it, once", Args: exactly("NAME"),
		Long: `Make an API key and show it, once: only its hash is stored.

Scopes: ingest (submit events), read (see everything but secrets), admin (change
anything, see keys and the audit log; includes the other two).`,
		RunE: func(cmd *cobra.Command, args []string) error {
			until, err := app.ParseExpiry(expires)
			if err != nil {
				return err
			}
			store, err := p.store(cmd.Context())
			if err != nil {
				return err
			}
			defer store.Close()
			k, text, err := app.CreateKey(cmd.Context(), store, args[0], scopes, until)
			if err != nil {
				return err
			}
			return p.showKey(k, text, "created")
		},
	}
	cmd.Flags().StringSliceVar(&scopes, "scopes", nil, "`SCOPES` of ingest, read, admin")
	cmd.Flags().StringVar(&expires, "expires", "", "stop working after this `DURATION` (90d) or at this time; default never")
	return cmd
}

// showKey prints the text of a key that was just made, and where it may be kept, apart.
func (p *program) showKey(k tocsin.Key, text, what string) error {
	if p.output == "json" {
		return printJSON(p.Stdout, createdKey{k, text})
	}
	_, err := fmt.Fprintf(p.Stdout, "%s\n", text)
	fmt.Fprintf(p.Stderr, "%s key %s (%s), shown only now: keep it\n", what, clean(k.Name), strings.Join(k.Scopes, ", "))
	return err
}

func (p *program) keysRotate() *cobra.Command {
	var overlap, expires string
	cmd := &cobra.Command{
		Use: "rotate NAME|ID", Short: "Give an API key another text and show it, once", Args: exactly("NAME or ID"),
		Long: `Give an API key another text and show it, once. The text it had works until --overlap is
over, so that whoever uses it can change over in between; one from before an earlier
rotation stops working at once.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			until, err := app.ParseExpiry(expires)
			if err != nil {
				return err
			}
			beside, err := tocsin.ParseDuration(overlap)
			if err != nil {
				return tocsin.Invalid("overlap", "%v", err)
			}
			store, err := p.store(cmd.Context())
			if err != nil {
				return err
			}
			defer store.Close()
			k, text, err := app.RotateKey(cmd.Context(), store, args[0], beside.Std(), until)
			if err != nil {
				return err
			}
			return p.showKey(k, text, "rotated")
		},
	}
	cmd.Flags().StringVar(&overlap, "overlap", "24h", "how long the old text works beside the new one")
	cmd.Flags().StringVar(&expires, "expires", "", "stop working after this `DURATION` (90d) or at this time; default as before")
	return cmd
}

func (p *program) keysList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List API keys, without their texts", Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			store, err := p.store(cmd.Context())
			if err != nil {
				return err
			}
			defer store.Close()
			keys, err := store.ListKeys(cmd.Context())
			if err != nil {
				return fmt.Errorf("listing keys: %w", err)
			}
			if p.output == "json" {
				return printJSON(p.Stdout, page[tocsin.Key]{Items: notNil(keys)})
			}
			t := newTable(p.Stdout, "NAME", "SCOPES", "CREATED", "EXPIRES", "LAST USED", "OLD TEXT UNTIL", "ID")
			for _, k := range keys {
				t.row(k.Name, strings.Join(k.Scopes, ","), when(&k.CreatedAt), when(k.ExpiresAt), when(k.LastUsed), when(k.OldExpiresAt), k.ID)
			}
			return t.flush()
		},
	}
}

func (p *program) keysDelete() *cobra.Command {
	return &cobra.Command{
		Use: "delete NAME|ID", Aliases: []string{"rm"}, Short: "Delete an API key; it stops working within seconds", Args: exactly("NAME or ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			store, err := p.store(cmd.Context())
			if err != nil {
				return err
			}
			defer store.Close()
			if err := app.DeleteKey(cmd.Context(), store, args[0]); err != nil {
				return err
			}
			if p.output == "json" {
				return printJSON(p.Stdout, map[string]string{"deleted": args[0]})
			}
			_, err = fmt.Fprintf(p.Stdout, "deleted %s\n", clean(args[0]))
			return err
		},
	}
}

func (p *program) keysRing() *cobra.Command {
	var id string
	cmd := &cobra.Command{
		Use: "ring", Short: "Print a new key for TOCSIN_SECRET_KEY", Args: exactly(),
		Long: `Print a new key for TOCSIN_SECRET_KEY, which seals the secrets of webhooks at rest:

  export TOCSIN_SECRET_KEY=$(tocsin keys ring)

Every process of an installation needs the same. Without it the secrets cannot be
opened again, so keep it apart from the database. To rotate, put a new key with another
--id in front, with a comma, and keep the old one behind it; then tocsin secrets reseal
seals everything with the new one, and the old one can go.`,
		RunE: func(*cobra.Command, []string) error {
			if id == "" {
				id = "k" + time.Now().UTC().Format("20060102")
			}
			if _, err := tocsin.ParseKeyRing(tocsin.GenerateKey(id)); err != nil || strings.ContainsAny(id, ",:\n") {
				return tocsin.Invalid("id", "%q is not allowed; want a word without comma, colon, dot or space", id)
			}
			key := tocsin.GenerateKey(id)
			if p.output == "json" {
				return printJSON(p.Stdout, map[string]string{"secret_key": key})
			}
			_, err := fmt.Fprintln(p.Stdout, key)
			return err
		},
	}
	cmd.Flags().StringVar(&id, "id", "", "name of the key on the ring; default k and the day, as in k20261120")
	return cmd
}
