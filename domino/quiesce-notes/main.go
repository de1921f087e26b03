// Command quiesce-notes is the process in which the agent for Domino has the Notes C API run. The agent starts it and speaks with it over standard input and output; it is of no use by hand. It ends when its standard input
// does. Exit status: 0 after an orderly end, 1 when Domino could not be loaded or something was left undone, 2 for wrong arguments.
//
//	quiesce-notes -program DIR [-ini FILE] [-library FILE]
//
// It must be built for the system and architecture of the Domino, and find that environment which notes.Command sets. On Linux it needs glibc. See the packages domino/notes and domino/capi.
package main

import (
	"context"
	"errors"
	"flag"
	"io"
	"os"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/domino/capi"
)

func main() {
	os.Exit(run(os.Args, os.Stderr)) //nolint:forbidigo // a program's status
}

func run(args []string, say io.Writer) int {
	var c capi.Config
	flags := flag.NewFlagSet(args[0], flag.ContinueOnError)
	flags.SetOutput(say)
	flags.StringVar(&c.Program, "program", "", "Domino's program directory")
	flags.StringVar(&c.INI, "ini", "", "full path of notes.ini")
	flags.StringVar(&c.Library, "library", "", "path of the library; default: in the program directory")
	if err := flags.Parse(args[1:]); err != nil {
		return 2
	}
	if c.Program == "" || flags.NArg() > 0 {
		tell(say, "this program is started by the agent for Domino, with -program")
		return 2
	}
	conn, err := claim()
	if err == nil {
		err = capi.Serve(context.Background(), conn, c)
	}
	if err != nil {
		tell(say, err.Error())
		if hint := backup.Hint(err); hint != "" {
			tell(say, hint)
		}
		return 1
	}
	return 0
}

// tell says something to whoever reads it.
func tell(to io.Writer, text string) {
	_, _ = io.WriteString(to, text+"\n") // when nobody can, there is nobody to tell
}

// stdio is what standard input and output were, before Domino got others: a library that prints must not write between our messages, and one that asks for a password must get none.
type stdio struct {
	in, out *os.File
	spare   *os.File // what is the library's standard input, where it must be kept open
}

func (s *stdio) Read(b []byte) (int, error)  { return s.in.Read(b) }
func (s *stdio) Write(b []byte) (int, error) { return s.out.Write(b) }
func (s *stdio) Close() error                { return errors.Join(s.in.Close(), s.out.Close(), s.spare.Close()) }
