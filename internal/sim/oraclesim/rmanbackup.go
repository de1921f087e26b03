package oraclesim

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// request is what BACKUP is to make.
type request struct {
	copies     bool
	level      int
	cumulative bool
	format     string
	tag        string
	files      []*dataFile
	database   bool
	logs       bool
	ranges     []logRange // of logs; none: all
	missing    bool       // NOT BACKED UP
	control    bool
	spfile     bool
}

// logRange is SEQUENCE BETWEEN n AND n THREAD n.
type logRange struct{ from, to, thread int }

func (q *request) wants(l *archivedLog) bool {
	return len(q.ranges) == 0 || slices.ContainsFunc(q.ranges, func(g logRange) bool {
		return l.Thread == g.thread && int(l.Sequence) >= g.from && int(l.Sequence) <= g.to
	})
}

func (q *request) rangeOf(r *reader) bool {
	var n [3]int
	for k, word := range []string{"", "AND", "THREAD"} {
		if word != "" && !r.take(word) {
			return false
		}
		text, ok := r.number()
		var err error
		if n[k], err = strconv.Atoi(text); !ok || err != nil {
			return false
		}
	}
	q.ranges = append(q.ranges, logRange{n[0], n[1], n[2]})
	return true
}

func (m *rman) backup(a *act) error {
	q, err := m.request(a)
	if err != nil {
		return err
	}
	def(&q.format, m.format)
	def(&q.format, filepath.Join(m.home(), "%U"))
	def(&q.tag, "TAG"+m.config.Now().Format("20060102T150405"))
	if m.ctl.LogMode != "ARCHIVELOG" && m.state == Open && (len(q.files) > 0 || q.logs) {
		return fault(19602, "cannot backup or copy active file in NOARCHIVELOG mode")
	}
	if err := m.backupFiles(a, q); err != nil {
		return err
	}
	if q.logs {
		if err := m.backupLogs(a, q); err != nil {
			return err
		}
	}
	// The control file goes with file 1.
	if q.control || len(q.files) > 0 && q.files[0].No == 1 {
		if err := m.backupOther(a, q, "controlfile"); err != nil {
			return err
		}
	}
	if q.spfile || len(q.files) > 0 && q.files[0].No == 1 && m.spfile != "" {
		return m.backupOther(a, q, "spfile")
	}
	return nil
}

// request reads the clauses of BACKUP.
func (m *rman) request(a *act) (*request, error) {
	q, r := &request{level: -1}, a.r
	for !r.end() {
		switch {
		case r.take("AS COPY"):
			q.copies = true
		case r.take("AS COMPRESSED BACKUPSET"), r.take("AS BACKUPSET"), r.take("DEVICE TYPE DISK"), r.take("REUSE"), r.take("FORCE"):
		case r.take("COPIES"):
			if n, ok := r.number(); !ok || n != "1" || q.copies {
				return nil, syntax(a.note.Text)
			}
		case r.take("INCREMENTAL LEVEL"):
			n, _ := r.number()
			level, err := strconv.Atoi(n)
			if err != nil || level > 1 {
				return nil, syntax(a.note.Text)
			}
			q.level, q.cumulative = level, r.take("CUMULATIVE")
		case r.take("FORMAT"), r.take("( FORMAT"):
			q.format = anyText(r)
		case r.take("TAG"):
			q.tag = anyText(r)
		case r.take("PLUS ARCHIVELOG"):
			if q.copies && q.level >= 0 {
				return nil, syntax(a.note.Text)
			}
			q.logs = true
		case r.take("INCLUDE CURRENT CONTROLFILE"), r.take("CURRENT CONTROLFILE"):
			q.control = true
		case r.take("SPFILE"):
			q.spfile = true
		case r.take("ARCHIVELOG ALL"):
			q.logs = true
		case r.take("ARCHIVELOG SEQUENCE BETWEEN"):
			if q.logs = true; !q.rangeOf(r) {
				return nil, syntax(a.note.Text)
			}
		case r.take("NOT BACKED UP"):
			q.missing = true
			if _, ok := r.number(); ok && !r.take("TIMES") {
				return nil, syntax(a.note.Text)
			}
		case r.take("DATABASE"):
			q.files, q.database = m.ctl.Files, true
		case r.take("TABLESPACE"):
			name, _ := r.name()
			t := m.ctl.tablespaceNamed(name, a.session.conID)
			if t == nil {
				return nil, errors.New("RMAN-20202: Tablespace not found in the recovery catalog")
			}
			q.files = m.ctl.filesOf(t.No)
		case r.take("DATAFILE"):
			for more := true; more; more = r.take(",") {
				f, err := a.fileArgument()
				if err != nil {
					return nil, errors.New("RMAN-20201: datafile not found in the recovery catalog")
				}
				q.files = append(q.files, f)
			}
		default:
			return nil, syntax(a.note.Text)
		}
	}
	return q, nil
}

// backupFiles backs up data files, as copies, or in as many sets as there are channels.
func (m *rman) backupFiles(a *act, q *request) error {
	files := slices.DeleteFunc(slices.Clone(q.files), func(f *dataFile) bool {
		_, err := os.Stat(f.Name)
		return !f.online() && q.database && err != nil
	})
	if q.copies {
		if q.level == 1 {
			return syntax(a.note.Text) // [RMAN] INCREMENTAL LEVEL 1 makes sets
		}
		for n, f := range files {
			if n > 0 {
				if err := a.session.inside(a.ctx, a.note); err != nil {
					return err
				}
			}
			image, about, err := m.imageOf(f)
			if err != nil {
				return err
			}
			if err := m.writeCopy(q, f, image, about); err != nil {
				return err
			}
		}
		return nil
	}
	per := max(1, (len(files)+max(1, m.channels)-1)/max(1, m.channels))
	first := true
	for some := range slices.Chunk(files, per) {
		set := piece{Kind: "database", Tag: q.tag, Level: q.level}
		var contents [][]byte
		for _, f := range some {
			if !first {
				if err := a.session.inside(a.ctx, a.note); err != nil {
					return err
				}
			}
			first = false
			image, about, err := m.imageOf(f)
			if err != nil {
				return err
			}
			base := m.base(f.No, q)
			if q.level == 1 && base != 0 && about.Checkpoint == base {
				continue // nothing was written to it: no file could take the increment [ERR 19648]
			}
			if q.level == 1 && base != 0 {
				about.Base = base
				if image, err = changedSince(image, f.BlockSize, base); err != nil {
					return err
				}
			}
			set.Files, contents = append(set.Files, about), append(contents, image)
		}
		if len(set.Files) == 0 {
			continue
		}
		path, err := m.Instance.format(q.format, nil)
		if err != nil {
			return err
		}
		set.Handle = path
		m.out.WriteString("piece handle=" + path + " tag=" + q.tag + " comment=NONE\n")
		if err := a.writePiece(set, contents...); err != nil {
			return err
		}
	}
	return nil
}

// base is the checkpoint of the last backup of level 0, or 1 unless cumulative; 0: none, so that level 1 becomes 0.
func (m *rman) base(no int, q *request) (scn uint64) {
	for _, p := range m.ctl.Pieces {
		for _, f := range p.Files {
			if f.No == no && p.Resets == m.ctl.incarnation().SCN && p.Status == "A" && (p.Level == 0 || p.Level == 1 && !q.cumulative) {
				scn = max(scn, f.Checkpoint)
			}
		}
	}
	return scn
}

func (m *rman) writeCopy(q *request, f *dataFile, image []byte, about pieceFile) error {
	path, err := m.Instance.format(q.format, f)
	if err != nil {
		return err
	}
	m.out.WriteString("output file name=" + path + " tag=" + q.tag + "\n")
	about.Name = path
	return m.enterCopy(path, q, image, about)
}

// enterCopy writes an image copy and enters it.
func (m *rman) enterCopy(path string, q *request, image []byte, about pieceFile) error {
	if err := os.WriteFile(path, image, 0o640); err != nil {
		return stack(fault(19504, "failed to create file \"%s\"", path), fault(27040, "file create error, unable to create file"))
	}
	m.ctl.Pieces = append(m.ctl.Pieces, &piece{Key: len(m.ctl.Pieces) + 1, Handle: path, Kind: "copy", Tag: q.tag, Bytes: int64(len(image)), Done: m.config.Now(), Level: q.level, Status: "A",
		Files: []pieceFile{about}, Resets: m.ctl.incarnation().SCN})
	return m.saveControl()
}

func (m *rman) backupLogs(a *act, q *request) error {
	// With an end, as a sequence is one, no log is switched [RMAN].
	if m.state == Open && !m.readOnly && len(q.ranges) == 0 {
		for _, t := range m.ctl.sortedThreads() {
			if err := m.switchLog(t); err != nil {
				return err
			}
		}
		if err := m.archivePending("FGRD"); err != nil {
			return err
		}
	}
	set := piece{Kind: "archivelog", Tag: q.tag, Level: -1}
	var contents [][]byte
	var saved []*archivedLog
	for _, l := range m.ctl.Archived {
		known := slices.ContainsFunc(set.Files, func(f pieceFile) bool { return f.Thread == l.Thread && f.Sequence == l.Sequence && f.First == l.First })
		if l.Deleted || l.Status != "A" || known || l.ResetlogsSCN != m.ctl.incarnation().SCN && len(q.ranges) > 0 || !q.wants(l) || q.missing && l.Backups > 0 {
			continue
		}
		b, err := os.ReadFile(l.Name)
		if err != nil {
			if m.elsewhere(l) {
				continue // the same log at another destination does
			}
			return fmt.Errorf("RMAN-06059: expected archived log not found, loss of archived log compromises recoverability\n%s",
				message(stack(fault(19625, "error identifying file %s", l.Name), fault(27037, "unable to obtain file status"))))
		}
		set.Files, contents, saved = append(set.Files, pieceFile{Thread: l.Thread, Sequence: l.Sequence, First: l.First, Next: l.Next, Name: l.Name}), append(contents, b), append(saved, l)
	}
	if len(set.Files) == 0 && len(q.ranges) > 0 {
		return errors.New("RMAN-20242: specification does not match any archived log in the repository")
	}
	if len(set.Files) == 0 {
		m.out.WriteString("specification does not match any archived log in the repository\n")
		return nil
	}
	path, err := m.Instance.format(q.format, nil)
	if err != nil {
		return err
	}
	set.Handle = path
	for _, l := range saved {
		l.Backups++
	}
	return a.writePiece(set, contents...)
}

// elsewhere reports whether a log whose file is gone is at another destination.
func (m *rman) elsewhere(l *archivedLog) bool {
	return slices.ContainsFunc(m.ctl.Archived, func(o *archivedLog) bool {
		_, err := os.Stat(o.Name)
		return o.Thread == l.Thread && o.Sequence == l.Sequence && o.First == l.First && !o.Deleted && o.Status == "A" && err == nil
	})
}

func (m *rman) backupOther(a *act, q *request, kind string) error {
	format := q.format
	if !strings.ContainsAny(format, "Uu") && len(q.files) > 0 {
		format = "%U" // the format names data files only
	}
	path, err := m.Instance.format(format, m.ctl.Files[0])
	if err != nil {
		return err
	}
	var content []byte
	if kind == "controlfile" {
		c, err := m.copyControl()
		if err != nil {
			return err
		}
		text, err := json.Marshal(c)
		if err != nil {
			return err
		}
		content = controlImage(c, text)
		if q.copies {
			return m.enterCopy(path, q, content, pieceFile{Name: path, Checkpoint: m.scn})
		}
	} else if content, err = os.ReadFile(m.spfile); err != nil {
		return errors.New("RMAN-06062: cannot backup SPFILE because the instance was not started with SPFILE")
	}
	return a.writePiece(piece{Handle: path, Kind: kind, Tag: q.tag, Level: -1, Files: []pieceFile{{Name: kind, Checkpoint: m.scn}}}, content)
}
