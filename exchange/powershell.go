package exchange

import (
	"bytes"
	"context"
	_ "embed" // the scripts
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf16"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/exchange/esebcli"
)

// PowerShellOptions adjusts a PowerShell.
type PowerShellOptions struct {
	// Program is the path of powershell.exe. Default: Windows PowerShell of this machine.
	Program string
	// Server is the name of the Exchange server. Default: this machine.
	Server string
	// URI, when set, is where the Exchange Management Shell of a server of Exchange 2010 or later is reached, "http://ex1.example.com/PowerShell/", with the account of this process. Default: the snap-in of this machine.
	URI string
}

// PowerShell administers a server through the Exchange Management Shell: the snap-in of Exchange 2007, 2010 or 2013 and later, whichever is registered on this machine, or a session with the server. Exchange 2000 and 2003 have no shell: their
// layout is read from the Active Directory, which does not tell whether a database is mounted, and what changes a database is refused.
//
// The scripts are the same for every server. What differs, the name of the server and the GUID of a database, reaches them in the environment and never as text of a script.
type PowerShell struct {
	opt PowerShellOptions
	env []string // of powershell.exe, for tests
}

// NewPowerShell returns the management by PowerShell. Nothing is started before it is used.
func NewPowerShell(o PowerShellOptions) *PowerShell {
	if o.Program == "" {
		o.Program = systemProgram("powershell.exe", "WindowsPowerShell", "v1.0")
	}
	return &PowerShell{opt: o}
}

//go:embed prelude.ps1
var preludeScript string

//go:embed layout.ps1
var layoutScript string

//go:embed act.ps1
var actScript string

// Layout implements Management.
func (p *PowerShell) Layout(ctx context.Context) (Layout, error) {
	answer, err := p.run(ctx, layoutScript)
	if err != nil {
		return Layout{}, p.fail("read the layout of", "", err)
	}
	l, err := decodeLayout(answer)
	if err != nil {
		return Layout{}, p.fail("read the layout of", "", err)
	}
	return l, nil
}

// Mount implements Management.
func (p *PowerShell) Mount(ctx context.Context, d Database) error {
	return p.act(ctx, "mount", "mount", d)
}

// Dismount implements Management.
func (p *PowerShell) Dismount(ctx context.Context, d Database) error {
	return p.act(ctx, "dismount", "dismount", d)
}

// AllowRestore implements Management.
func (p *PowerShell) AllowRestore(ctx context.Context, d Database) error {
	return p.act(ctx, "allow", "allow the restore of", d)
}

func (p *PowerShell) act(ctx context.Context, action, op string, d Database) error {
	g, err := esebcli.ParseGUID(d.GUID)
	if err != nil {
		return p.fail(op, d.Name, err)
	}
	answer, err := p.run(ctx, actScript, "QUIESCE_ACTION="+action, "QUIESCE_DATABASE="+g.String())
	if err != nil {
		return p.fail(op, d.Name, err)
	}
	var said struct{ Done string }
	if err = strictly(answer, &said); err == nil && said.Done != action {
		err = fmt.Errorf("%s answered %q", p.opt.Program, answer)
	}
	if err != nil {
		return p.fail(op, d.Name, err)
	}
	return nil
}

func (p *PowerShell) fail(op, database string, err error) error {
	name := p.opt.Server
	if name == "" {
		name = "this server"
	}
	return &backup.Error{Op: op, App: application, Instance: name, Artifact: database, Err: err}
}

// answerSize is how much a script may answer: thousands of databases.
const answerSize = 16 << 20

// run runs a script and returns the JSON that it tells.
func (p *PowerShell) run(ctx context.Context, script string, env ...string) ([]byte, error) {
	server := p.opt.Server
	if server == "" {
		var err error
		if server, err = os.Hostname(); err != nil {
			return nil, err
		}
	}
	server, _, _ = strings.Cut(server, ".")
	if !plainName.MatchString(server) { // it becomes part of a filter for the Active Directory
		return nil, fmt.Errorf("server name %q: want letters, digits and hyphens", server)
	}
	args := []string{"-NoProfile", "-NonInteractive", "-OutputFormat", "Text"}
	if p.opt.URI != "" {
		args = append(args, "-ExecutionPolicy", "Bypass") // commands of a session are imported as a module, which is a script
	}
	args = append(args, "-EncodedCommand", encodedCommand(preludeScript+script))
	e, err := program{path: p.opt.Program, args: args, env: append(append([]string{"QUIESCE_SERVER=" + server, "QUIESCE_URI=" + p.opt.URI}, env...), p.env...), max: answerSize}.run(ctx)
	if err != nil {
		if ctx.Err() == nil {
			err = &backup.Error{Op: "start", Artifact: p.opt.Program, Err: err, Advice: "set the program's path, or give the layout of the server in the configuration"}
		}
		return nil, err
	}
	return p.answer(e)
}

// Marks around what a script tells.
const (
	answerBegins = "-----BEGIN QUIESCE-----"
	answerEnds   = "-----END QUIESCE-----"
)

// answer takes what the script told out of what PowerShell printed.
func (p *PowerShell) answer(e ended) ([]byte, error) {
	_, rest, begun := strings.Cut(e.output, answerBegins)
	text, _, over := strings.Cut(rest, answerEnds)
	switch {
	case e.cut:
		return nil, fmt.Errorf("%s answered more than %d bytes", p.opt.Program, answerSize)
	case !begun || !over:
		return nil, fmt.Errorf("%s did not answer (exit code %d): %s", p.opt.Program, e.code, e.said())
	case e.code == 0:
		return []byte(strings.TrimSpace(text)), nil
	}
	var said shellError
	if err := strictly([]byte(text), &said); err != nil {
		return nil, fmt.Errorf("%s ended with code %d: %w", p.opt.Program, e.code, err)
	}
	return nil, said.describe()
}

// shellError is what a script tells when it fails: the message, the id that the shell gives it, which is the same in all languages, and what the script was at.
type shellError struct{ Error, ID, Kind string }

func (s shellError) describe() error {
	err := errors.New(s.Error)
	if s.ID != "" {
		err = fmt.Errorf("%s (%s)", s.Error, s.ID)
	}
	out := &backup.Error{Op: "ask", Artifact: "the Exchange Management Shell", Err: err}
	switch s.Kind {
	case "shell":
		out.Advice = "install the management tools of Exchange on this machine, give the address of the shell of the server, or give the layout in the configuration"
	case "snapin":
		out.Advice = "the snap-in is registered and cannot be loaded: see whether the Exchange Management Shell of this machine starts with this account"
	case "session":
		out.Advice = "see whether this account may open a session of Exchange PowerShell there"
	case "directory":
		out.Artifact = "the Active Directory"
		out.Advice = "run as an account of the domain that may read the configuration, or give the layout in the configuration"
	default:
		out.Advice = "see whether this account has the rights of an administrator of Exchange"
	}
	return out
}

// encodedCommand is a script as -EncodedCommand takes it: base64 of UTF-16LE ("about_PowerShell_exe").
func encodedCommand(script string) string {
	var b []byte
	for _, u := range utf16.Encode([]rune(script)) {
		b = append(b, byte(u), byte(u>>8))
	}
	return base64.StdEncoding.EncodeToString(b)
}

// strictly decodes one JSON value without fields that are not known.
func strictly(text []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return fmt.Errorf("not understood: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("not understood: more than one value")
	}
	return nil
}

var _ Management = (*PowerShell)(nil)
