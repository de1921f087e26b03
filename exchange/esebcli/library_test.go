package esebcli

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"runtime"
	"slices"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
)

// dllOfTest answers in the place of a library, with words as the ABI of this machine has them.
type dllOfTest struct {
	answers map[function]func(words []uintptr) (HRESULT, uint32)
	calls   []function
	texts   map[uint32]string
	rights  error
}

func (d *dllOfTest) call(fn function, words []uintptr) (uintptr, uint32) {
	d.calls = append(d.calls, fn)
	if answer := d.answers[fn]; answer != nil {
		hr, last := answer(words)
		return uintptr(hr), last
	}
	return 0, 0
}

func (d *dllOfTest) text(code uint32) string { return d.texts[code] }

func (d *dllOfTest) ready() error { return d.rights }

// put writes a value to where a word points.
func put[T any](word uintptr, v T) { *(*T)(pointer(word)) = v }

func answer(hr HRESULT, last uint32) func([]uintptr) (HRESULT, uint32) {
	return func([]uintptr) (HRESULT, uint32) { return hr, last }
}

func opened(t *testing.T, d *dllOfTest) Session {
	t.Helper()
	if d.answers == nil {
		d.answers = map[function]func([]uintptr) (HRESULT, uint32){}
	}
	d.answers[backupPrepare] = func(w []uintptr) (HRESULT, uint32) {
		require.Len(t, w, 5)
		machine, err := native().text(uint64(w[0]))
		require.NoError(t, err)
		assert.Equal(t, "EX", machine)
		put(w[2], uint32(0))
		put(w[3], uintptr(0x5000))
		put(w[4], uintptr(0x4711))
		return 0, 0
	}
	s, list, err := (&Library{dll: d}).Prepare(t.Context(), "EX", InformationStore)
	require.NoError(t, err)
	assert.Empty(t, list)
	return s
}

func TestSessionEndsOnce(t *testing.T) {
	t.Parallel()
	d := &dllOfTest{}
	s := opened(t, d)
	d.answers[backupFreeInstanceInfo] = func(w []uintptr) (HRESULT, uint32) {
		assert.Equal(t, []uintptr{0, 0x5000}, w)
		return 99, 0 // it returns nothing: what is left in the register has no meaning
	}
	d.answers[backupEnd] = answer(HrNoBackup, 0)
	require.ErrorIs(t, s.End(t.Context()), HrNoBackup)
	require.NoError(t, s.End(t.Context()))
	assert.Equal(t, []function{backupPrepare, backupEnd, backupFreeInstanceInfo}, d.calls)
	for _, err := range []error{s.Setup(t.Context(), 1, Full), s.TruncateLogs(t.Context()), s.EndInstance(t.Context(), true)} {
		require.ErrorIs(t, err, os.ErrClosed)
	}
	assert.Len(t, d.calls, 3, "nothing was asked of a session that has ended")
}

func TestSessionOfAnEndedContext(t *testing.T) {
	t.Parallel()
	d := &dllOfTest{}
	s := opened(t, d)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, s.TruncateLogs(ctx), context.Canceled)
	_, err := s.LogFiles(ctx)
	require.ErrorIs(t, err, context.Canceled)
	assert.Equal(t, []function{backupPrepare}, d.calls)
	require.NoError(t, s.End(ctx))
	assert.Contains(t, d.calls, backupEnd)
}

func TestPrepareRefusesRubbish(t *testing.T) {
	t.Parallel()
	d := &dllOfTest{answers: map[function]func([]uintptr) (HRESULT, uint32){
		backupPrepare: func(w []uintptr) (HRESULT, uint32) {
			put(w[2], uint32(3))
			put(w[4], uintptr(1))
			return 0, 0
		},
	}}
	_, _, err := (&Library{dll: d}).Prepare(t.Context(), "EX", InformationStore)
	require.ErrorIs(t, err, errStructure)
	assert.Equal(t, []function{backupPrepare, backupEnd}, d.calls, "the session is ended")

	d.rights = errors.New("no rights")
	_, _, err = (&Library{dll: d}).Prepare(t.Context(), "EX", InformationStore)
	require.ErrorIs(t, err, d.rights)
	_, err = (&Library{dll: d}).RestoreOpen(t.Context(), "EX", InformationStore, "g", "")
	require.ErrorIs(t, err, d.rights)
	assert.Len(t, d.calls, 2)
}

func TestFileReads(t *testing.T) {
	t.Parallel()
	d := &dllOfTest{}
	s := opened(t, d)
	d.answers[backupOpenFile] = func(w []uintptr) (HRESULT, uint32) {
		assert.Equal(t, []uintptr{0x4711, 65535, 1}, []uintptr{w[0], w[2], w[3]})
		put(w[4], uintptr(0xF11E))
		put(w[5], int64(5)<<32)
		return 0, 0
	}
	f, size, err := s.OpenFile(t.Context(), `E:\a.edb`, 65535)
	require.NoError(t, err)
	assert.Equal(t, int64(5)<<32, size)
	gives := uint32(2)
	d.answers[backupReadFile] = func(w []uintptr) (HRESULT, uint32) {
		assert.Equal(t, []uintptr{0x4711, 0xF11E, 3}, []uintptr{w[0], w[1], w[3]})
		put(w[2], [2]byte{'o', 'k'})
		put(w[4], gives)
		return 0, 0
	}
	b := make([]byte, 3)
	n, err := f.Read(t.Context(), b)
	require.NoError(t, err)
	assert.Equal(t, "ok", string(b[:n]))
	gives = 4
	_, err = f.Read(t.Context(), b)
	require.ErrorIs(t, err, errStructure)
	gives = 0
	n, err = f.Read(t.Context(), b)
	assert.Equal(t, io.EOF, err)
	assert.Zero(t, n)
	require.NoError(t, f.Close(t.Context()))
	require.NoError(t, f.Close(t.Context()))
	assert.Equal(t, 1, count(d.calls, backupCloseFile))
	_, err = f.Read(t.Context(), b)
	require.ErrorIs(t, err, os.ErrClosed)

	f, _, err = s.OpenFile(t.Context(), `E:\a.edb`, 65535)
	require.NoError(t, err)
	require.NoError(t, s.End(t.Context()))
	require.NoError(t, f.Close(t.Context()))
	assert.Equal(t, 1, count(d.calls, backupCloseFile), "End closed it")
}

func count(calls []function, fn function) (n int) {
	for _, c := range calls {
		if c == fn {
			n++
		}
	}
	return n
}

// TestArgumentsOfCalls counts the words of calls with numbers of 64 bits and GUIDs by value, which differ by bitness.
func TestArgumentsOfCalls(t *testing.T) {
	t.Parallel()
	d := &dllOfTest{}
	s := opened(t, d)
	const id = 0x1122334455667788
	d.answers[backupSetup] = func(w []uintptr) (HRESULT, uint32) {
		if wordSize == 4 {
			assert.Equal(t, []uintptr{0x4711, 0x55667788, 0x11223344, 2}, w)
			return 0, 0
		}
		big := uint64(id)
		assert.Equal(t, []uintptr{0x4711, uintptr(big), 2}, w)
		return 0, 0
	}
	require.NoError(t, s.Setup(t.Context(), id, LogsOnly))
	assert.Equal(t, 1, count(d.calls, backupSetup))

	d.answers[restoreOpen] = func(w []uintptr) (HRESULT, uint32) {
		require.Len(t, w, 5)
		put(w[4], uintptr(0x815))
		return 0, 0
	}
	r, err := (&Library{dll: d}).RestoreOpen(t.Context(), "EX", InformationStore, "g", "")
	require.NoError(t, err)
	d.answers[restoreAddDatabaseNS] = func(w []uintptr) (HRESULT, uint32) {
		streams := w[3:]
		if wordSize == 4 {
			assert.Equal(t, []uintptr{0xC4D3E2F1, 0x8897A6B5, 0x0C0B0A09, 0x100F0E0D}, w[2:6])
			streams = w[6:]
		} else {
			assert.Equal(t, testID[:], native().at(uint64(w[2]), 16))
		}
		require.Len(t, streams, 2)
		for i, want := range []string{"a.edb", "b.edb"} {
			list, err := native().list(uint64(streams[i]), 8)
			require.NoError(t, err)
			assert.Equal(t, []string{want}, list)
		}
		return 0, 0
	}
	require.NoError(t, r.AddDatabaseTo(t.Context(), "x", testID, []string{"a.edb"}, []string{"b.edb"}))
	assert.Equal(t, 1, count(d.calls, restoreAddDatabaseNS))
}

func TestListsAreFreed(t *testing.T) {
	t.Parallel()
	d := &dllOfTest{}
	s := opened(t, d)
	list := newFrame().multi([]string{`E:\E0000001.log`, `E:\E0000002.log`})
	defer list.release()
	d.answers[backupGetLogAndPatchFiles] = func(w []uintptr) (HRESULT, uint32) {
		put(w[1], list.words[0])
		return 0, 0
	}
	d.answers[backupFree] = func(w []uintptr) (HRESULT, uint32) {
		assert.Equal(t, list.words, w)
		return 0, 0
	}
	got, err := s.LogFiles(t.Context())
	require.NoError(t, err)
	assert.Equal(t, []string{`E:\E0000001.log`, `E:\E0000002.log`}, got)
	assert.Equal(t, 1, count(d.calls, backupFree))
	got, err = s.TruncateLogFiles(t.Context()) // which answers no list
	require.NoError(t, err)
	assert.Empty(t, got)
	assert.Equal(t, 1, count(d.calls, backupFree))
}

func TestAnswersAreExplained(t *testing.T) {
	t.Parallel()
	d := &dllOfTest{texts: map[uint32]string{2: "File not found", 0x80131234: "something managed"}}
	s := opened(t, d)
	for _, c := range []struct {
		hr   HRESULT
		last uint32
		is   []error
		says string
	}{
		{HrErrorFromESECall, 0xFFFFFC06, []error{HrErrorFromESECall, FromJET(-1018)}, "page has a wrong checksum"},
		{HrErrorFromESECall, uint32(FromJET(-543)), []error{FromJET(-543)}, "logs are missing"},
		{HrErrorFromESECall, 2, []error{syscall.Errno(2), fs.ErrNotExist}, "File not found (2)"},
		{HrErrorFromESECall, 123456, []error{HrErrorFromESECall}, "GetLastError 123456 (0x0001E240)"},
		{HrErrorFromESECall, 0, []error{HrErrorFromESECall}, "hrErrorFromESECall 0xC7FF1004: the engine failed"},
		{HrMissingFullBackup, 2, []error{HrMissingFullBackup}, "same way"},
		{0x80131234, 0, []error{HRESULT(0x80131234)}, "HRESULT 0x80131234: something managed"},
		{0xC7FF1777, 2, []error{HRESULT(0xC7FF1777), fs.ErrNotExist}, "File not found"},
	} {
		d.answers[backupTruncateLogs] = answer(c.hr, c.last)
		err := s.TruncateLogs(t.Context())
		for _, want := range c.is {
			require.ErrorIs(t, err, want)
		}
		require.ErrorContains(t, err, c.says)
		require.ErrorContains(t, err, "exchange: HrESEBackupTruncateLogs "+InformationStore+": ")
		assert.Equal(t, c.hr.Hint(), backup.Hint(err))
	}
	assert.NotErrorIs(t, s.TruncateLogs(t.Context()), HrMissingFullBackup)
}

func TestRestoreCalls(t *testing.T) {
	t.Parallel()
	d := &dllOfTest{answers: map[function]func([]uintptr) (HRESULT, uint32){}}
	d.answers[restoreReopen] = func(w []uintptr) (HRESULT, uint32) {
		assert.Zero(t, w[1], "no annotation is NULL")
		put(w[3], uintptr(0x815))
		return 0, 0
	}
	r, err := (&Library{dll: d}).RestoreReopen(t.Context(), "EX", "", `E:\restore`)
	require.NoError(t, err)
	d.answers[restoreOpenFile] = answer(HrRestoreAtFileLevel, 0)
	f, atFileLevel, err := r.OpenFile(t.Context(), `E:\a.edb`)
	require.NoError(t, err)
	assert.True(t, atFileLevel)
	assert.Nil(t, f)
	d.answers[restoreOpenFile] = func(w []uintptr) (HRESULT, uint32) {
		put(w[3], uintptr(0xF11E))
		return 0, 0
	}
	f, atFileLevel, err = r.OpenFile(t.Context(), `E:\a.edb`)
	require.NoError(t, err)
	assert.False(t, atFileLevel)
	var wrote []byte
	d.answers[restoreWriteFile] = func(w []uintptr) (HRESULT, uint32) {
		wrote = append(wrote, slices.Clone(native().at(uint64(w[2]), int(w[3])))...)
		return 0, 0
	}
	n, err := f.Write(t.Context(), []byte("bytes"))
	require.NoError(t, err)
	assert.Equal(t, 5, n)
	assert.Equal(t, "bytes", string(wrote))
	require.NoError(t, f.Close(t.Context()))
	_, err = f.Write(t.Context(), []byte("more"))
	require.ErrorIs(t, err, os.ErrClosed)
	_, err = r.Environment(t.Context())
	require.ErrorIs(t, err, errStructure, "success without an environment")
	d.answers[restoreComplete] = func(w []uintptr) (HRESULT, uint32) {
		require.Len(t, w, 5)
		assert.Equal(t, []uintptr{0x815, 0, 0x20001}, []uintptr{w[0], w[3], w[4]})
		return 0, 0
	}
	require.NoError(t, r.Complete(t.Context(), `E:\restore`, `E:\restore`, "", CompleteAttach|CompleteKeepLogs))
	require.NoError(t, r.Close(t.Context(), true))
	require.NoError(t, r.Close(t.Context(), true))
	assert.Equal(t, 1, count(d.calls, restoreClose))
	require.ErrorIs(t, r.SaveEnvironment(t.Context()), os.ErrClosed)
}

func TestWhereThereIsNoLibrary(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("there may be one")
	}
	_, err := Load("")
	require.ErrorIs(t, err, errors.ErrUnsupported)
	require.ErrorContains(t, err, runtime.GOOS)
	assert.Contains(t, backup.Hint(err), "Windows")
	_, err = Load("/esebcli2.dll")
	require.ErrorIs(t, err, errors.ErrUnsupported)
	require.ErrorIs(t, EnablePrivileges(), errors.ErrUnsupported)
	for fn, name := range functions {
		assert.NotEmpty(t, name, fn)
	}
}
