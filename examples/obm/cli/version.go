package cli

import (
	"fmt"
	"io"
	"maps"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

func (in *invocation) version() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "what this program is",
		Long:    "Print the version of the program, what it was built with, and the applications linked into it.",
		Example: in.examples("version", "version --json"),
		Args:    in.args(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			b := in.builtAs()
			return in.print(b, func(w io.Writer) {
				fmt.Fprintf(w, "%s %s, %s, %s\napplications: %s\n", b.Name, b.Version, b.Go, b.System, strings.Join(b.Applications, ", "))
			})
		},
	}
}

// builtAs tells what the program is.
func (p *Program) builtAs() Built {
	b := Built{Name: p.name(), Version: p.Version, Go: runtime.Version(), System: runtime.GOOS + "/" + runtime.GOARCH,
		Applications: slices.Sorted(maps.Keys(p.Applications))}
	if b.Applications == nil {
		b.Applications = []string{}
	}
	if b.Version == "" {
		b.Version = "unknown"
		if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
			b.Version = info.Main.Version
		}
	}
	return b
}
