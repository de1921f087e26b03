package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/quiesce-go/quiesce/agent/config"
	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/domino"
	"github.com/quiesce-go/quiesce/domino/notes"
)

// dominoSettings is the section domino of a job. domino.Options and notes.Command say what the keys mean.
type dominoSettings struct {
	Way             string          `yaml:"way,omitempty"` // capi, hook or offline
	Program         config.Path     `yaml:"program,omitempty"`
	StateDir        config.Path     `yaml:"state_dir,omitempty"`
	NotesINI        config.Path     `yaml:"notes_ini,omitempty"`
	Child           config.Path     `yaml:"child,omitempty"`
	Library         config.Path     `yaml:"library,omitempty"`
	Instance        string          `yaml:"instance,omitempty"`
	Include         []string        `yaml:"include,omitempty"`
	Exclude         []string        `yaml:"exclude,omitempty"`
	SkipLinks       bool            `yaml:"skip_links,omitempty"`
	SkipFiles       bool            `yaml:"skip_files,omitempty"`
	SkipAttachments bool            `yaml:"skip_attachments,omitempty"`
	Parallel        int             `yaml:"parallel,omitempty"`
	Console         []string        `yaml:"console,omitempty"`
	ConsoleTimeout  config.Duration `yaml:"console_timeout,omitempty"`
	OfflineWait     config.Duration `yaml:"offline_wait,omitempty"`
	EndTimeout      config.Duration `yaml:"end_timeout,omitempty"`
	// Of the ways hook and offline.
	DataDir config.Path `yaml:"data_dir,omitempty"`
	// Of the way hook.
	Command        []string        `yaml:"command,omitempty"`
	CallDir        config.Path     `yaml:"call_dir,omitempty"`
	NoLog          bool            `yaml:"no_log,omitempty"`
	StartTimeout   config.Duration `yaml:"start_timeout,omitempty"`
	IdleTimeout    config.Duration `yaml:"idle_timeout,omitempty"`
	RestoreTimeout config.Duration `yaml:"restore_timeout,omitempty"`
	// Of the way offline.
	Snapshot bool `yaml:"snapshot,omitempty"`
	SkipLog  bool `yaml:"skip_log,omitempty"`
}

// Validate implements the rules of the agent itself, so that they are reported with their line.
func (s *dominoSettings) Validate() error {
	need := map[domino.Way]map[string]bool{
		"":             {"program": s.Program != "", "state_dir": s.StateDir != ""},
		domino.CAPI:    {"program": s.Program != "", "state_dir": s.StateDir != ""},
		domino.Hook:    {"data_dir": s.DataDir != "", "state_dir": s.StateDir != "", "command": len(s.Command) > 0},
		domino.Offline: {"data_dir": s.DataDir != ""},
	}[domino.Way(s.Way)]
	if need == nil {
		return &config.FieldError{Field: "way", Err: fmt.Errorf("%q: want capi, hook or offline", s.Way)}
	}
	for _, field := range []string{"program", "data_dir", "state_dir", "command"} {
		if given, needed := need[field]; needed && !given {
			return &config.FieldError{Field: field, Err: errors.New("is missing")}
		}
	}
	src, err := s.open()
	if err != nil {
		return err
	}
	return src.Close()
}

// open makes the source of the way. It does no I/O.
func (s *dominoSettings) open() (domino.Source, error) {
	return domino.New(&domino.Options{
		Way: domino.Way(s.Way), Instance: s.Instance, StateDir: string(s.StateDir), DataDir: string(s.DataDir), NotesINI: string(s.NotesINI), SkipFiles: s.SkipFiles, SkipAttachments: s.SkipAttachments,
		Include: s.Include, Exclude: s.Exclude, SkipLinks: s.SkipLinks, Console: s.Console, ConsoleTimeout: time.Duration(s.ConsoleTimeout),
		Notes:    notes.Command{Path: string(s.Child), Program: string(s.Program), Library: string(s.Library)},
		Parallel: s.Parallel, OfflineWait: time.Duration(s.OfflineWait), EndTimeout: time.Duration(s.EndTimeout),
		Command: s.Command, CallDir: string(s.CallDir), NoLog: s.NoLog, StartTimeout: time.Duration(s.StartTimeout), IdleTimeout: time.Duration(s.IdleTimeout), RestoreTimeout: time.Duration(s.RestoreTimeout),
		Snapshot: s.Snapshot, SkipLog: s.SkipLog,
	})
}

// openDomino opens the server of a job. There is no other one to restore into than that of this machine.
func openDomino(_ context.Context, s dominoSettings, to string) (backup.Source, error) {
	if to != "" {
		return nil, &backup.Error{Op: "open", App: "domino", Instance: s.Instance, Err: fmt.Errorf("%w: to=%q: a Domino server is restored on its own machine", backup.ErrOption, to),
			Advice: "leave out --to; the options to=DIR, mode=server and data=DIR say where databases go"}
	}
	return s.open()
}
