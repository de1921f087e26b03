package exchange

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/exchange/esebcli"
)

// errMissing: a tool was not given, and this machine has none.
var errMissing = fmt.Errorf("not available on this machine: %w", errors.ErrUnsupported)

// withDefaults fills in what was not given. Nothing is started or loaded before it is used.
func (t Tools) withDefaults(o Options) Tools {
	if runtime.GOOS == "windows" {
		t = t.ofWindows(o)
	}
	if t.Streaming == nil {
		t.Streaming = noTool{"the streaming API", "it needs Windows with esebcli2.dll, which Exchange 2000 to 2007 and their management tools install"}
	}
	if t.Shadows == nil {
		t.Shadows = noShadows{noTool{"snapshots", "they need Windows: diskshadow, on the Exchange server"}}
	}
	if t.Management == nil {
		t.Management = noTool{"the management of Exchange", "it needs Windows with the Exchange Management Shell"}
	}
	if t.SystemState == nil {
		t.SystemState = noTool{"the system state", "it needs Windows: wbadmin or ntbackup; skip the system state elsewhere"}
	}
	if t.Engine == nil {
		t.Engine = noTool{"recovery of databases", "it needs Windows: eseutil or esentutl"}
	}
	return t
}

// ofWindows fills in the programs of Windows and Exchange.
func (t Tools) ofWindows(o Options) Tools {
	if t.Streaming == nil {
		t.Streaming = &loaded{}
	}
	if t.Shadows == nil {
		t.Shadows = NewDiskshadow(DiskshadowOptions{Server: o.Server, EndTimeout: o.EndTimeout})
	}
	if t.Management == nil {
		t.Management = NewPowerShell(PowerShellOptions{Server: o.Server})
	}
	if t.SystemState == nil {
		t.SystemState = NewSystemState()
	}
	if t.Engine == nil {
		t.Engine = NewEseutil(nil)
	}
	return t
}

// loaded is the streaming API of this machine, whose library is loaded when it is first needed.
type loaded struct {
	mu  sync.Mutex
	api esebcli.API
}

func (l *loaded) load() (esebcli.API, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.api == nil {
		library, err := esebcli.Load("")
		if err != nil {
			return nil, &backup.Error{Op: "load", App: application, Artifact: "the streaming API", Err: err,
				Advice: "it needs Windows with esebcli2.dll, which Exchange 2000 to 2007 and their management tools install, and the build of this program with the bitness of that: 386 up to Exchange 2003, amd64 for 2007"}
		}
		l.api = library
	}
	return l.api, nil
}

func (l *loaded) Prepare(ctx context.Context, server, annotation string) (esebcli.Session, []esebcli.Instance, error) {
	api, err := l.load()
	if err != nil {
		return nil, nil, err
	}
	return api.Prepare(ctx, server, annotation)
}

func (l *loaded) RestoreOpen(ctx context.Context, server, annotation, source, logPath string) (esebcli.Restore, error) {
	api, err := l.load()
	if err != nil {
		return nil, err
	}
	return api.RestoreOpen(ctx, server, annotation, source, logPath)
}

func (l *loaded) RestoreReopen(ctx context.Context, server, annotation, logPath string) (esebcli.Restore, error) {
	api, err := l.load()
	if err != nil {
		return nil, err
	}
	return api.RestoreReopen(ctx, server, annotation, logPath)
}

// noTool stands where there is no tool, and says what is missing.
type noTool struct{ what, need string }

// missing are the tools that this machine does not have.
func (t Tools) missing() (all []noTool) {
	for _, tool := range []any{t.Streaming, t.Shadows, t.Management, t.SystemState, t.Engine} {
		switch n := tool.(type) {
		case noTool:
			all = append(all, n)
		case noShadows:
			all = append(all, n.tool)
		}
	}
	return all
}

func (n noTool) err() error {
	return &backup.Error{Op: "use", App: application, Artifact: n.what, Advice: n.need, Err: errMissing}
}

func (n noTool) Prepare(context.Context, string, string) (esebcli.Session, []esebcli.Instance, error) {
	return nil, nil, n.err()
}

func (n noTool) RestoreOpen(context.Context, string, string, string, string) (esebcli.Restore, error) {
	return nil, n.err()
}

func (n noTool) RestoreReopen(context.Context, string, string, string) (esebcli.Restore, error) {
	return nil, n.err()
}

func (n noTool) Layout(context.Context) (Layout, error)            { return Layout{}, n.err() }
func (n noTool) Mount(context.Context, Database) error             { return n.err() }
func (n noTool) Dismount(context.Context, Database) error          { return n.err() }
func (n noTool) AllowRestore(context.Context, Database) error      { return n.err() }
func (n noTool) Name() string                                      { return "none" }
func (n noTool) Save(context.Context, string) ([]SavedFile, error) { return nil, n.err() }
func (n noTool) Remove(context.Context, string) error              { return nil }
func (n noTool) Check(context.Context, string) error               { return n.err() }
func (n noTool) Recover(context.Context, Recovery) error           { return n.err() }

// noShadows is noTool for snapshots.
type noShadows struct{ tool noTool }

func (n noShadows) Create(context.Context, ShadowRequest) (Shadow, error) { return nil, n.tool.err() }

// Remove fails: what a note tells of can only be ended where it was made.
func (n noShadows) Remove(context.Context, []byte) error { return n.tool.err() }
