package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/quiesce-go/quiesce/agent/config"
	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/exchange"
)

// exchangeSettings is the section exchange of a job. exchange.Options says what the keys mean.
type exchangeSettings struct {
	StateDir        config.Path     `yaml:"state_dir" config:"required"`
	Way             string          `yaml:"way,omitempty"` // ese or vss
	Server          string          `yaml:"server,omitempty"`
	Instance        string          `yaml:"instance,omitempty"`
	Include         []string        `yaml:"include,omitempty"`
	Exclude         []string        `yaml:"exclude,omitempty"`
	Prefer          string          `yaml:"prefer,omitempty"` // active or here
	SkipSystemState bool            `yaml:"skip_system_state,omitempty"`
	KeepLogs        bool            `yaml:"keep_logs,omitempty"`
	Zone            config.Location `yaml:"zone,omitempty"`
	EndTimeout      config.Duration `yaml:"end_timeout,omitempty"`
	Tools           exchangeTools   `yaml:"tools,omitempty"`
	Layout          *exchangeLayout `yaml:"layout,omitempty"`
}

// exchangeTools is the section tools of exchange: programs in place of those that this machine has.
type exchangeTools struct {
	Diskshadow         config.Path `yaml:"diskshadow,omitempty"`
	PowerShell         config.Path `yaml:"powershell,omitempty"`
	PowerShellURI      string      `yaml:"powershell_uri,omitempty"` // of the shell of a server
	Eseutil            config.Path `yaml:"eseutil,omitempty"`
	SystemState        string      `yaml:"system_state,omitempty"` // wbadmin, ntbackup or ntdsutil
	SystemStateProgram config.Path `yaml:"system_state_program,omitempty"`
	SystemStateTarget  string      `yaml:"system_state_target,omitempty"` // of wbadmin; no path that could be completed
	Sysvol             bool        `yaml:"sysvol,omitempty"`              // of ntdsutil
}

// exchangeLayout is the section layout of exchange: what the server has, where its shell cannot be asked.
type exchangeLayout struct {
	Version int             `yaml:"version"`
	Groups  []exchangeGroup `yaml:"groups"`
}

type exchangeGroup struct {
	Name      string             `yaml:"name"`
	LogDir    config.Path        `yaml:"log_dir"`
	SystemDir config.Path        `yaml:"system_dir,omitempty"`
	LogBase   string             `yaml:"log_base"`
	Circular  bool               `yaml:"circular,omitempty"`
	Databases []exchangeDatabase `yaml:"databases"`
}

type exchangeDatabase struct {
	Name       string      `yaml:"name"`
	GUID       string      `yaml:"guid,omitempty"`
	File       config.Path `yaml:"file"`
	StreamFile config.Path `yaml:"stream_file,omitempty"`
}

// Validate implements the rules of the agent itself, so that they are reported with their line.
func (s *exchangeSettings) Validate() error {
	if err := s.Tools.check(); err != nil {
		return err
	}
	if s.Layout != nil {
		if err := s.Layout.check(); err != nil {
			return &config.FieldError{Field: "layout", Err: err}
		}
	}
	src, err := exchange.New(s.options())
	if err != nil {
		return err
	}
	return src.Close()
}

func (t *exchangeTools) check() error {
	bad := func(field, text string) error {
		return &config.FieldError{Field: "tools." + field, Err: errors.New(text)}
	}
	switch {
	case t.SystemState != "" && t.SystemState != "wbadmin" && t.SystemState != "ntbackup" && t.SystemState != "ntdsutil":
		return bad("system_state", fmt.Sprintf("%q: want wbadmin, ntbackup or ntdsutil", t.SystemState))
	case t.PowerShellURI != "" && !strings.HasPrefix(t.PowerShellURI, "http://") && !strings.HasPrefix(t.PowerShellURI, "https://"):
		return bad("powershell_uri", fmt.Sprintf("%q: want the address of the shell of a server, such as http://ex1.example.com/PowerShell/", t.PowerShellURI))
	case t.SystemStateProgram != "" && t.SystemState == "":
		return bad("system_state_program", "which tool it is must stand in system_state")
	case t.SystemStateTarget != "" && t.SystemState != "wbadmin":
		return bad("system_state_target", "only wbadmin has a target: set system_state: wbadmin")
	case t.Sysvol && t.SystemState != "ntdsutil":
		return bad("sysvol", "only ntdsutil leaves it out: set system_state: ntdsutil")
	}
	return nil
}

func (l *exchangeLayout) check() error {
	if len(l.Groups) == 0 || l.Version < 6 {
		return errors.New("want a version (6 is Exchange 2000 and 2003, 8 2007, 14 2010, 15 later) and groups")
	}
	for i, g := range l.Groups {
		if g.Name == "" || g.LogDir == "" || len(g.LogBase) != 3 || len(g.Databases) == 0 {
			return fmt.Errorf("group %d: want name, log_dir, log_base (three characters, such as E00) and databases", i+1)
		}
		for j, d := range g.Databases {
			if d.Name == "" || d.File == "" {
				return fmt.Errorf("group %q, database %d: want name and file", g.Name, j+1)
			}
		}
	}
	return nil
}

func (s *exchangeSettings) options() *exchange.Options {
	return &exchange.Options{Instance: s.Instance, Server: s.Server, Way: exchange.Way(s.Way), StateDir: string(s.StateDir), Include: s.Include, Exclude: s.Exclude, Prefer: exchange.Prefer(s.Prefer),
		SkipSystemState: s.SkipSystemState, KeepLogs: s.KeepLogs, Zone: s.Zone.Get(), EndTimeout: time.Duration(s.EndTimeout), Tools: s.tools()}
}

// tools are those that are configured; the agent finds the others by itself.
func (s *exchangeSettings) tools() (t exchange.Tools) {
	c := &s.Tools
	if c.Diskshadow != "" {
		t.Shadows = exchange.NewDiskshadow(exchange.DiskshadowOptions{Program: string(c.Diskshadow), Server: s.Server})
	}
	if c.Eseutil != "" {
		t.Engine = exchange.NewEseutil(&exchange.EseutilOptions{Program: string(c.Eseutil)})
	}
	switch c.SystemState {
	case "wbadmin":
		t.SystemState = exchange.NewWbadmin(&exchange.WbadminOptions{Program: string(c.SystemStateProgram), Target: c.SystemStateTarget})
	case "ntbackup":
		t.SystemState = exchange.NewNtbackup(&exchange.NtbackupOptions{Program: string(c.SystemStateProgram)})
	case "ntdsutil":
		t.SystemState = exchange.NewNtdsutil(&exchange.NtdsutilOptions{Program: string(c.SystemStateProgram), Sysvol: c.Sysvol})
	}
	switch {
	case s.Layout != nil:
		t.Management = exchange.NewConfigured(s.Layout.layout(s.Server))
	case c.PowerShell != "" || c.PowerShellURI != "":
		t.Management = exchange.NewPowerShell(exchange.PowerShellOptions{Program: string(c.PowerShell), Server: s.Server, URI: c.PowerShellURI})
	}
	return t
}

func (l *exchangeLayout) layout(server string) exchange.Layout {
	out := exchange.Layout{Server: server, Major: l.Version, Version: fmt.Sprintf("Version %d, as configured", l.Version)}
	for _, g := range l.Groups {
		group := exchange.Group{Name: g.Name, LogDir: string(g.LogDir), SystemDir: string(g.SystemDir), LogBase: g.LogBase, Circular: g.Circular}
		if group.SystemDir == "" {
			group.SystemDir = group.LogDir
		}
		for _, d := range g.Databases {
			group.Databases = append(group.Databases, exchange.Database{Name: d.Name, GUID: d.GUID, File: string(d.File), StreamFile: string(d.StreamFile)})
		}
		out.Groups = append(out.Groups, group)
	}
	return out
}

// openExchange opens the server of a job. There is no other one to restore into than that.
func openExchange(_ context.Context, s exchangeSettings, to string) (backup.Source, error) {
	if to != "" {
		return nil, &backup.Error{Op: "open", App: "exchange", Instance: s.Instance, Err: fmt.Errorf("%w: to=%q: an Exchange server is restored on its own machine", backup.ErrOption, to),
			Advice: "leave out --to; the option to=DIR says where files go, --as names a recovery database"}
	}
	return exchange.New(s.options())
}
