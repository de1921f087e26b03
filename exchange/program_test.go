package exchange

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/internal/filelock"
	"github.com/quiesce-go/quiesce/internal/winetest"
)

// standIn is the variable that makes this test binary stand in for a program of Windows.
const standIn = "QUIESCE_STANDIN"

func TestMain(m *testing.M) {
	if exit, ok := runStandIn(); ok {
		os.Exit(exit)
	}
	switch os.Getenv(standIn) {
	case "":
		os.Exit(m.Run())
	case "talker":
		os.Exit(talk(os.Args[1:]))
	case "diskshadow":
		os.Exit(diskshadowMain(os.Args[1:]))
	case "holder":
		os.Exit(shadowHolder(os.Args[1]))
	case "powershell":
		os.Exit(powershellMain(os.Args[1:]))
	}
	fmt.Println("unknown stand-in", os.Getenv(standIn))
	os.Exit(99)
}

// talk is a program for the tests of program.
func talk(args []string) int {
	switch args[0] {
	case "say":
		fmt.Print(args[1])
		fmt.Fprint(os.Stderr, os.Getenv("TALKER"))
		return len(args)
	case "much":
		for i := range 5000 {
			fmt.Printf("line %d\n", i)
		}
	case "hang": // with a child, which holds a lock
		if args[1] == "parent" {
			_ = exec.Command(os.Args[0], "hang", "child", args[2]).Run()
			return 0
		}
		l, err := filelock.Take(args[2])
		if err != nil {
			return 1
		}
		_ = os.WriteFile(args[2]+".held", nil, 0o600)
		time.Sleep(time.Hour)
		_ = l.Release()
	}
	return 0
}

func talker(args ...string) program {
	return program{path: os.Args[0], args: args, env: []string{standIn + "=talker"}}
}

func TestProgramEndsWithItsCodeAndOutput(t *testing.T) {
	t.Parallel()
	p := talker("say", `a "quoted" word and \ %PATH%`)
	p.env = append(p.env, "TALKER=, told")
	e, err := p.run(t.Context())
	require.NoError(t, err)
	assert.Equal(t, 2, e.code)
	assert.Equal(t, `a "quoted" word and \ %PATH%, told`, e.output)
	assert.False(t, e.cut)

	p = talker("much")
	p.max = 100
	e, err = p.run(t.Context())
	require.NoError(t, err)
	assert.True(t, e.cut)
	assert.Len(t, e.output, 100)
	assert.True(t, strings.HasSuffix(strings.TrimSpace(e.output), "line 4999"), e.output)
}

func TestProgramThatIsNotThere(t *testing.T) {
	t.Parallel()
	_, err := program{path: filepath.Join(winetest.TempDir(t), "none.exe")}.run(t.Context())
	require.ErrorContains(t, err, "none.exe")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(fmt.Errorf("enough"))
	_, err = talker("say", "no").run(ctx)
	require.EqualError(t, err, "enough")
}

// A child that goes on would keep its lock.
func TestProgramIsKilledWithItsChildren(t *testing.T) {
	t.Parallel()
	lock := filepath.Join(winetest.TempDir(t), "lock")
	ctx, cancel := context.WithCancelCause(t.Context())
	r, err := talker("hang", "parent", lock).start(ctx)
	require.NoError(t, err)
	held := func() bool {
		l, err := filelock.Take(lock)
		if err == nil {
			require.NoError(t, l.Release())
		}
		return err != nil
	}
	require.Eventually(t, func() bool { _, err := os.Stat(lock + ".held"); return err == nil }, time.Minute, 10*time.Millisecond)
	require.True(t, held())
	cancel(fmt.Errorf("enough"))
	<-r.done
	_, err = r.result()
	require.ErrorContains(t, err, "enough")
	require.Eventually(t, func() bool { return !held() }, time.Minute, 10*time.Millisecond)
}
