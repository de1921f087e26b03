package cli

import (
	"bytes"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"
)

func (in *invocation) config() *cobra.Command {
	return &cobra.Command{
		Use:   "config",
		Short: "check the configuration and print what it amounts to",
		Long: `Read the configuration, report everything that is wrong with it at once, with lines, and print it as it is in effect: with all
defaults filled in and secrets removed. Nothing is contacted; check does that.`,
		Example: in.examples("config", "config --config /etc/obm.yaml", "config --json | jq '.jobs[].schedule'"),
		Args:    in.args(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			cfg, err := in.load()
			if err != nil {
				return err
			}
			var text bytes.Buffer
			if err := cfg.Print(&text); err != nil {
				return err
			}
			for _, w := range cfg.Warnings {
				fmt.Fprintf(in.stderr(), "warning: %s\n", w)
			}
			var tree map[string]any
			if err := yaml.Unmarshal(text.Bytes(), &tree); err != nil {
				return fmt.Errorf("read the printed configuration: %w", err)
			}
			return in.print(tree, func(w io.Writer) { fmt.Fprint(w, text.String()) })
		},
	}
}
