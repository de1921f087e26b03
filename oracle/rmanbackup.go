package oracle

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/quiesce-go/quiesce/backup"
)

// rmanBase is what a differential has to know of the full that it is relative to, in the checkpoint of that full.
type rmanBase struct {
	Tag string `json:"tag"`
	// Checkpoints are those of the data files in the full.
	Checkpoints map[int]SCN `json:"checkpoints"`
}

// unfit is why a differential that was taken does not go with the full.
type unfit struct{ why string }

func (u *unfit) Error() string { return u.why }

// rmanCopier has RMAN back up the data files, and takes over what it made. It needs no backup mode.
type rmanCopier struct {
	run  *run
	room scratch
	note *rmanNote
	// parent is what a differential is relative to; nil in others.
	parent *rmanBase
	// base is what the data files of this backup are to a later differential.
	base *rmanBase
	made *RMANContents
}

// newRMAN makes sure that RMAN is there and connected to the same database, and notes what it is about to make.
func (r *run) newRMAN(ctx context.Context) (*rmanCopier, error) {
	room, err := r.s.scratch(r.st.Dir(), r.req.Job)
	if err != nil {
		return nil, err
	}
	if _, err := r.s.same(ctx, r.st.Moved, r.inv); err != nil {
		return nil, err
	}
	_, ours := room.paths("")
	tag := rmanTag(r.req.Job, r.req.ID)
	room.name += "-" + strings.ToLower(short(string(r.req.ID), 12)) + "-"
	m := &rmanCopier{run: r, room: room, note: &rmanNote{Format: 1, Job: r.req.Job, ID: r.req.ID, DBID: r.inv.DBID, Tag: tag, Folder: filepath.Dir(ours), Prefix: room.name}}
	if r.ch.base != nil {
		m.note.Older = r.ch.base.Tag
	}
	m.note.path = r.s.rmanNotes(r.req.Job, r.inv.DBID) + strings.ToLower(short(string(r.req.ID), 12)) + ".json"
	m.forget()
	return m, m.note.save()
}

func (m *rmanCopier) forget() {
	m.made, m.base = &RMANContents{Tag: m.note.Tag, Format: string(m.run.s.opt.RMANFormat), Level: -1}, nil
}

// again begins anew, when something else is to be taken than what RMAN made already.
func (m *rmanCopier) again(ctx context.Context) error {
	m.parent = nil
	m.forget()
	if err := m.run.s.clean(ctx, m.note, false); err != nil {
		return err
	}
	return m.note.save()
}

// abandon removes everything after a failure. What it cannot, the next run does by the note.
func (m *rmanCopier) abandon(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTime)
	defer cancel()
	if err := m.run.s.clean(ctx, m.note, false); err != nil {
		m.run.req.Log.Warn("what RMAN made is not all removed; the next run does", "tag", m.note.Tag, "err", err)
	}
}

// data implements copier: level 0, or 1 when there is a parent.
func (m *rmanCopier) data(ctx context.Context, r *run) (span, error) {
	var done span
	all := scope{files: r.ch.files}
	if err := r.refresh(ctx, all); err != nil {
		return done, err
	}
	m.made.Level = 0
	kind := m.kindOf(r.s.opt.RMANFormat == RMANCopy) + " INCREMENTAL LEVEL 0"
	if m.parent != nil {
		m.made.Level, m.made.Parent = 1, m.parent.Tag
		// Cumulative: relative to the full and not to a differential in between, so that a restore takes one of them.
		kind = m.kindOf(false) + " INCREMENTAL LEVEL 1 CUMULATIVE"
	}
	var numbers []string
	for _, i := range r.ch.files {
		numbers = append(numbers, strconv.Itoa(r.inv.DataFiles[i].File))
	}
	// By number, not DATABASE: that leaves out what RMAN is configured to exclude.
	known, err := m.backup(ctx, m.command(kind, "DATAFILE "+strings.Join(numbers, ", ")))
	if err != nil {
		return done, r.s.fail(ctx, "back up the data files of", "", err)
	}
	if done.from, err = m.judge(known); err != nil {
		return done, err
	}
	if err := m.take(ctx, known); err != nil {
		return done, err
	}
	err = r.s.with(ctx, func(c *session) (err error) {
		if done.end, err = c.scn(ctx); err != nil {
			return err
		}
		done.at, err = c.now(ctx)
		return err
	})
	return done, err
}

// kindOf is how BACKUP begins.
func (m *rmanCopier) kindOf(copies bool) string {
	switch {
	case copies:
		return "AS COPY"
	case m.run.s.opt.RMANCompressed:
		return "AS COMPRESSED BACKUPSET"
	}
	return "AS BACKUPSET"
}

// command is one BACKUP. FORCE takes files that RMAN, told to optimise, would leave out because another backup has them; COPIES undoes a configured duplexing.
func (m *rmanCopier) command(kind, what string) string {
	server, _ := m.room.paths("")
	copies := " COPIES 1"
	if strings.HasPrefix(kind, "AS COPY") {
		copies = ""
	}
	return fmt.Sprintf("BACKUP %s FORCE%s FORMAT %s TAG '%s' %s;\n", kind, copies, quoteText(strings.ReplaceAll(server, "%", "%%")+"%U"), m.note.Tag, what)
}

// backup runs commands over channels of their own and returns what the server then knows of the tag.
func (m *rmanCopier) backup(ctx context.Context, commands string) (*records, error) {
	r := m.run
	var b strings.Builder
	b.WriteString("RUN {\n")
	for n := range r.s.opt.Files {
		fmt.Fprintf(&b, "ALLOCATE CHANNEL quiesce%d DEVICE TYPE DISK;\n", n+1)
	}
	fmt.Fprintf(&b, "SET COMMAND ID TO '%s';\n%s}\n", m.note.Tag, commands)
	text, err := r.s.rman(ctx, r.st.Moved, b.String())
	if err != nil {
		return nil, err
	}
	r.st.Moved()
	known, err := m.known(ctx)
	if err == nil && len(known.pieces)+len(known.files) == 0 {
		err = fmt.Errorf("RMAN reports success, and the server knows nothing with tag %s: %s", m.note.Tag, lastLines(text))
	}
	return known, err
}

func (m *rmanCopier) known(ctx context.Context) (known *records, err error) {
	err = m.run.s.with(ctx, func(c *session) error {
		known, err = c.records(ctx)
		return err
	})
	if err != nil {
		return nil, err
	}
	return known.tagged(m.note.Tag), nil
}

// judge looks whether the server recorded every data file as it should be, and returns from where redo is needed.
func (m *rmanCopier) judge(known *records) (SCN, error) {
	r := m.run
	m.base = &rmanBase{Tag: m.note.Tag, Checkpoints: map[int]SCN{}}
	// A data file that came to be since the survey is not in it. All its redo is in the logs, when these go back to the survey.
	from := r.inv.CurrentSCN
	for _, i := range r.ch.files {
		d := &r.inv.DataFiles[i]
		at := slices.IndexFunc(known.files, func(f fileRecord) bool { return f.file == d.File })
		if n, ok := m.parentHas(d); at < 0 && ok && n == d.CheckpointSCN && !r.written(*d) {
			continue // read-only or offline since: RMAN leaves out what has not changed at all [ERR 19648]
		}
		if at < 0 {
			return 0, fmt.Errorf("RMAN reports success, and the server recorded no backup of data file %d, %s", d.File, d.Name)
		}
		f := known.files[at]
		switch {
		case f.resets != r.inv.ResetlogsSCN:
			return 0, fmt.Errorf("data file %d, %s, was backed up of another incarnation, of SCN %d: the database was opened with RESETLOGS meanwhile; run again", d.File, d.Name, f.resets)
		case f.level != 0 && m.parent == nil:
			return 0, fmt.Errorf("data file %d, %s, was to be backed up at level 0, and the server recorded level %d", d.File, d.Name, f.level)
		case f.level != 0 && f.base > m.parentOf(d):
			return 0, &unfit{fmt.Sprintf("the differential of data file %d holds changes since SCN %d only, and the full has it as of %d: another tool took a level 0 in between", d.File, f.base, m.parentOf(d))}
		case f.corrupt > 0 && !r.s.opt.KeepDoubtful:
			return 0, fmt.Errorf("%w: data file %d, %s, has %d damaged blocks: see V$BACKUP_CORRUPTION", backup.ErrCorrupt, d.File, d.Name, f.corrupt)
		case f.corrupt > 0:
			r.warn("data file %d, %s, has %d damaged blocks, and was kept: see V$BACKUP_CORRUPTION", d.File, d.Name, f.corrupt)
		}
		if f.copied() {
			d.Bytes, d.Block1Offset = f.bytes, int64(f.size)
		}
		m.base.Checkpoints[d.File] = f.checkpoint
		if r.written(*d) {
			from = min(from, f.checkpoint)
		}
	}
	return from, nil
}

// parentOf is as of when the parent has a data file; one that it does not have must be there from its creation. A differential applies to files whose checkpoint is not below the SCN that it begins at [ERR 19648].
func (m *rmanCopier) parentOf(d *DataFile) SCN {
	if n, ok := m.parentHas(d); ok {
		return n
	}
	return d.CreationSCN
}

func (m *rmanCopier) parentHas(d *DataFile) (checkpoint SCN, ok bool) {
	if m.parent == nil {
		return 0, false
	}
	checkpoint, ok = m.parent.Checkpoints[d.File]
	return checkpoint, ok
}

// logs has RMAN back up exactly these logs, the control file, which must be younger than all else, and the SPFILE.
func (m *rmanCopier) logs(ctx context.Context, logs []ArchivedLog) error {
	r := m.run
	var b strings.Builder
	for _, text := range ranges(logs) {
		b.WriteString(m.command(m.kindOf(false), "ARCHIVELOG "+text))
	}
	b.WriteString(m.command(m.kindOf(false), "CURRENT CONTROLFILE"))
	if r.inv.parameter("spfile") != "" {
		b.WriteString(m.command(m.kindOf(false), "SPFILE"))
	}
	known, err := m.backup(ctx, b.String())
	var re *rmanError
	switch {
	case errors.As(err, &re) && (re.has(rmanLogLost, rmanNoLog) || said(err, 19625)):
		return &gap{what: fmt.Sprintf("an archived log is at no destination any more: %v", err)}
	case err != nil:
		return r.s.fail(ctx, "back up the archived logs of", "", err)
	}
	for i := range logs {
		l := &logs[i]
		at := slices.IndexFunc(known.redo, func(k redoRecord) bool {
			return k.Thread == l.Thread && k.Sequence == l.Sequence && k.FirstSCN == l.FirstSCN && k.NextSCN == l.NextSCN && k.resets == r.inv.ResetlogsSCN
		})
		if at < 0 {
			return &gap{what: fmt.Sprintf("the archived log of %s (SCN %d to %d) is at no destination any more: RMAN did not back it up", l, l.FirstSCN, l.NextSCN)}
		}
		l.set = known.redo[at].set
	}
	if !slices.ContainsFunc(known.files, func(f fileRecord) bool { return f.file == 0 }) {
		return errors.New("RMAN reports success, and the server recorded no backup of the control file")
	}
	if err := m.take(ctx, known); err != nil {
		return err
	}
	for i := range logs {
		at := slices.IndexFunc(m.made.Pieces, func(p RMANPiece) bool {
			return p.Set == int(logs[i].set.count) && p.Piece == 1 //nolint:gosec // a count of sets
		})
		logs[i].Artifact = m.made.Pieces[at].Artifact
	}
	return nil
}

// ranges are the logs as BACKUP ARCHIVELOG names them, without any that another backup has to see to.
func ranges(logs []ArchivedLog) []string {
	var out []string
	for i := 0; i < len(logs); {
		last := i
		for last+1 < len(logs) && logs[last+1].Thread == logs[i].Thread && logs[last+1].Sequence == logs[last].Sequence+1 {
			last++
		}
		out = append(out, fmt.Sprintf("SEQUENCE BETWEEN %d AND %d THREAD %d", logs[i].Sequence, logs[last].Sequence, logs[i].Thread))
		i = last + 1
	}
	return out
}

// take makes artifacts of what RMAN made and that is not one yet. The files are removed as soon as they are.
func (m *rmanCopier) take(ctx context.Context, known *records) error {
	var todo []RMANPiece
	for _, p := range known.pieces {
		todo = append(todo, known.piece(p))
	}
	for _, f := range known.files {
		if f.copied() {
			p := RMANPiece{Handle: f.name, Kind: pieceControl, Copy: true, Bytes: f.bytes}
			if f.file > 0 {
				p.Kind, p.Files = pieceData, []int{f.file}
			}
			todo = append(todo, p)
		}
	}
	todo = slices.DeleteFunc(todo, func(p RMANPiece) bool {
		return slices.ContainsFunc(m.made.Pieces, func(have RMANPiece) bool { return have.Handle == p.Handle })
	})
	err := m.run.parallel(ctx, len(todo), func(ctx context.Context, n int) error {
		return m.run.s.fail(ctx, "take over", todo[n].Handle, m.takePiece(ctx, &todo[n]))
	})
	if err != nil {
		return err
	}
	m.made.Pieces = append(m.made.Pieces, todo...)
	for _, p := range todo {
		for i := range m.run.inv.DataFiles {
			if d := &m.run.inv.DataFiles[i]; p.Copy && slices.Contains(p.Files, d.File) {
				d.Artifact = p.Artifact
			}
		}
	}
	return nil
}

// piece describes a piece by what is in its set.
func (all *records) piece(p pieceRecord) RMANPiece {
	out := RMANPiece{Handle: p.handle, Bytes: p.bytes, Set: int(p.set.count), Piece: p.number} //nolint:gosec // a count of sets
	if slices.Contains(all.spfiles, p.set) {
		out.Kind = pieceSPFile
	}
	for _, l := range all.redo {
		if l.set == p.set {
			out.Kind, out.Logs = pieceLog, append(out.Logs, l.RMANLog)
		}
	}
	for _, f := range all.files {
		switch {
		case f.copied() || f.set != p.set:
		case f.file > 0:
			out.Kind, out.Files = pieceData, append(out.Files, f.file)
		case out.Kind != pieceData:
			out.Kind = pieceControl
		}
	}
	return out
}

// takePiece makes an artifact of one file.
func (m *rmanCopier) takePiece(ctx context.Context, p *RMANPiece) error {
	r := m.run
	path, err := m.ours(p.Handle)
	if err != nil {
		return err
	}
	size, err := r.files.size(ctx, path)
	if err == nil && size < p.Bytes {
		return wrong("%s has %d bytes, and the server recorded %d", path, size, p.Bytes)
	}
	if err != nil {
		return r.s.unreadable(ctx, path, err)
	}
	p.Bytes = size
	a, check := m.artifact(ctx, p)
	if err := r.pass(ctx, a, path, check); err != nil {
		return err
	}
	p.Artifact = a.Name
	r.st.Moved()
	return os.Remove(path)
}

// ours is a file that RMAN wrote as this process names it. It must be one of this run, in the folder of this run.
func (m *rmanCopier) ours(handle string) (string, error) {
	name := baseName(handle)
	if !strings.HasPrefix(name, m.note.Prefix) {
		return "", fmt.Errorf("the server says that tag %s has the piece %s, which this run did not ask for", m.note.Tag, handle)
	}
	return filepath.Join(m.note.Folder, name), nil
}

// artifact is what a file becomes, and how it is checked on its way.
func (m *rmanCopier) artifact(ctx context.Context, p *RMANPiece) (backup.Artifact, func(in *passing) error) {
	role := map[string]backup.Role{pieceData: backup.RoleData, pieceLog: backup.RoleLog, pieceControl: backup.RoleControl, pieceSPFile: backup.RoleConfig}[p.Kind]
	name := "rman/" + strings.TrimPrefix(baseName(p.Handle), m.note.Prefix)
	a := backup.Artifact{Name: name, Item: itemName, Role: role, Meta: map[string]string{"handle": p.Handle, "tag": m.note.Tag}}
	whole := func(in *passing) error { return in.doubt(checkLength(in, p.Bytes)) }
	if !p.Copy {
		return a, whole
	}
	inv := m.run.inv
	if p.Kind == pieceControl {
		return a, func(in *passing) error { return in.doubt(inv.checkControl(ctx, in)) }
	}
	at := slices.IndexFunc(inv.DataFiles, func(d DataFile) bool { return d.File == p.Files[0] })
	d := &inv.DataFiles[at]
	a.Meta["file"], a.Meta["tablespace"], a.Meta["path"] = strconv.Itoa(d.File), d.TablespaceName, d.Name
	return a, func(in *passing) error {
		_, err := inv.checkData(ctx, in, d)
		return in.doubt(err)
	}
}

// rmanPending closes a run once its backup is durable, or will not be.
type rmanPending struct {
	m    *rmanCopier
	then backup.Pending // nil when there is nothing else
}

// Commit implements backup.Pending. The server goes on knowing the data files of a full; everything else it forgets, since the files are gone.
func (p *rmanPending) Commit(ctx context.Context, man *backup.Manifest) error {
	err := p.m.run.s.clean(ctx, p.m.note, p.m.made.Level == 0)
	if p.then != nil {
		err = errors.Join(err, p.then.Commit(ctx, man))
	}
	return err
}

// Abort implements backup.Pending.
func (p *rmanPending) Abort(ctx context.Context) error {
	err := p.m.run.s.clean(ctx, p.m.note, false)
	if p.then != nil {
		err = errors.Join(err, p.then.Abort(ctx))
	}
	return err
}

var _ backup.Pending = (*rmanPending)(nil)
