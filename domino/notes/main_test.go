package notes_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/quiesce-go/quiesce/domino/notes"
)

// roleVariable makes of the test binary a child that behaves as it says.
const roleVariable = "QUIESCE_NOTES_CHILD"

func TestMain(m *testing.M) {
	if role := os.Getenv(roleVariable); role != "" {
		os.Exit(child(role))
	}
	os.Exit(m.Run())
}

type stdio struct {
	io.Reader
	io.Writer
}

func (stdio) Close() error { return os.Stdin.Close() }

func child(role string) int {
	conn := stdio{os.Stdin, os.Stdout}
	role, arg, _ := strings.Cut(role, " ")
	switch role {
	case "silent":
		time.Sleep(time.Hour)
	case "garbage":
		fmt.Println("libnotes: all is not well")
		time.Sleep(time.Hour)
	case "refuse":
		_ = notes.Refuse(conn, &notes.CallError{Call: "NotesInitExtended", Status: notes.StatusNoNotesINI})
		return 1
	case "exit":
		fmt.Fprintln(os.Stderr, "cannot open libnotes.so")
		return 3
	case "deaf": // to the end of its input
		_ = notes.Serve(context.Background(), conn, &fake{})
		time.Sleep(time.Hour)
	}
	f := &fake{at: func(_ context.Context, call string) error {
		if call != arg {
			return nil
		}
		switch role {
		case "dies":
			fmt.Fprintln(os.Stderr, "PANIC in "+call)
			os.Exit(7)
		case "mutters":
			fmt.Println("Enter password:")
			time.Sleep(time.Hour)
		case "hangs":
			_ = os.WriteFile(os.Getenv(roleVariable+"_SAYS"), nil, 0o600)
			time.Sleep(time.Hour)
		}
		return nil
	}}
	if err := notes.Serve(context.Background(), conn, f); err != nil {
		return 1
	}
	if role == "reports" {
		_ = os.WriteFile(arg, []byte(strings.Join(f.called(), "\n")), 0o600)
	}
	return 0
}

// command is the test binary in a role.
func command(role string) notes.Command {
	self, err := os.Executable()
	if err != nil {
		panic(err)
	}
	return notes.Command{Path: self, Env: append(os.Environ(), roleVariable+"="+role), Grace: 30 * time.Second}
}

var errTest = errors.New("test")
