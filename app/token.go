package app

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"tickcast/server"
	"tickcast/wire"
)

func newToken() *cobra.Command {
	var p wire.Player
	var life time.Duration
	cmd := &cobra.Command{
		Use:     "token PLAYER",
		Short:   "Sign a token for a player, as the system that players log in at would",
		Example: "  tickcast token alice --name Alice --life 1h",
		GroupID: "tools",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := load(cmd.Flags(), environment())
			if err != nil {
				return err
			}
			if life <= 0 {
				return errors.New("life: a time over zero is needed")
			}
			p.ID = args[0]
			secret, err := secretSource{option: "jwt-secret", value: c.JWTSecret, path: c.JWTSecretFile}.read("")
			if secret == "" && err == nil {
				secret, err = readSecret(filepath.Join(c.secretsDir(), jwtSecretName))
			}
			if err != nil {
				return err
			}
			token, err := server.SignToken([]byte(secret), p, time.Now().Add(life))
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), token)
			return err
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(&p.Name, "name", "", "name shown to others; empty: the player's ID")
	f.DurationVar(&life, "life", 24*time.Hour, "how long the token is valid")
	f.String("config", "", "YAML file with options (see defaultconfig)")
	for _, o := range options() {
		if o.name == "data" || o.name == "jwt-secret-file" {
			addFlag(f, o)
		}
	}
	return cmd
}
