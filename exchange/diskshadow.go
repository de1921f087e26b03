package exchange

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/exchange/esebcli"
)

// DiskshadowOptions adjusts a Diskshadow.
type DiskshadowOptions struct {
	// Program is the path of diskshadow.exe, which Windows Server 2008 and later have. Default: that of this machine.
	Program string
	// Server is the name of the Exchange server, as components of the writer have it: without its domain. Default: the name of this machine.
	Server string
	// EndTimeout bounds what deletes the shadow copies, also when the caller's context has ended. Default 5 minutes.
	EndTimeout time.Duration
	// EndGrace is how long diskshadow may take to end by itself after an abort, before it is killed. Default 30 seconds.
	EndGrace time.Duration
}

// Diskshadow makes snapshots with diskshadow.exe. It needs the rights of a local administrator.
//
// One process of diskshadow lives from Create to Complete or Abort, for its session ends with it. It waits in a batch file for the word of this process and gives the backup up when this process dies. The shadow copies are exposed in folders of
// ShadowRequest.WorkDir, and deleted by a second diskshadow when the session has ended, however it ended. Nothing that it prints decides anything: exit codes and files do. Numbers of VSS errors in it become names and hints.
//
// A snapshot that leaves databases out (ShadowRequest.Exclude) and lets logs be truncated needs Exchange 2010 or later.
type Diskshadow struct {
	opt     DiskshadowOptions
	volumes volumes
	env     []string      // of diskshadow, for tests
	poll    time.Duration // between two looks for the gate
}

const (
	shadowEndTimeout = 5 * time.Minute
	shadowEndGrace   = 30 * time.Second
	shadowPoll       = 100 * time.Millisecond
)

// NewDiskshadow returns snapshots by diskshadow. Nothing is started before Create.
func NewDiskshadow(o DiskshadowOptions) *Diskshadow {
	if o.Program == "" {
		o.Program = systemProgram("diskshadow.exe")
	}
	if o.EndTimeout == 0 {
		o.EndTimeout = shadowEndTimeout
	}
	if o.EndGrace == 0 {
		o.EndGrace = shadowEndGrace
	}
	return &Diskshadow{opt: o, volumes: systemVolumes{}, poll: shadowPoll}
}

// Check tells whether Create could work as far as that can be told without making a snapshot: the program is there, and this process may use it.
func (d *Diskshadow) Check(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	_, err := d.server()
	if err == nil {
		if _, err = exec.LookPath(d.opt.Program); err != nil {
			err = &backup.Error{Op: "find", Artifact: d.opt.Program, Err: err, Advice: adviceDiskshadow}
		}
	}
	if err == nil && !elevated() {
		err = &backup.Error{Op: "use", Artifact: d.opt.Program, Err: errors.New("this process is not elevated"), Advice: "run it as a service or as an administrator: diskshadow needs the rights of a local administrator"}
	}
	if err != nil {
		return d.fail("make snapshots of", err)
	}
	return nil
}

const adviceDiskshadow = "diskshadow.exe comes with Windows Server 2008 and later; set the program's path if it is elsewhere"

// Create implements Shadows.
func (d *Diskshadow) Create(ctx context.Context, r ShadowRequest) (Shadow, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	server, err := d.server()
	if err == nil {
		err = checkShadow(r)
	}
	if err != nil {
		return nil, d.fail("plan a snapshot of", err)
	}
	n, err := d.plan(r)
	if err != nil {
		return nil, d.fail("plan a snapshot of", err)
	}
	note, err := n.encode()
	if err == nil {
		err = r.Note(note)
	}
	if err != nil {
		return nil, d.fail("note the snapshot of", err)
	}
	s := &diskShadow{d: d, note: n}
	if err = s.begin(ctx, n.script(r, server)); err != nil {
		return nil, d.fail("make a snapshot of", errors.Join(err, s.giveUp(ctx)))
	}
	return s, nil
}

// Remove implements Shadows.
func (d *Diskshadow) Remove(ctx context.Context, note []byte) error {
	n, err := decodeShadowNote(note)
	if err != nil {
		return d.fail("remove a snapshot of", err)
	}
	g := &gate{dir: n.Dir}
	if g.alive, err = takeAlive(g); err != nil {
		return d.fail("remove a snapshot of", err)
	}
	if _, reached := g.reached(); reached { // a gate that has not seen yet that its run is dead would take this process for it
		err = g.say(gateAbort)
	}
	if err == nil {
		err = d.remove(ctx, n)
	}
	if err != nil {
		return d.fail("remove a snapshot of", errors.Join(err, g.alive.Release()))
	}
	return errors.Join(g.close(), n.forget())
}

func (d *Diskshadow) fail(op string, err error) error {
	name := d.opt.Server
	if name == "" {
		name = "this server"
	}
	return &backup.Error{Op: op, App: application, Instance: name, Err: err}
}

var plainName = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

// server is the name of the server in those of components.
func (d *Diskshadow) server() (string, error) {
	name := d.opt.Server
	if name == "" {
		var err error
		if name, err = os.Hostname(); err != nil {
			return "", err
		}
	}
	name, _, _ = strings.Cut(name, ".")
	if !plainName.MatchString(name) {
		return "", fmt.Errorf("server name %q: want letters, digits and hyphens", name)
	}
	return strings.ToUpper(name), nil
}

// checkShadow refuses what cannot be asked of diskshadow.
func checkShadow(r ShadowRequest) error {
	if len(r.Files) == 0 {
		return errors.New("a snapshot of nothing")
	}
	if len(r.Exclude) > 0 && !r.Copy && r.Major < majorOfComponents {
		return &backup.Error{Op: "leave out", Artifact: r.Exclude[0].Name, Err: fmt.Errorf("%w: before Exchange 2010 one storage group cannot be left out of a snapshot, which would truncate its logs", backup.ErrRefused),
			Advice: "back all storage groups of this server up together, or use the streaming API (way: ese), or a copy"}
	}
	for _, g := range slices.Concat(r.Include, r.Exclude) {
		for _, b := range g.Databases {
			if _, err := esebcli.ParseGUID(b.GUID); err != nil && r.Major >= majorOfComponents {
				return fmt.Errorf("database %s: %w", b.Name, err)
			}
		}
	}
	return nil
}

// plan finds the volumes and names what will be made of them.
func (d *Diskshadow) plan(r ShadowRequest) (*shadowNote, error) {
	n := &shadowNote{Version: shadowNoteVersion, Dir: filepath.Join(r.WorkDir, "diskshadow")}
	if err := scriptable(n.Dir); err != nil {
		return nil, &backup.Error{Op: "use", Artifact: n.Dir, Err: err, Advice: "set the state directory to a path of plain letters, digits and blanks"}
	}
	for _, f := range r.Files {
		v, err := d.volumes.of(f)
		if err != nil {
			return nil, err
		}
		known := slices.ContainsFunc(n.Volumes, func(k shadowVolume) bool { return strings.EqualFold(k.Name, v.name) })
		if known {
			continue
		}
		i := len(n.Volumes) + 1
		n.Volumes = append(n.Volumes, shadowVolume{Name: v.name, Volume: v.argument(), Alias: fmt.Sprintf("quiesce_%d", i), Exposed: filepath.Join(n.Dir, fmt.Sprintf("volume%d", i))})
	}
	return n, nil
}

// diskShadow is a snapshot by diskshadow.
type diskShadow struct {
	d       *Diskshadow
	note    *shadowNote
	gate    *gate
	time    time.Time
	process *process
	kill    context.CancelCauseFunc

	mu      sync.Mutex
	word    string // what the gate was told
	ended   bool   // diskshadow has, with outcome
	outcome error
	removed bool
}

// begin starts diskshadow and waits until it reaches the gate, behind which all shadow copies exist and are exposed.
func (s *diskShadow) begin(ctx context.Context, script string) error {
	if err := s.prepare(script); err != nil {
		return err
	}
	life, kill := context.WithCancelCause(context.WithoutCancel(ctx)) // it lives on behind Create
	s.kill = kill
	var err error
	if s.process, err = s.d.program(s.note, scriptFile).start(life); err != nil {
		return &backup.Error{Op: "start", Artifact: s.d.opt.Program, Err: err, Advice: adviceDiskshadow}
	}
	look := time.NewTicker(s.d.poll)
	defer look.Stop()
	for {
		if at, ok := s.gate.reached(); ok {
			s.time = at
			if made, err := os.Stat(s.note.metadata()); err == nil { // written when the snapshot is made; exposing takes longer
				s.time = made.ModTime()
			}
			return s.whole()
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-s.process.done:
			return s.unexpected()
		case <-look.C:
		}
	}
}

func (s *diskShadow) prepare(script string) error {
	for _, v := range s.note.Volumes {
		if err := os.MkdirAll(v.Exposed, 0o700); err != nil {
			return err
		}
	}
	if err := os.WriteFile(s.note.path(scriptFile), []byte(script), 0o600); err != nil {
		return err
	}
	var err error
	s.gate, err = openGate(s.note.Dir)
	return err
}

// whole makes sure that what is exposed is there.
func (s *diskShadow) whole() error {
	for _, v := range s.note.Volumes {
		if !occupied(v.Exposed) {
			return fmt.Errorf("the shadow copy of %s is not at %s, where diskshadow exposed it", v.Volume, v.Exposed)
		}
	}
	return nil
}

// unexpected is the error of a diskshadow that ended without being told to.
func (s *diskShadow) unexpected() error {
	e, err := s.process.result()
	if err != nil {
		return err
	}
	return s.d.failed(e)
}

// failed is the error of a diskshadow that ended badly.
func (d *Diskshadow) failed(e ended) error {
	err := &backup.Error{Op: "run", Artifact: d.opt.Program, Err: fmt.Errorf("exit code %d: %s", e.code, e.said())}
	if v, ok := vssIn(e.output); ok {
		err.Err, err.Advice = fmt.Errorf("%s (%s): %w", v.name, v.number, err.Err), v.advice
	}
	return err
}

// Time implements Shadow.
func (s *diskShadow) Time() time.Time { return s.time }

// Path implements Shadow.
func (s *diskShadow) Path(live string) (string, error) {
	v, err := s.d.volumes.of(live)
	if err != nil {
		return "", s.d.fail("find in the snapshot", err)
	}
	below, ok := v.below(live)
	for _, k := range s.note.Volumes {
		if ok && strings.EqualFold(k.Name, v.name) {
			return filepath.Join(k.Exposed, below), nil
		}
	}
	return "", s.d.fail("find in the snapshot", fmt.Errorf("%s is on volume %s, which is not in it", live, v.root))
}

// Complete implements Shadow.
func (s *diskShadow) Complete(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.tell(gateComplete); err != nil {
		return s.d.fail("complete the backup of", err)
	}
	if !s.ended {
		select {
		case <-ctx.Done():
			s.stop(fmt.Errorf("%w, and it is not known whether Exchange was told that the backup is safe", context.Cause(ctx)))
		case <-s.process.done:
		}
		s.end()
	}
	if err := errors.Join(s.outcome, s.clean(ctx)); err != nil {
		return s.d.fail("complete the backup of", err)
	}
	return nil
}

// Abort implements Shadow.
func (s *diskShadow) Abort(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended && s.outcome == nil && s.word == gateComplete {
		return s.d.fail("abort the backup of", errors.New("it is complete"))
	}
	if err := s.tell(gateAbort); err != nil && !s.ended {
		return s.d.fail("abort the backup of", err)
	}
	if !s.ended {
		grace := time.NewTimer(s.d.opt.EndGrace)
		defer grace.Stop()
		select {
		case <-ctx.Done():
			s.stop(context.Cause(ctx))
		case <-grace.C:
			s.stop(errors.New("it did not end after an abort"))
		case <-s.process.done:
		}
		s.end()
	}
	if err := s.clean(ctx); err != nil {
		return s.d.fail("abort the backup of", err)
	}
	return nil
}

// tell decides, once, what becomes of the backup.
func (s *diskShadow) tell(word string) error {
	if s.word != "" && s.word != word {
		return fmt.Errorf("it was told to %s", s.word)
	}
	if s.word == "" {
		if err := s.gate.say(word); err != nil {
			return err
		}
		s.word = word
	}
	return nil
}

// end notes how diskshadow ended. Behind the gate end backup is the last thing that can fail, so that 0 means that Exchange was told.
func (s *diskShadow) end() {
	e, err := s.process.result()
	if err == nil && e.code != 0 {
		err = s.d.failed(e)
	}
	s.ended, s.outcome = true, errors.Join(err, s.gate.alive.Release()) // what is left is for anybody with the note now
}

func (s *diskShadow) stop(cause error) {
	s.kill(cause)
	<-s.process.done
}

// clean deletes the shadow copies and the files of the session, which has ended. It has a time of its own.
func (s *diskShadow) clean(ctx context.Context) error {
	if s.removed {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.d.opt.EndTimeout)
	defer cancel()
	if s.kill != nil {
		s.kill(nil)
	}
	if err := s.d.remove(ctx, s.note); err != nil {
		return err
	}
	s.removed = true
	return errors.Join(s.gate.close(), s.note.forget())
}

// giveUp ends what begin began.
func (s *diskShadow) giveUp(ctx context.Context) error {
	if s.process != nil {
		s.stop(errors.New("the snapshot was given up"))
	}
	if s.gate == nil {
		s.gate = &gate{dir: s.note.Dir}
	}
	return errors.Join(s.clean(ctx), s.gate.alive.Release())
}

// program is a diskshadow with one of the scripts of a snapshot.
func (d *Diskshadow) program(n *shadowNote, script string) program {
	return program{path: d.opt.Program, args: []string{"/s", n.path(script)}, dir: n.Dir, env: d.env}
}

var _ Shadows = (*Diskshadow)(nil)
