package cli

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/app"
)

func (p *program) secrets() *cobra.Command {
	return group(&cobra.Command{Use: "secrets", Short: "Change the keys that seal secrets and sign deliveries",
		Long: `Change the keys that seal secrets and sign deliveries. These commands open the store
(TOCSIN_DATABASE_URL) themselves, with the key ring (TOCSIN_SECRET_KEY). The signing secret
of one webhook is changed by tocsin webhooks rotate-secret.`},
		p.secretsReseal(), p.secretsRotateSigningKey())
}

// ring is the key ring of the environment.
func (p *program) ring() tocsin.Secret { return tocsin.NewSecret(p.Getenv("TOCSIN_SECRET_KEY")) }

func (p *program) secretsReseal() *cobra.Command {
	return &cobra.Command{
		Use: "reseal", Short: "Seal every secret anew with the first key of TOCSIN_SECRET_KEY", Args: exactly(),
		Long: `Seal every secret anew with the first key of TOCSIN_SECRET_KEY, while everything runs:

  1. put a new key behind the old one (tocsin keys ring --id …), in every process
  2. when all have it, put it in front, in every process
  3. tocsin secrets reseal
  4. take the old key away, in every process

What no key of the ring opens stays as it is, is named, and makes exit code 1.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			store, err := p.store(cmd.Context())
			if err != nil {
				return err
			}
			defer store.Close()
			n, err := app.Reseal(cmd.Context(), store, p.ring())
			if err != nil {
				return fmt.Errorf("resealing (%d were resealed): %w", n.Resealed, err)
			}
			if p.output == "json" {
				return printJSON(p.Stdout, n)
			}
			_, err = fmt.Fprintf(p.Stdout, "%d resealed, %d were already\n", n.Resealed, n.Already)
			return err
		},
	}
}

func (p *program) secretsRotateSigningKey() *cobra.Command {
	return &cobra.Command{
		Use: "rotate-signing-key", Short: "Make the next ed25519 key that deliveries are signed with", Args: exactly(),
		Long: `Make the next ed25519 key that deliveries are signed with. It is published at
/.well-known/tocsin-keys at once, signs from a day later on, and the one before signs
beside it for a week more. Workers do this by themselves every 90 days.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			store, err := p.store(cmd.Context())
			if err != nil {
				return err
			}
			defer store.Close()
			keys, err := app.RotateSigningKey(cmd.Context(), store, p.ring())
			if err != nil {
				return err
			}
			if p.output == "json" {
				return printJSON(p.Stdout, page[tocsin.SigningKey]{Items: notNil(keys)})
			}
			t := newTable(p.Stdout, "ID", "CREATED", "SIGNS FROM", "SIGNS UNTIL")
			for _, k := range keys {
				t.row(k.ID, when(&k.CreatedAt), when(&k.SignsFrom), until(k.SignsUntil))
			}
			return t.flush()
		},
	}
}

// until shows an end, which may be open.
func until(t *time.Time) string {
	if t == nil {
		return "the next one"
	}
	return when(t)
}
