package app

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

func newCheckConfig() *cobra.Command {
	var process string
	c := &cobra.Command{
		Use:     "checkconfig",
		Short:   "Check the configuration and print what is in effect",
		GroupID: "tools",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			p, err := parseProcess(process)
			if err != nil {
				return err
			}
			config, err := load(cmd.Flags(), environment())
			if err != nil {
				return err
			}
			if err := config.validate(p); err != nil {
				return err
			}
			if err := checkSecrets(config, p); err != nil {
				return err
			}
			writeEffective(cmd.OutOrStdout(), config)
			return nil
		},
	}
	c.Flags().StringVar(&process, "process", string(ProcessServe), "what to check for: serve, gateway, room or ledger")
	addFlags(c.Flags())
	return c
}

func parseProcess(s string) (Process, error) {
	switch p := Process(s); p {
	case ProcessServe, ProcessGateway, ProcessRoom, ProcessLedger:
		return p, nil
	}
	return "", fmt.Errorf("process: %q is none of serve, gateway, room, ledger", s)
}

// checkSecrets checks the given secrets, and draws none.
func checkSecrets(c *Config, p Process) error {
	if p == ProcessServe && c.embeddedNATS() && c.WalletURL+c.RoomSecret+c.RoomSecretFile+c.JWTSecret+c.JWTSecretFile+c.OperatorKey+c.OperatorKeyFile == "" {
		return nil
	}
	_, err := loadSecrets(c, p, false)
	return err
}

// writeEffective prints the configuration as YAML, secrets only as set or not,
// URLs without passwords.
func writeEffective(w io.Writer, c *Config) {
	for _, o := range options() {
		value := o.render(c)
		if o.secret {
			fmt.Fprintf(w, "# %s: %s\n", o.variable(), map[bool]string{true: "not set", false: "set"}[value == ""])
			continue
		}
		fmt.Fprintf(w, "%s: %s\n", o.name, value)
	}
}

// render writes the option's value as YAML.
func (o option) render(c *Config) string {
	switch field := o.field(c).(type) {
	case *string:
		if strings.HasSuffix(o.name, "-url") {
			return yamlText(redactURL(*field))
		}
		if o.secret && *field == "" {
			return ""
		}
		return yamlText(*field)
	case password:
		return field.config.NATSPasswords[field.role]
	case *int:
		return fmt.Sprint(*field)
	case *bool:
		return fmt.Sprint(*field)
	case *time.Duration:
		return field.String()
	case *[]string:
		quoted := make([]string, len(*field))
		for i, s := range *field {
			quoted[i] = yamlText(s)
		}
		return "[" + strings.Join(quoted, ", ") + "]"
	}
	panic("app: option " + o.name + " cannot be rendered")
}

// yamlText quotes a text; JSON strings are YAML.
func yamlText(s string) string { return fmt.Sprintf("%q", s) }

func newDefaultConfig() *cobra.Command {
	return &cobra.Command{
		Use:     "defaultconfig",
		Short:   "Print a configuration file with every option, its default and its meaning",
		GroupID: "tools",
		Args:    cobra.NoArgs,
		Run:     func(cmd *cobra.Command, _ []string) { writeDefaults(cmd.OutOrStdout()) },
	}
}

func writeDefaults(w io.Writer) {
	fmt.Fprint(w, `# Configuration of tickcast. Give its path with --config or TICKCAST_CONFIG.
# Flags win over environment variables (in brackets), those win over this file.
# Secrets are read from the environment or from files of their own, not from here.
`)
	var c Config
	for _, o := range options() {
		if o.secret || o.hidden {
			continue
		}
		if o.value != "" {
			if err := o.assign(&c, o.value); err != nil {
				panic(fmt.Sprintf("app: default of option %s: %v", o.name, err))
			}
		}
		fmt.Fprintf(w, "\n# %s [%s]\n%s: %s\n", o.help, o.variable(), o.name, o.render(&c))
	}
	fmt.Fprint(w, "\n# Secrets, environment only:\n")
	for _, o := range options() {
		if o.secret {
			fmt.Fprintf(w, "#   %-36s %s\n", o.variable(), o.help)
		}
	}
}
