package oraclesim

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/quiesce-go/quiesce/internal/sim/oraclesim/blocks"
)

// piece is a backup piece or an image copy that RMAN knows.
type piece struct {
	Key    int
	Handle string
	Kind   string // database, archivelog, controlfile, spfile, copy
	Tag    string
	Bytes  int64
	Done   time.Time
	Level  int // of an incremental; -1 for a full
	Status string
	Files  []pieceFile
	Resets uint64
}

// pieceFile is one file in a piece.
type pieceFile struct {
	No, Thread      int
	Sequence        uint32
	First, Next     uint64 // of a log
	Name            string
	Bytes           int64
	Checkpoint, End uint64 // of a data file: recovery begins and may end
	Base            uint64 // of an incremental: the checkpoint that it is the difference to
}

// pieceHead begins a backup piece: a line of JSON behind this one, then the files one behind the other.
const pieceHead = "oraclesim backup piece 1\n"

type pieceHeader struct {
	DBID  uint32
	Piece piece
	Sum   [32]byte // of what follows
}

// writePiece writes a backup piece and enters it. In its middle half of it is on disk.
func (a *act) writePiece(p piece, contents ...[]byte) error {
	i := a.Instance
	body := bytes.Join(contents, nil)
	if _, err := os.Stat(p.Handle); err == nil {
		return stack(fault(19504, "failed to create file \"%s\"", p.Handle), fault(27038, "created file already exists"))
	}
	p.Key, p.Done, p.Status, p.Resets = len(i.ctl.Pieces)+1, i.config.Now(), "A", i.ctl.incarnation().SCN
	for n := range p.Files {
		p.Files[n].Bytes = int64(len(contents[n]))
	}
	head, err := json.Marshal(pieceHeader{i.ctl.DBID, p, sha256.Sum256(body)})
	if err != nil {
		return err
	}
	all := append(append([]byte(pieceHead), append(head, '\n')...), body...)
	p.Bytes = int64(len(all))
	if err := os.WriteFile(p.Handle, all[:len(all)/2], 0o640); err != nil {
		return stack(fault(19504, "failed to create file \"%s\"", p.Handle), fault(27040, "file create error, unable to create file"))
	}
	if err := a.session.inside(a.ctx, a.note); err != nil {
		return err
	}
	if a.session.dead {
		return fault(28, "your session has been killed")
	}
	if err := os.WriteFile(p.Handle, all, 0o640); err != nil {
		return stack(fault(19504, "failed to create file \"%s\"", p.Handle), fault(27040, "file create error, unable to create file"))
	}
	i.ctl.Pieces = append(i.ctl.Pieces, &p)
	return i.saveControl()
}

// readPiece reads a backup piece whole and checks it.
func readPiece(path string) (h pieceHeader, contents [][]byte, err error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return h, nil, stack(fault(19505, "failed to identify file \"%s\"", path), fault(27037, "unable to obtain file status\nLinux-x86_64 Error: 2: No such file or directory"))
	}
	rest, ok := bytes.CutPrefix(b, []byte(pieceHead))
	head, body, found := bytes.Cut(rest, []byte("\n"))
	if !ok || !found || json.Unmarshal(head, &h) != nil {
		return h, nil, stack(fault(19870, "error while restoring backup piece %s", path), fault(19608, "%s is not a backup piece", path))
	}
	h.Piece.Handle, h.Piece.Bytes = path, int64(len(b))
	if sha256.Sum256(body) != h.Sum {
		return h, nil, stack(fault(19870, "error while restoring backup piece %s", path), fault(19599, "block number 2 is corrupt in backup piece %s", path))
	}
	for _, f := range h.Piece.Files {
		contents = append(contents, body[:f.Bytes])
		body = body[f.Bytes:]
	}
	return h, contents, nil
}

// imageOf is a data file as RMAN reads it: no block is torn, but blocks are of different moments, so that redo up to end is needed.
func (i *Instance) imageOf(f *dataFile) (image []byte, about pieceFile, err error) {
	about = pieceFile{No: f.No, Name: f.Name}
	if i.state == Open && !i.readOnly && f.writable() {
		begin := f.Begin
		f.Begin = 0 // what is read is no copy in backup mode, even when somebody else has the file in it
		defer func() { f.Begin = begin }()
		if err := i.writeFile(f, blocks.Online); err != nil {
			return nil, about, err
		}
	}
	h := i.headerOf(i.ctl, f, blocks.Closed)
	onDisk, err := i.header(f)
	if err != nil {
		return nil, about, err
	}
	if !f.writable() || i.state != Open {
		h = onDisk
	}
	if i.state == Open && !i.readOnly && f.writable() {
		if err := i.touch(f); err != nil {
			return nil, about, err
		}
		h.absoluteFuzzy = i.scn
	}
	b, err := os.ReadFile(f.Name)
	if err != nil {
		return nil, about, cannotIdentify(f)
	}
	for no, k := range i.cache[f.No] {
		kb, err := k.bytes(h.DataFile, no)
		if err != nil {
			return nil, about, err
		}
		copy(b[h.Offset(no):], kb)
	}
	h.Status = 0
	copy(b[h.Offset(1):], h.bytes())
	about.Checkpoint, about.End = h.CheckpointSCN, max(h.absoluteFuzzy, h.CheckpointSCN)
	return b, about, nil
}

// changedSince keeps of an image its header and the blocks that changed behind an SCN, as pairs of number and block.
func changedSince(image []byte, size int, base uint64) ([]byte, error) {
	h, err := blocks.ReadHeader(image[size:2*size], false)
	if err != nil {
		return nil, err
	}
	var all []increment
	for no := 1; no <= int(h.Blocks); no++ {
		b := image[no*size:][:size]
		if no > 1 {
			scn, _, err := h.Read(uint32(no), b)
			if err != nil {
				return nil, fault(19566, "exceeded limit of 0 corrupt blocks for file %s", h.TablespaceName)
			}
			if scn <= base {
				continue
			}
		}
		all = append(all, increment{no, b})
	}
	return json.Marshal(all)
}

type increment struct {
	No   int
	Data []byte
}

// format replaces the letters of FORMAT.
func (i *Instance) format(format string, f *dataFile) (string, error) {
	i.units++
	n := i.ctl.Version
	var b bytes.Buffer
	for k := 0; k < len(format); k++ {
		if format[k] != '%' {
			b.WriteByte(format[k])
			continue
		}
		if k++; k == len(format) {
			return "", fault(19715, "invalid format %% for generated name")
		}
		switch format[k] {
		case 'U', 'u':
			fmt.Fprintf(&b, "%s_1_1", omf(n*1009+i.units))
		case 'd':
			b.WriteString(i.ctl.Name)
		case 'T':
			b.WriteString(i.config.Now().Format("20060102"))
		case 't', 's':
			fmt.Fprint(&b, n)
		case 'p', 'c':
			b.WriteByte('1')
		case 'I':
			fmt.Fprint(&b, i.ctl.DBID)
		case 'F':
			fmt.Fprintf(&b, "c-%d-%s-%02x", i.ctl.DBID, i.config.Now().Format("20060102"), n%256)
		case 'f', 'N':
			if f == nil {
				return "", fault(19715, "invalid format %c for generated name", format[k])
			}
			if format[k] == 'f' {
				fmt.Fprint(&b, f.No)
			} else {
				b.WriteString(i.ctl.tablespace(f.TS).Name)
			}
		case '%':
			b.WriteByte('%')
		default:
			return "", fault(19715, "invalid format %c for generated name", format[k])
		}
	}
	path := b.String()
	if !filepath.IsAbs(path) {
		path = filepath.Join(i.home(), path)
	}
	return path, nil
}

// setRow begins the row of a view about something in a backup set.
func (p *piece) setRow(more row) row {
	more["RECID"], more["SET_STAMP"], more["SET_COUNT"], more["CON_ID"] = num(p.Key), num(1_100_000_000+p.Key), num(p.Key), num(0)
	more["COMPLETION_TIME"] = p.Done.Truncate(time.Second)
	if p.Level >= 0 {
		more["INCREMENTAL_LEVEL"] = num(p.Level)
	}
	return more
}

func (a *act) backupView(name string) (view, bool) {
	rows := func(of func(p *piece) []row) func(a *act) []row {
		return func(a *act) (all []row) {
			for _, p := range a.ctl.Pieces {
				for _, r := range of(p) {
					all = append(all, p.setRow(r))
				}
			}
			return all
		}
	}
	switch name {
	case "V$BACKUP_PIECE":
		return view{needsMount, "RECID SET_STAMP SET_COUNT PIECE# HANDLE BYTES STATUS TAG COMPLETION_TIME DELETED DEVICE_TYPE CON_ID", rows(func(p *piece) []row {
			if p.Kind == "copy" {
				return nil
			}
			return []row{{"PIECE#": num(1), "HANDLE": p.Handle, "BYTES": num(p.Bytes), "STATUS": p.Status, "TAG": p.Tag, "DELETED": yes(p.Status == "D"), "DEVICE_TYPE": "DISK"}}
		})}, true
	case "V$BACKUP_SET":
		return view{needsMount, "RECID SET_STAMP SET_COUNT BACKUP_TYPE COMPLETION_TIME CON_ID", rows(func(p *piece) []row {
			if p.Kind == "copy" {
				return nil
			}
			return []row{{"BACKUP_TYPE": map[bool]string{true: "L", false: "D"}[p.Kind == "archivelog"]}}
		})}, true
	case "V$DATAFILE_COPY":
		return view{needsMount, `RECID NAME TAG FILE# RESETLOGS_CHANGE# INCREMENTAL_LEVEL CHECKPOINT_CHANGE# ABSOLUTE_FUZZY_CHANGE# BLOCKS BLOCK_SIZE STATUS DELETED COMPLETION_TIME CON_ID`, rows(func(p *piece) []row {
			if p.Kind != "copy" {
				return nil
			}
			f, size := p.Files[0], int64(a.config.BlockSizeBytes)
			if f.No == 0 {
				size = 16384
			}
			return []row{{"NAME": p.Handle, "TAG": p.Tag, "FILE#": num(f.No), "RESETLOGS_CHANGE#": num(p.Resets), "CHECKPOINT_CHANGE#": num(f.Checkpoint), "ABSOLUTE_FUZZY_CHANGE#": num(f.End),
				"BLOCKS": num(p.Bytes/size - 1), "BLOCK_SIZE": num(size), "STATUS": p.Status, "DELETED": yes(p.Status == "D")}}
		})}, true
	case "V$BACKUP_DATAFILE":
		return view{needsMount, `RECID SET_STAMP SET_COUNT FILE# RESETLOGS_CHANGE# INCREMENTAL_LEVEL INCREMENTAL_CHANGE# CHECKPOINT_CHANGE# ABSOLUTE_FUZZY_CHANGE# MARKED_CORRUPT MEDIA_CORRUPT
			COMPLETION_TIME CON_ID`, rows(func(p *piece) (all []row) {
			for _, f := range p.Files {
				if p.Kind == "database" || p.Kind == "controlfile" {
					all = append(all, row{"FILE#": num(f.No), "RESETLOGS_CHANGE#": num(p.Resets), "INCREMENTAL_CHANGE#": num(f.Base), "CHECKPOINT_CHANGE#": num(f.Checkpoint),
						"ABSOLUTE_FUZZY_CHANGE#": num(f.End), "MARKED_CORRUPT": num(0), "MEDIA_CORRUPT": num(0)})
				}
			}
			return all
		})}, true
	case "V$BACKUP_REDOLOG":
		return view{needsMount, "RECID SET_STAMP SET_COUNT THREAD# SEQUENCE# RESETLOGS_CHANGE# FIRST_CHANGE# NEXT_CHANGE# CON_ID", rows(func(p *piece) (all []row) {
			for _, f := range p.Files {
				if p.Kind == "archivelog" {
					all = append(all, row{"THREAD#": num(f.Thread), "SEQUENCE#": num(f.Sequence), "RESETLOGS_CHANGE#": num(p.Resets), "FIRST_CHANGE#": num(f.First), "NEXT_CHANGE#": num(f.Next)})
				}
			}
			return all
		})}, true
	case "V$BACKUP_SPFILE":
		return view{needsMount, "RECID SET_STAMP SET_COUNT COMPLETION_TIME CON_ID", rows(func(p *piece) []row {
			if p.Kind != "spfile" {
				return nil
			}
			return []row{{}}
		})}, true
	case "V$SESSION":
		return view{needsStart, "SID SERIAL# USERNAME PROGRAM CLIENT_INFO CON_ID", (*act).sessionRows}, true
	}
	return view{}, false
}

func (a *act) sessionRows() (all []row) {
	for _, id := range slices.Sorted(maps.Keys(a.sessions)) {
		s := a.sessions[id]
		r := row{"SID": num(id), "SERIAL#": num(id + 1000), "USERNAME": s.user, "PROGRAM": s.program, "CON_ID": num(0)}
		if s.clientInfo != "" {
			r["CLIENT_INFO"] = s.clientInfo
		}
		all = append(all, r)
	}
	return all
}

// killSession is ALTER SYSTEM KILL SESSION 'sid,serial#' [IMMEDIATE].
func (a *act) killSession() error {
	text, ok := a.r.text()
	_ = a.r.take("IMMEDIATE") // it is so here
	sid, serial, both := strings.Cut(text, ",")
	id, err := strconv.Atoi(sid)
	if !ok || !both || err != nil || !a.r.end() {
		return unknown(a.note.Text)
	}
	s := a.sessions[id]
	if s == nil || serial != strconv.Itoa(id+1000) {
		return fault(30, "User session ID does not exist.")
	}
	a.end(s)
	return nil
}

// catalogue enters a file as what it is.
func (i *Instance) catalogue(path string) error {
	if slices.ContainsFunc(i.ctl.Pieces, func(p *piece) bool { return p.Handle == path && p.Status == "A" }) ||
		slices.ContainsFunc(i.ctl.Archived, func(l *archivedLog) bool { return l.Name == path && l.Status == "A" }) {
		return nil
	}
	p, ok := i.recognise(path)
	if !ok {
		return fault(19505, "failed to identify file \"%s\"", path)
	}
	if p != nil {
		p.Key = len(i.ctl.Pieces) + 1
		i.ctl.Pieces = append(i.ctl.Pieces, p)
	}
	return i.saveControl()
}

// recognise reads the header of a piece, a copy or a log. A log is entered at once.
func (i *Instance) recognise(path string) (p *piece, ok bool) {
	if h, _, err := readPiece(path); err == nil {
		return &h.Piece, h.DBID == i.ctl.DBID
	}
	if l, err := readRedo(path); err == nil && l.Next != noSCN {
		i.ctl.LastRecid++
		i.ctl.Archived = append(i.ctl.Archived, &archivedLog{Recid: i.ctl.LastRecid, Dest: 1, Thread: int(l.Thread), Name: path, Sequence: l.Sequence, ResetlogsID: l.ResetlogsID, ResetlogsSCN: l.ResetlogsSCN,
			First: l.First, Next: l.Next, Done: i.config.Now(), Status: "A", Creator: "RMAN"})
		return nil, l.DBID == i.ctl.DBID
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, false
	}
	copied := &piece{Handle: path, Kind: "copy", Status: "A", Level: -1, Done: i.config.Now(), Bytes: info.Size()}
	if h, err := readHeader(path, i.config.BlockSizeBytes); err == nil {
		end := max(h.absoluteFuzzy, h.CheckpointSCN)
		copied.Done = h.CheckpointTime // by which UNTIL TIME chooses: when it was copied, nothing tells
		copied.Files, copied.Resets = []pieceFile{{No: int(h.File), Name: path, Checkpoint: h.CheckpointSCN, End: end}}, h.ResetlogsSCN
		return copied, h.DBID == i.ctl.DBID
	}
	if c, err := readControl(path); err == nil {
		copied.Files = []pieceFile{{Name: path}}
		return copied, c.DBID == i.ctl.DBID
	}
	return nil, false
}
