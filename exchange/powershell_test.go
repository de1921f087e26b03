package exchange

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/internal/winetest"
)

// shellWorld is what the stand-in for powershell.exe answers. It is a file, named by the variable shellWorldFile.
type shellWorld struct {
	Layout    string            // what layout.ps1 tells
	Databases []string          // by their GUIDs, for act.ps1
	Fail      map[string]string // what trap tells
	Raw       string            // what is printed instead of anything
	Hang      bool
	Did       []string // what act.ps1 was asked for
	Args      []string
}

const shellWorldFile = "QUIESCE_SHELL_WORLD"

// powershellMain stands in for powershell.exe. It does not understand its language, but it knows the two scripts to the letter and refuses any other, so that nothing can be put into one.
func powershellMain(args []string) int {
	file := os.Getenv(shellWorldFile)
	var w shellWorld
	text, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(text, &w)
	}
	if err != nil {
		fmt.Println(err)
		return 90
	}
	w.Args = args
	defer func() {
		text, _ := json.Marshal(w)
		_ = os.WriteFile(file, text, 0o600)
	}()
	if w.Hang {
		_ = os.WriteFile(file+".hangs", nil, 0o600)
		time.Sleep(time.Hour)
	}
	if w.Raw != "" {
		fmt.Print(w.Raw)
		return 0
	}
	want := []string{"-NoProfile", "-NonInteractive", "-OutputFormat", "Text"}
	if os.Getenv("QUIESCE_URI") != "" {
		want = append(want, "-ExecutionPolicy", "Bypass")
	}
	n := len(args) - 1
	if n < 1 || !slices.Equal(args[:n], append(want, "-EncodedCommand")) {
		fmt.Println("parameter not known:", args)
		return 91
	}
	tell := func(v any) {
		b, _ := json.Marshal(v)
		fmt.Printf("WARNING: of a module\r\n\r\n%s\r\n%s\r\n%s\r\n", answerBegins, b, answerEnds)
	}
	script, err := decodedCommand(args[n])
	switch {
	case err != nil:
		fmt.Println(err)
		return 92
	case w.Fail != nil:
		tell(w.Fail)
		return 1
	case script == preludeScript+layoutScript:
		tell(json.RawMessage(w.Layout))
		return 0
	case script == preludeScript+actScript:
		id := os.Getenv("QUIESCE_DATABASE")
		if !slices.Contains(w.Databases, id) {
			tell(map[string]string{"error": "the operation could not be performed because object '" + id + "' could not be found", "id": "4A9B3A1F,Microsoft.Exchange.Management.SystemConfigurationTasks.MountDatabase", "kind": "exchange"})
			return 1
		}
		w.Did = append(w.Did, os.Getenv("QUIESCE_ACTION")+" "+id+" on "+os.Getenv("QUIESCE_SERVER"))
		tell(map[string]string{"done": os.Getenv("QUIESCE_ACTION")})
		return 0
	}
	fmt.Println("unknown script")
	return 93
}

func decodedCommand(text string) (string, error) {
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(b)%2 != 0 {
		return "", fmt.Errorf("no encoded command: %w", err)
	}
	u := make([]uint16, len(b)/2)
	for i := range u {
		u[i] = binary.LittleEndian.Uint16(b[2*i:])
	}
	return string(utf16.Decode(u)), nil
}

// shellRig is a PowerShell that answers as w says.
func shellRig(t *testing.T, o PowerShellOptions, w shellWorld) (*PowerShell, func() shellWorld) {
	t.Helper()
	file := filepath.Join(winetest.TempDir(t), "shell.json")
	text, err := json.Marshal(w)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file, text, 0o600))
	o.Program = os.Args[0]
	if o.Server == "" {
		o.Server = "ex1"
	}
	p := NewPowerShell(o)
	p.env = []string{standIn + "=powershell", shellWorldFile + "=" + file}
	return p, func() (now shellWorld) {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(text, &now))
		return now
	}
}

// layoutOf reads the layout that testdata has for a version: what layout.ps1 would tell, written by the properties that the documentation of each version names.
func layoutOf(t *testing.T, version string) (Layout, error) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "powershell", version+".json"))
	require.NoError(t, err)
	p, _ := shellRig(t, PowerShellOptions{}, shellWorld{Layout: string(text)})
	return p.Layout(t.Context())
}

func TestLayoutOf2003(t *testing.T) {
	t.Parallel()
	l, err := layoutOf(t, "2003")
	require.NoError(t, err)
	mdb := `C:\Program Files\Exchsrvr\mdbdata`
	assert.Equal(t, Layout{Server: "EX2003", Major: 6, Version: "Version 6.5 (Build 7638.2: Service Pack 2)", Groups: []Group{
		{Name: "First Storage Group", LogDir: mdb, SystemDir: mdb, LogBase: "E00", Databases: []Database{
			{Name: "Mailbox Store (EX2003)", GUID: "0a1b2c3d-0000-4000-8000-000000000011", File: mdb + `\priv1.edb`, StreamFile: mdb + `\priv1.stm`, AllowRestore: true},
			{Name: "Public Folder Store (EX2003)", GUID: "0a1b2c3d-0000-4000-8000-000000000012", File: mdb + `\pub1.edb`, StreamFile: mdb + `\pub1.stm`}}},
		{Name: "Second Storage Group", LogDir: `E:\sg2\logs`, SystemDir: `E:\sg2`, LogBase: "E01", Circular: true, Databases: []Database{
			{Name: `Verkäufe "Süd"`, GUID: "0a1b2c3d-0000-4000-8000-000000000021", File: `E:\sg2\s.edb`, StreamFile: `E:\sg2\s.stm`}}}}}, l, "without the storage group that is empty")
}

func TestLayoutOf2007(t *testing.T) {
	t.Parallel()
	l, err := layoutOf(t, "2007")
	require.NoError(t, err)
	require.Len(t, l.Groups, 1)
	assert.Equal(t, 8, l.Major)
	assert.Equal(t, `D:\system\sg1`, l.Groups[0].SystemDir)
	require.Len(t, l.Groups[0].Databases, 2)
	mailboxes, public := l.Groups[0].Databases[0], l.Groups[0].Databases[1]
	assert.True(t, mailboxes.Mounted)
	assert.Equal(t, time.Date(2026, 11, 21, 22, 0, 5, 0, time.UTC), mailboxes.LastFull)
	assert.Equal(t, time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC), mailboxes.LastLog)
	assert.True(t, mailboxes.LastCopy.IsZero())
	assert.False(t, public.Mounted)
	assert.True(t, public.AllowRestore)
}

func TestLayoutSince2010(t *testing.T) {
	t.Parallel()
	l, err := layoutOf(t, "2010")
	require.NoError(t, err)
	require.Len(t, l.Groups, 3)
	assert.Equal(t, 14, l.Major)
	assert.Equal(t, Group{Name: "Mailbox Database 1", LogDir: `D:\mbx1`, SystemDir: `D:\mbx1`, LogBase: "E00", Databases: []Database{{Name: "Mailbox Database 1", GUID: "6a1b2c3d-0000-4000-8000-000000000001", File: `D:\mbx1\mbx1.edb`,
		Mounted: true, BackupInProgress: true, LastFull: time.Date(2026, 11, 21, 22, 0, 5, 0, time.UTC), LastCopy: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)}}}, l.Groups[0])
	assert.True(t, l.Groups[2].Databases[0].Recovery)

	l, err = layoutOf(t, "2019")
	require.NoError(t, err)
	assert.Equal(t, 15, l.Major)
	assert.Empty(t, l.Groups[0].Databases[0].Copies)
}

func TestLayoutOfAvailabilityGroup(t *testing.T) {
	t.Parallel()
	l, err := layoutOf(t, "dag")
	require.NoError(t, err)
	var names []string
	for _, g := range l.Groups {
		names = append(names, g.Name)
	}
	assert.Equal(t, []string{"DB1", "DB2", "Alone"}, names, "without what has no copy here")
	assert.Equal(t, []Copy{{Server: "EX1", Active: true, Healthy: true, Preference: 1}, {Server: "EX2", Healthy: true, Preference: 2, ReplayQueue: 3}}, l.Groups[0].Databases[0].Copies)
	assert.Equal(t, []Copy{{Server: "EX1", CopyQueue: 1200, ReplayQueue: 7}, {Server: "EX2", Active: true, Preference: 1}}, l.Groups[1].Databases[0].Copies)
	assert.Empty(t, l.Groups[2].Databases[0].Copies)
}

func TestLayoutThatIsNotUnderstood(t *testing.T) {
	t.Parallel()
	good, err := os.ReadFile(filepath.Join("testdata", "powershell", "dag.json"))
	require.NoError(t, err)
	_, err = decodeLayout(good)
	require.NoError(t, err)
	for _, c := range [][3]string{
		{`"server":"EX1",`, `"server":"",`, "tells the version"},
		{`"version":"Version 15.2 (Build 1118.7)"`, `"version":"15.2"`, "want \"Version"},
		{`Version 15.2`, `Version 99.1`, "not known"},
		{`"copies":[`, `"extra":1,"copies":[`, "unknown field"},
		{`"base":"E00"`, `"base":""`, "three characters"},
		{`"logs":"C:\\ExchangeVolumes\\DB1\\logs"`, `"logs":""`, "a folder"},
		{`"id":"7a1b2c3d-0000-4000-8000-000000000002"`, `"id":"7a1b2c3d-0000-4000-8000-000000000001"`, "id of its own"},
		{`"group":"7a1b2c3d-0000-4000-8000-000000000001"`, `"group":"x"`, "is not told"},
		{`"guid":"7a1b2c3d-0000-4000-8000-000000000004"`, `"guid":"x"`, "want a name, a GUID"},
		{`"file":"C:\\ExchangeVolumes\\DB1\\db\\DB1.edb"`, `"file":""`, "and a file"},
		{`"mounted":"True"`, `"mounted":"Wahr"`, "neither true nor false"},
		{`"full":""`, `"full":"/Date(1)/"`, "cannot parse"},
		{`"copyqueue":"1200"`, `"copyqueue":"-1"`, "no count"},
		{`"preference":"[EX1, 1]"`, `"preference":"1"`, "activation preference"},
		{`"server":"EX3"`, `"server":""`, "on no server"},
		{`{"guid":"7a1b2c3d-0000-4000-8000-000000000003","server":"EX2"`, `{"guid":"x","server":"EX2"`, "is not told"},
		{"\n", "x", "not understood"},
	} {
		require.Contains(t, string(good), c[0])
		_, err = decodeLayout([]byte(strings.Replace(string(good), c[0], c[1], 1)))
		require.ErrorContains(t, err, c[2], c[1])
	}
	_, err = decodeLayout(append(good, "{}"...))
	require.ErrorContains(t, err, "more than one")
}

func TestPowerShellActs(t *testing.T) {
	t.Parallel()
	p, now := shellRig(t, PowerShellOptions{Server: "ex1.example.com"}, shellWorld{Databases: []string{guidSales}})
	d := Database{Name: "Sales", GUID: "{" + strings.ToUpper(guidSales) + "}"}
	require.NoError(t, p.Dismount(t.Context(), d))
	require.NoError(t, p.AllowRestore(t.Context(), d))
	require.NoError(t, p.Mount(t.Context(), d))
	assert.Equal(t, []string{"dismount " + guidSales + " on ex1", "allow " + guidSales + " on ex1", "mount " + guidSales + " on ex1"}, now().Did)

	err := p.Mount(t.Context(), Database{Name: "People", GUID: guidPeople})
	require.ErrorContains(t, err, "could not be found")
	require.ErrorContains(t, err, "mount ex1.example.com People")
	assert.Contains(t, backup.Hint(err), "rights")
}

// Names are never part of a command. What is, is checked.
func TestPowerShellInjection(t *testing.T) {
	t.Parallel()
	evil := `'; Remove-Mailbox -Identity * -Confirm:$false; "$(Dismount-Database)` + "\r\n`"
	p, now := shellRig(t, PowerShellOptions{}, shellWorld{Databases: []string{guidSales}})
	require.NoError(t, p.Mount(t.Context(), Database{Name: evil, GUID: guidSales}))
	for _, a := range now().Args[:5] {
		assert.NotContains(t, a, "Remove-Mailbox")
	}
	require.Len(t, now().Did, 1)
	require.ErrorContains(t, p.Mount(t.Context(), Database{Name: "Sales", GUID: guidSales + evil}), "want a GUID")
	require.Len(t, now().Did, 1, "nothing was started")

	p, now = shellRig(t, PowerShellOptions{Server: "ex1)(cn=*"}, shellWorld{})
	_, err := p.Layout(t.Context())
	require.ErrorContains(t, err, "server name")
	assert.Empty(t, now().Args)
}

func TestPowerShellFails(t *testing.T) {
	t.Parallel()
	for kind, hint := range map[string]string{"shell": "management tools", "snapin": "is registered", "session": "session", "directory": "account of the domain", "exchange": "administrator"} {
		p, _ := shellRig(t, PowerShellOptions{}, shellWorld{Fail: map[string]string{"error": "it is broken", "id": "Broken", "kind": kind}})
		_, err := p.Layout(t.Context())
		require.ErrorContains(t, err, "it is broken (Broken)")
		assert.Contains(t, backup.Hint(err), hint)
	}
	for raw, want := range map[string]string{
		"Ausnahme beim Laden": "did not answer (exit code 0): Ausnahme beim Laden",
		answerBegins + "\n{":  "did not answer",
		answerBegins + "\n{\"done\":\"mount\"}\n" + answerEnds: "unknown field",
		strings.Repeat("x", answerSize+1):                      "more than",
	} {
		p, _ := shellRig(t, PowerShellOptions{}, shellWorld{Raw: raw})
		_, err := p.Layout(t.Context())
		require.ErrorContains(t, err, want)
	}
	p := NewPowerShell(PowerShellOptions{Program: filepath.Join(winetest.TempDir(t), "none.exe"), Server: "ex1"})
	_, err := p.Layout(t.Context())
	require.ErrorContains(t, err, "none.exe")
	assert.Contains(t, backup.Hint(err), "configuration")
}

func TestPowerShellBySession(t *testing.T) {
	t.Parallel()
	p, now := shellRig(t, PowerShellOptions{URI: "http://ex1.example.com/PowerShell/"}, shellWorld{Databases: []string{guidSales}})
	require.NoError(t, p.Mount(t.Context(), Database{GUID: guidSales}))
	assert.Contains(t, now().Args, "Bypass")
}

func TestPowerShellCancelled(t *testing.T) {
	t.Parallel()
	p, _ := shellRig(t, PowerShellOptions{}, shellWorld{Hang: true})
	ctx, cancel := context.WithCancelCause(t.Context())
	done := make(chan error)
	go func() {
		_, err := p.Layout(ctx)
		done <- err
	}()
	file := strings.TrimPrefix(p.env[1], shellWorldFile+"=")
	require.Eventually(t, func() bool { _, err := os.Stat(file + ".hangs"); return err == nil }, time.Minute, 5*time.Millisecond)
	cancel(errors.New("enough"))
	require.ErrorContains(t, <-done, "enough")
}

// CreateProcess takes command lines of up to 32767 characters.
func TestScriptsFitIntoACommandLine(t *testing.T) {
	t.Parallel()
	for _, s := range []string{layoutScript, actScript} {
		assert.Less(t, len(encodedCommand(preludeScript+s)), 30000)
		back, err := decodedCommand(encodedCommand(preludeScript + s))
		require.NoError(t, err)
		assert.Equal(t, preludeScript+s, back)
		for _, c := range preludeScript + s {
			require.Less(t, c, rune(128), "scripts are ASCII")
		}
	}
}
