package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// invocation is one Run of a program with the flags that every command has.
type invocation struct {
	*Program
	file    string
	json    bool
	quiet   bool
	verbose bool
	// began is set when a command got its turn: what goes wrong before that is the call's own fault.
	began bool
}

const rootText = `%[1]s keeps backups of applications: it takes them, carries them offsite, proves them, and knows at any time
which moments can be restored.

It reads a configuration file, %[1]s.yaml by default, that names the target and the jobs.
A job is one instance of an application with its schedule and retention.

Exit codes: 0 done, 1 failed, 2 usage or configuration, 3 partial (some items failed),
4 refused (no plan for that time, nothing was touched), 5 busy (another run holds the job).`

// root builds the command tree.
func (in *invocation) root() *cobra.Command {
	name := in.name()
	root := &cobra.Command{
		Use:           name,
		Short:         "back up applications, prove the backups, restore them to a time",
		Long:          fmt.Sprintf(rootText, name),
		Example:       in.examples("keygen --out key.txt", "check", "backup shop", "list shop", "windows shop", "restore shop --at '2h ago'", "run"),
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          in.command,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usagef(fmt.Sprintf("%s --help lists the flags", cmd.CommandPath()), "%w", err)
	})
	flags := root.PersistentFlags()
	flags.StringVar(&in.file, "config", in.defaultFile(), "configuration `file`; the variable "+in.fileVariable()+" names another default")
	flags.BoolVar(&in.json, "json", false, "print the result as JSON and nothing else on standard output")
	flags.BoolVarP(&in.quiet, "quiet", "q", false, "no progress")
	flags.BoolVarP(&in.verbose, "verbose", "v", false, "log what happens")
	root.AddGroup(&cobra.Group{ID: "every", Title: "Every day:"}, &cobra.Group{ID: "care", Title: "Care of backups:"},
		&cobra.Group{ID: "machine", Title: "The machine:"})
	root.SuggestionsMinimumDistance = 2
	root.SetHelpCommandGroupID("machine")
	root.SetCompletionCommandGroupID("machine")
	in.add(root, "every", in.check(), in.backup(), in.list(), in.windows(), in.plan(), in.restore(), in.status())
	in.add(root, "care", in.verify(), in.rehearse(), in.prune(), in.hold(), in.unhold(), in.inspect())
	in.add(root, "machine", in.run(), in.service(), in.config(), in.keygen(), in.version())
	return root
}

func (in *invocation) add(root *cobra.Command, group string, commands ...*cobra.Command) {
	for _, c := range commands {
		c.GroupID = group
		in.mark(c)
		root.AddCommand(c)
	}
}

// mark notes that a command, or one below it, got its turn.
func (in *invocation) mark(c *cobra.Command) {
	do := c.RunE
	c.RunE = func(cmd *cobra.Command, args []string) error {
		in.began = true
		return do(cmd, args)
	}
	for _, sub := range c.Commands() {
		in.mark(sub)
	}
}

// fileVariable is the environment variable that names the configuration file.
func (in *invocation) fileVariable() string {
	up := func(r rune) rune {
		if 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' {
			return r
		}
		return '_'
	}
	return strings.Map(up, strings.ToUpper(in.name())) + "_CONFIG"
}

func (in *invocation) defaultFile() string {
	if file, ok := in.env(in.fileVariable()); ok && file != "" {
		return file
	}
	return in.name() + ".yaml"
}

// examples forms the example section of a command's help, one call a line.
func (in *invocation) examples(calls ...string) string {
	return "  " + in.name() + " " + strings.Join(calls, "\n  "+in.name()+" ")
}

// command refuses a command that does not exist, and names those that are spelled much like it.
func (in *invocation) command(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	advice := in.name() + " help lists the commands"
	if like := cmd.SuggestionsFor(args[0]); len(like) > 0 {
		advice = "did you mean " + strings.Join(like, " or ") + "?"
	}
	return usagef(advice, "there is no command %q", args[0])
}

// args makes mistakes in the arguments usage errors with the command's own form as the hint.
func (in *invocation) args(rule cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := rule(cmd, args); err != nil {
			return usagef("usage: "+cmd.UseLine(), "%w", err)
		}
		return nil
	}
}
