package oraclesim

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/quiesce-go/quiesce/internal/sim/oraclesim/blocks"
)

// change is one redo record.
type change struct {
	SCN  uint64
	At   int64 // nanoseconds since 1970
	Kind kind
	File int
	// Block and what it was before: a change is applied to a block as of Prev only.
	Block uint32 `json:",omitempty"`
	Prev  uint64 `json:",omitempty"`
	// Text is the record that is added, Filler that of a touch. Image is a whole block as of Prev.
	Text   string   `json:",omitempty"`
	Filler uint64   `json:",omitempty"`
	Image  []record `json:",omitempty"`
	// Begin is that of the backup mode that ended.
	Begin uint64    `json:",omitempty"`
	New   *dataFile `json:",omitempty"`
	Space *tablespace
}

type kind string

const (
	added   kind = "record"
	touched kind = "touch"
	imaged  kind = "image"
	ended   kind = "end backup"
	cleaned kind = "clean" // all of the file is on disk and it was closed
	created kind = "create file"
	nothing kind = "nothing" // keeps logs from being empty
)

// log writes a change to the current log of a thread.
func (i *Instance) log(thread int, c change) error {
	g := i.ctl.currentGroup(thread)
	text, err := json.Marshal(c)
	if err != nil {
		return err
	}
	g.used = append(binary.BigEndian.AppendUint32(g.used, uint32(len(text))), text...)
	i.unflushed[g.No] = true
	return nil
}

// flush writes the logs that were added to, and switches those that are full.
func (i *Instance) flush() error {
	for _, g := range i.ctl.Groups {
		if !i.unflushed[g.No] {
			continue
		}
		if err := i.writeLog(g); err != nil {
			return err
		}
		delete(i.unflushed, g.No)
		if len(g.used) > i.config.LogBlocks*496 {
			if err := i.switchLog(g.Thread); err != nil {
				return err
			}
			if err := i.archivePending(""); err != nil && code(err) != 16038 { // a full area stops commits later
				return err
			}
		}
	}
	if i.unsettled && i.state == Open {
		i.unsettled = false
		return i.settle()
	}
	return nil
}

// retire marks the logs that crash recovery no longer needs.
func (i *Instance) retire() {
	for _, g := range i.ctl.Groups {
		if g.Status == "ACTIVE" && g.Next <= i.ctl.SCN && (g.Archived || i.ctl.LogMode != "ARCHIVELOG") {
			g.Status = "INACTIVE"
		}
	}
}

// logHeader is block 1 of a group's log.
func (i *Instance) logHeader(g *logGroup) blocks.Log {
	inc := i.ctl.incarnation()
	return blocks.Log{
		DBID: i.ctl.DBID, Database: i.ctl.Name, Compatible: compatible, ControlSequence: uint32(i.ctl.Version), Thread: uint16(g.Thread), Sequence: g.Sequence, File: uint16(g.No),
		Activation: i.ctl.DBID ^ inc.ResetlogsID, ResetlogsID: inc.ResetlogsID, ResetlogsSCN: inc.SCN, PreviousResetlogsSCN: inc.Prior, First: g.First, Next: g.Next,
		FirstTime: g.FirstAt, NextTime: g.NextAt,
	}
}

func (i *Instance) writeLog(g *logGroup) error {
	_, err := i.logBytes(g, g.Members...)
	return err
}

// logBytes writes the log of a group to files, and says how many blocks are used.
func (i *Instance) logBytes(g *logGroup, paths ...string) (uint32, error) {
	var b bytes.Buffer
	used, err := i.logHeader(g).Write(&b, split(g.used))
	if err != nil {
		return 0, err
	}
	for _, p := range paths {
		if err := os.WriteFile(p, b.Bytes(), 0o640); err != nil {
			return 0, err
		}
	}
	return used, nil
}

// split takes apart what log put together.
func split(used []byte) (records [][]byte) {
	for len(used) >= 4 {
		n := int(binary.BigEndian.Uint32(used))
		if n == 0 || n > len(used)-4 {
			return records
		}
		records = append(records, used[4:4+n])
		used = used[4+n:]
	}
	return records
}

// readOnline reads the records of a log that may still be open. A log of another sequence has none.
func readOnline(path string, sequence uint32) ([]byte, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var content []byte
	for n := 1; (n+1)*512 <= len(b); n++ {
		k := b[n*512:][:512]
		if binary.LittleEndian.Uint32(k[4:]) != uint32(n) || binary.LittleEndian.Uint32(k[8:]) != sequence {
			break
		}
		if n > 1 {
			content = append(content, k[16:]...)
		}
	}
	var used []byte
	for _, r := range split(content) {
		used = append(binary.BigEndian.AppendUint32(used, uint32(len(r))), r...)
	}
	return used, nil
}

// redoFile is a log that recovery reads.
type redoFile struct {
	blocks.Log
	changes []change
}

// readRedo reads a log from a file, archived or online.
func readRedo(path string) (*redoFile, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, stack(fault(308, "cannot open archived log '%s'", path), fault(27037, "unable to obtain file status\nLinux-x86_64 Error: 2: No such file or directory"))
	}
	l, records, err := blocks.ReadLog(b)
	if errors.Is(err, blocks.ErrLog) && l.Next == noSCN && l.DBID != 0 {
		used, rerr := readOnline(path, l.Sequence)
		records, err = split(used), rerr
	}
	if err != nil {
		if l.DBID == 0 {
			return nil, stack(fault(308, "cannot open archived log '%s'", path), fault(27048, "skgfifi: file header information is invalid"))
		}
		return nil, stack(fault(353, "log corruption near block 2 change %d time %s", l.First, stamp(l.FirstTime)), fault(334, "archived log: '%s'", path))
	}
	f := &redoFile{Log: l}
	for _, r := range records {
		var c change
		if err := json.Unmarshal(r, &c); err != nil {
			return nil, stack(fault(353, "log corruption near block 2 change %d time %s", l.First, stamp(l.FirstTime)), fault(334, "archived log: '%s'", path))
		}
		f.changes = append(f.changes, c)
	}
	return f, nil
}

func stamp(t time.Time) string { return t.Format("01/02/2006 15:04:05") }

// switchLog closes the current log of a thread and begins the next.
func (i *Instance) switchLog(thread int) error {
	if i.archiverStuck() {
		return i.stuck()
	}
	if err := i.archivePending(""); err != nil {
		return err
	}
	old, now := i.ctl.currentGroup(thread), i.config.Now()
	i.scn++
	old.Next, old.NextAt, old.Status = i.scn, now, "ACTIVE"
	if err := i.writeLog(old); err != nil {
		return err
	}
	delete(i.unflushed, old.No)
	next, err := i.freeGroup(thread)
	if err != nil {
		return err
	}
	*next = logGroup{No: next.No, Thread: thread, Members: next.Members, Sequence: old.Sequence + 1, First: i.scn, Next: noSCN, FirstAt: now, Status: "CURRENT"}
	for _, t := range i.ctl.Threads {
		if t.No == thread {
			t.Sequence = next.Sequence
		}
	}
	if err := i.log(thread, change{SCN: i.scn, At: now.UnixNano(), Kind: nothing}); err != nil {
		return err
	}
	if err := i.writeLog(next); err != nil {
		return err
	}
	delete(i.unflushed, next.No)
	return i.saveControl()
}

// freeGroup is a group of the thread whose log may be overwritten: all that it says is in data files. All but the last are archived.
func (i *Instance) freeGroup(thread int) (*logGroup, error) {
	for range 2 {
		for _, g := range i.ctl.Groups {
			if g.Thread == thread && (g.Status == "UNUSED" || g.Status == "INACTIVE") {
				return g, nil
			}
		}
		if err := i.writeFiles(); err != nil {
			return nil, err
		}
		i.unsettled = true
	}
	return nil, fault(600, "internal error code, arguments: [no redo log group is free]")
}

// archivePending archives all closed logs that are not archived yet.
func (i *Instance) archivePending(creator string) error {
	if i.ctl.LogMode != "ARCHIVELOG" {
		return nil
	}
	for _, g := range i.ctl.Groups {
		if g.Status != "ACTIVE" && g.Status != "INACTIVE" || g.Archived {
			continue
		}
		if i.archiverStuck() {
			return i.stuck()
		}
		if err := i.archive(g, creator); err != nil {
			return err
		}
	}
	return i.saveControl()
}

func (i *Instance) archive(g *logGroup, creator string) error {
	inc := i.ctl.incarnation()
	def(&creator, "ARCH")
	done := 0
	for n, dest := range i.dests() {
		if dest.Dir == "" || dest.State != "VALID" {
			continue
		}
		dir, fra := dest.Dir, dest.FRA
		name := i.archiveName(g)
		if fra {
			dir = filepath.Join(dir, strings.ToUpper(i.ctl.Name), "archivelog", i.config.Now().Format("2006_01_02"))
			name = fmt.Sprintf("o1_mf_%d_%d_%s_.arc", g.Thread, g.Sequence, omf(g.First))
			if err := os.MkdirAll(dir, 0o750); err != nil {
				return err
			}
		}
		path := filepath.Join(dir, name)
		used, err := i.logBytes(g, path)
		if err != nil {
			i.dest(n + 1).Error = "ORA-19504: failed to create file \"" + path + "\""
			continue
		}
		done++
		i.ctl.LastRecid++
		i.ctl.Archived = append(i.ctl.Archived, &archivedLog{
			Recid: i.ctl.LastRecid, Dest: n + 1, Thread: g.Thread, Name: path, Sequence: g.Sequence, ResetlogsID: inc.ResetlogsID, ResetlogsSCN: inc.SCN, First: g.First, Next: g.Next,
			FirstAt: g.FirstAt, NextAt: g.NextAt, Done: i.config.Now(), Blocks: int(used) - 1, Status: "A", Creator: creator, FRA: fra,
		})
	}
	if done == 0 {
		return stack(fault(16038, "log %d sequence# %d cannot be archived", g.No, g.Sequence), fault(19504, "failed to create file"), fault(312, "online log %d thread %d: '%s'", g.No, g.Thread, g.Members[0]))
	}
	g.Archived = true
	i.retire()
	i.ctl.ArchivedChange = max(i.ctl.ArchivedChange, g.Next)
	return nil
}

// archiveName is LOG_ARCHIVE_FORMAT with its letters replaced.
func (i *Instance) archiveName(g *logGroup) string {
	return expand(i.params.get("log_archive_format"), g.Thread, g.Sequence, i.ctl.incarnation().ResetlogsID)
}

func expand(format string, thread int, sequence, resetlogs uint32) string {
	return strings.NewReplacer("%t", strconv.Itoa(thread), "%T", fmt.Sprintf("%04d", thread), "%s", fmt.Sprint(sequence), "%S", fmt.Sprintf("%010d", sequence),
		"%r", fmt.Sprint(resetlogs), "%R", fmt.Sprintf("%010d", resetlogs)).Replace(format)
}

// omf is the part of the name of a managed file that makes it unique.
func omf(n uint64) string {
	s := strconv.FormatUint(n*2654435761%(1<<40)+1<<38, 32)
	return (s + "00000000")[:8]
}

func (i *Instance) stuck() error {
	g := i.ctl.currentGroup(1)
	return stack(fault(16038, "log %d sequence# %d cannot be archived", g.No, g.Sequence),
		fault(19809, "limit exceeded for recovery files"), fault(312, "online log %d thread %d: '%s'", g.No, g.Thread, g.Members[0]))
}
