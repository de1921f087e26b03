package oracle

import (
	"context"
	"database/sql"
	"fmt"

	goora "github.com/sijms/go-ora/v2"
)

// newLobReader takes the driver's own way to BFILEs where there is one, and PL/SQL elsewhere.
func newLobReader(c *session) lobReader {
	var out lobReader = &plsqlReader{c: c}
	_ = c.conn.Raw(func(dc any) error {
		switch dc.(type) {
		case *wired, *goora.Connection:
			out = &bfileReader{c: c}
		}
		return nil
	})
	return out
}

// bfileReader keeps one file open on its session, of which a server allows ten [REF].
//
// What the driver does, from bfile.go, lob.go and network/session.go of its source [GO]: a BFile belongs to the connection that it was made for, and its calls are messages on
// that connection without a lock, so nothing else may run on it at the time; a session of ours is used by one goroutine at a time, and only for this. Open and Close send one
// message each, and Open of an open file none. A read is one message with position and length, both of 64 bits where the server speaks TTC version 3 or later, and one answer of
// any length, which is put together in memory. The position that is sent begins with 1, the one that is asked for with 0. A length of 0 would read all of the file. ORA-01403 at
// the end of a file is no error there but an answer without bytes. What a read returns lies in a buffer that the next read of that BFile overwrites. After an error the state of
// a file is not known: the session is given up with it. The calls take no context, and no deadline is set with TIMEOUT=0: one that hangs is ended by closing the connection.
type bfileReader struct {
	c               *session
	directory, name string
	file            *goora.BFile
}

func (b *bfileReader) call(ctx context.Context, directory, name string, again bool, do func(f *goora.BFile) error) error {
	return b.c.bounded(ctx, func() error {
		return b.c.conn.Raw(func(dc any) error {
			conn, ok := dc.(*goora.Connection)
			if w, is := dc.(*wired); is {
				conn, ok = w.Connection, true
			}
			if !ok {
				return fmt.Errorf("the session changed its driver to %T", dc)
			}
			if err := b.change(conn, directory, name, again); err != nil {
				return err
			}
			return do(b.file)
		})
	})
}

// change opens a file when it is another one, or again where that is asked for.
func (b *bfileReader) change(conn *goora.Connection, directory, name string, again bool) error {
	if !again && b.file != nil && b.directory == directory && b.name == name {
		return nil
	}
	if b.file != nil {
		old := b.file
		b.file = nil
		if err := old.Close(); err != nil {
			return err
		}
	}
	f, err := goora.CreateBFile2(conn, directory, name)
	if err != nil {
		return err
	}
	if err := f.Open(); err != nil {
		return err
	}
	b.file, b.directory, b.name = f, directory, name
	return nil
}

func (b *bfileReader) length(ctx context.Context, directory, name string) (n int64, err error) {
	// Opened anew: an open file might go on having the length that it had.
	err = b.call(ctx, directory, name, true, func(f *goora.BFile) (err error) {
		n, err = f.GetLength()
		return err
	})
	return n, err
}

func (b *bfileReader) readAt(ctx context.Context, directory, name string, offset int64, p []byte) (n int, err error) {
	err = b.call(ctx, directory, name, false, func(f *goora.BFile) error {
		data, err := f.ReadBytesFromPos(offset, int64(len(p)))
		if err != nil {
			return err
		}
		if len(data) > len(p) {
			return fmt.Errorf("the server sent %d bytes, and %d were asked for", len(data), len(p))
		}
		n = copy(p, data) // the driver uses its buffer again
		return nil
	})
	return n, err
}

// plsqlReader reads by DBMS_LOB, which any driver can call: at most 32767 bytes a call, since RAW has no more [PLS].
type plsqlReader struct{ c *session }

const (
	blockLength = "DECLARE f BFILE := BFILENAME(:1, :2); BEGIN DBMS_LOB.FILEOPEN(f, DBMS_LOB.FILE_READONLY); :3 := DBMS_LOB.GETLENGTH(f); DBMS_LOB.FILECLOSE(f); END;"
	blockRead   = "DECLARE f BFILE := BFILENAME(:1, :2); n INTEGER := :3; BEGIN DBMS_LOB.FILEOPEN(f, DBMS_LOB.FILE_READONLY); DBMS_LOB.READ(f, n, :4, :5); DBMS_LOB.FILECLOSE(f); END;"
	maxRaw      = 32767
)

func (b *plsqlReader) length(ctx context.Context, directory, name string) (n int64, err error) {
	err = b.c.exec(ctx, blockLength, directory, name, sql.Out{Dest: &n})
	return n, err
}

func (b *plsqlReader) readAt(ctx context.Context, directory, name string, offset int64, p []byte) (int, error) {
	raw := make([]byte, min(len(p), maxRaw)) // some drivers take the room from its length
	want := int64(len(raw))
	err := b.c.exec(ctx, blockRead, directory, name, want, offset+1, sql.Out{Dest: &raw})
	if said(err, oraNoData) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	if len(raw) > len(p) {
		return 0, fmt.Errorf("the server sent %d bytes, and %d were asked for", len(raw), want)
	}
	return copy(p, raw), nil
}
