package oracle

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
)

const wireSecret = "s3cr3t-of-the-wire"

// listener answers on a port of this machine like a listener of the server would, or fails to.
func listener(t testing.TB, answer func(c net.Conn)) (dsn string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				answer(c)
			}()
		}
	}()
	return "oracle://backup:" + wireSecret + "@" + l.Addr().String() + "/orcl?TIMEOUT=3600"
}

// connectPacket reads the packet that a client begins with: 8 bytes of header, of which the first two are the length [GO].
func connectPacket(c net.Conn) bool {
	head := make([]byte, 8)
	if _, err := io.ReadFull(c, head); err != nil || head[4] != 1 {
		return false
	}
	_, err := io.CopyN(io.Discard, c, int64(binary.BigEndian.Uint16(head))-8)
	return err == nil
}

// refusePacket says no, for a reason with a number of the error manual.
func refusePacket(number int) []byte {
	text := fmt.Sprintf("(DESCRIPTION=(TMP=)(VSNNUM=318767104)(ERR=%d)(ERROR_STACK=(ERROR=(CODE=%d)(EMFI=4))))", number, number)
	p := make([]byte, 12, 12+len(text))
	binary.BigEndian.PutUint16(p, uint16(12+len(text)))
	p[4] = 4
	binary.BigEndian.PutUint16(p[10:], uint16(len(text)))
	return append(p, text...)
}

func wireSource(t *testing.T, dsn string, timeout time.Duration) *Source {
	t.Helper()
	s, err := New(dsn, &Options{StateDir: t.TempDir(), ConnectTimeout: timeout})
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestServersThatCannotBeReached(t *testing.T) {
	t.Parallel()
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := closed.Addr().String()
	require.NoError(t, closed.Close())
	for name, c := range map[string]struct {
		dsn       string
		timeout   time.Duration
		say, hint string
	}{
		"refused": {listener(t, func(c net.Conn) {
			if connectPacket(c) {
				_, _ = c.Write(refusePacket(12514))
			}
		}), 0, "12514", "lsnrctl status"},
		"no handler": {listener(t, func(c net.Conn) {
			if connectPacket(c) {
				_, _ = c.Write(refusePacket(12516))
			}
		}), 0, "12516", "PROCESSES"},
		"nobody listens": {"oracle://backup:" + wireSecret + "@" + address + "/orcl", 0, "refused", "lsnrctl status"},
		"closed at once": {listener(t, func(net.Conn) {}), 0, "", "lsnrctl status"},
		"closed after the first packet": {listener(t, func(c net.Conn) {
			_ = connectPacket(c)
		}), 0, "", "lsnrctl status"},
		"reset": {listener(t, func(c net.Conn) {
			_ = connectPacket(c)
			if tcp, ok := c.(*net.TCPConn); ok {
				_ = tcp.SetLinger(0)
			}
		}), 0, "", "lsnrctl status"},
		"half an answer": {listener(t, func(c net.Conn) {
			if connectPacket(c) {
				_, _ = c.Write(refusePacket(12514)[:9])
			}
		}), 0, "", "lsnrctl status"},
		"silence": {listener(t, func(c net.Conn) {
			_, _ = io.Copy(io.Discard, c)
		}), 50 * time.Millisecond, "no answer within 50ms", "listener.log"},
		"slow": {listener(t, func(c net.Conn) {
			if connectPacket(c) {
				for _, b := range refusePacket(12514) {
					_, _ = c.Write([]byte{b})
					time.Sleep(time.Millisecond)
				}
			}
		}), 0, "12514", "lsnrctl status"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := wireSource(t, c.dsn, c.timeout)
			_, err := s.Backup(t.Context(), backup.Request{Job: "wire", Kind: backup.Full, Log: discard()}, nil)
			require.Error(t, err)
			var e *backup.Error
			require.ErrorAs(t, err, &e)
			assert.ErrorContains(t, err, "oracle: connect to 127.0.0.1:")
			assert.ErrorContains(t, err, "/orcl")
			assert.ErrorContains(t, err, c.say)
			assert.Contains(t, backup.Hint(err), c.hint)
			assert.NotContains(t, err.Error(), wireSecret)
			assert.NotContains(t, err.Error(), "error occur at position")
			assert.Equal(t, classRetryUnlessName(name), classify(err))
		})
	}
}

// classRetryUnlessName: a service that the listener does not know needs somebody; the rest may pass.
func classRetryUnlessName(name string) class {
	switch name {
	case "refused", "slow":
		return classConfiguration
	case "silence":
		return classNone // a context ended it
	}
	return classRetry
}

// A login that hangs is left when its context ends, not when the driver's time-out does.
func TestALoginThatHangsIsLeftAtOnce(t *testing.T) {
	t.Parallel()
	reached := make(chan struct{}, 1)
	gone := make(chan struct{}, 1)
	s := wireSource(t, listener(t, func(c net.Conn) {
		reached <- struct{}{}
		_, _ = io.Copy(io.Discard, c) // ends when the client hangs up
		gone <- struct{}{}
	}), time.Hour)
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("the operator went home")
	go func() {
		<-reached
		cancel(why)
	}()
	_, err := s.Estimate(ctx, backup.Request{Kind: backup.Full})
	require.ErrorIs(t, err, why)
	<-gone
}

func TestDSN(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"", "x", "oracle://u:" + wireSecret + "@host/orcl", "sqlserver://u:" + wireSecret + "@h:1/x", "oracle://u:" + wireSecret + "@h:1521/x?NO SUCH KEY=1", "oracle://u:" + wireSecret + "@h:1521/%zz"} {
		_, err := New(bad, &Options{StateDir: "/state"})
		require.Error(t, err, bad)
		assert.NotContains(t, err.Error(), wireSecret)
		assert.Contains(t, backup.Hint(err), "1521")
	}
	s, err := New("oracle://u:"+wireSecret+"@db1:1521/orcl?DBA PRIVILEGE=SYSBACKUP&timeout=5", &Options{StateDir: "/state"})
	require.NoError(t, err)
	assert.Equal(t, "oracle db1:1521/orcl", s.String())
	assert.NotContains(t, fmt.Sprintf("%v %+v %#v", s, s, s), wireSecret)
	quiet, _, err := untimed("oracle://u:p@db1:1521/orcl?Connection Timeout=5&TIMEOUT=7")
	require.NoError(t, err)
	assert.Equal(t, "oracle://u:p@db1:1521/orcl?TIMEOUT=0", quiet)
}

func TestOptions(t *testing.T) {
	t.Parallel()
	_, err := New("oracle://u:p@h:1521/x", nil)
	assert.ErrorContains(t, err, "state dir")
	_, err = New("oracle://u:p@h:1521/x", &Options{Mode: "tape", StateDir: "rel", Files: 99, Connections: -1, ChunkSize: 5, Directories: "lower", ArchiveWait: -1, RequiredDestinations: []int{40}, Include: []string{""}})
	for _, want := range []string{"mode", "absolute", "files", "connections", "chunk size", "directories", "archive wait", "required destination", "pattern"} {
		assert.ErrorContains(t, err, want, "all problems at once")
	}
	_, err = New("oracle://u:p@h:1521/x", &Options{Mode: ModeRemote, StateDir: "/state"})
	assert.ErrorContains(t, err, "scratch dir")
}
