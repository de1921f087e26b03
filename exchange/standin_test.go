package exchange

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// standIns are the programs that this test binary stands in for when it is started under their name. They take the arguments that are documented and no others.
func standIns() map[string]func(w world, args []string) int {
	return map[string]func(world, []string) int{"wbadmin": wbadminStandIn, "ntbackup": ntbackupStandIn, "ntdsutil": ntdsutilStandIn, "eseutil": eseutilStandIn}
}

// world is what a stand-in meets. It is in a file beside the program.
type world struct {
	// Exit is its exit code, Says what it prints before.
	Exit int
	Says string
	// Leaves says what it has made by then: "" all, "nothing", or a fault of the program concerned.
	Leaves string
	// Hang: it does not end.
	Hang bool
	// Database is the path of the ntds.dit that is saved.
	Database string
	home     string
}

// runStandIn runs the program whose name this process was started under, if it is one.
func runStandIn() (exit int, ok bool) {
	name := strings.TrimSuffix(filepath.Base(os.Args[0]), ".exe")
	f, ok := standIns()[name]
	if !ok {
		return 0, false
	}
	var w world
	text, err := os.ReadFile(os.Args[0] + ".json")
	if err == nil {
		err = json.Unmarshal(text, &w)
	}
	if err != nil {
		fmt.Println(err)
		return 98, true
	}
	w.home = filepath.Dir(os.Args[0])
	return f(w, os.Args[1:]), true
}

// standInAt makes a program of that name in a folder of its own, and returns its path.
func standInAt(t *testing.T, name string, w world) string {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	path := filepath.Join(testDir(t), name)
	if runtime.GOOS == "windows" {
		path += ".exe"
		program, err := os.ReadFile(self) // a link could not be removed while this process runs
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(path, program, 0o700))
	} else {
		require.NoError(t, os.Symlink(self, path))
	}
	text, err := json.Marshal(w)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path+".json", text, 0o600))
	return path
}

// testDir is a folder for one test, which is removed without os.RemoveAll: wine does not know the call that it needs.
func testDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "exchange")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, removeTree(dir)) })
	return dir
}

func (w world) end() int {
	fmt.Println(w.Says)
	for w.Hang {
		time.Sleep(time.Hour)
	}
	return w.Exit
}

// put writes a file and the folders above it.
func put(path, text string) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		panic(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		panic(err)
	}
}

func refuseArguments(args []string) int {
	fmt.Printf("The command or parameter is not valid: %q\n", args)
	return 87 // ERROR_INVALID_PARAMETER
}

// wbadminStandIn knows "wbadmin start systemstatebackup" and "wbadmin stop job".
func wbadminStandIn(w world, args []string) int {
	running := filepath.Join(w.home, "running")
	switch {
	case len(args) == 3 && args[0] == "stop" && args[1] == "job" && args[2] == "-quiet":
		if os.Remove(running) != nil {
			fmt.Println("No job is running.")
			return 1
		}
		put(filepath.Join(w.home, "stopped"), "")
		return 0
	case len(args) == 4 && args[0] == "start" && args[1] == "systemstatebackup" && strings.HasPrefix(args[2], "-backupTarget:") && args[3] == "-quiet":
	default:
		return refuseArguments(args)
	}
	target := strings.TrimPrefix(args[2], "-backupTarget:")
	share := regexp.MustCompile(`^\\\\localhost\\([A-Za-z])\$(\\.*)$`).FindStringSubmatch(target)
	switch {
	case share != nil:
		target = share[1] + ":" + share[2]
	case regexp.MustCompile(`^[A-Za-z]:\\.`).MatchString(target):
		fmt.Println("The specified backup location is not a volume or a share.")
		return 1
	}
	put(running, "")
	server, err := os.Hostname()
	if err != nil {
		panic(err)
	}
	if w.Leaves == "another name" {
		server = "other"
	}
	root := filepath.Join(target, "WindowsImageBackup", server[:min(len(server), 15)])
	state := filepath.Join(root, "SystemStateBackup")
	image := filepath.Join(state, "Backup 2026-03-01 020000", "0f3c.vhdx")
	if w.Leaves != "nothing" {
		put(filepath.Join(root, "MediaId"), "id")
		put(filepath.Join(state, "Logs", "Backup_Error-01-03-2026_02-00-00.log"), "")
	}
	if w.Leaves != "no catalog" && w.Leaves != "nothing" {
		put(filepath.Join(state, "Catalog", "GlobalCatalog"), "catalog")
	}
	switch w.Leaves {
	case "nothing", "no image":
	case "empty image":
		put(image, "")
	case "torn image":
		put(image, strings.Repeat("\x00", 4096))
	case "old image":
		put(strings.TrimSuffix(image, "x"), strings.Repeat("a", 4096)+"conectix"+strings.Repeat("\x00", 504))
	default:
		put(image, "vhdxfile"+strings.Repeat("a", 4096))
	}
	exit := w.end()
	_ = os.Remove(running)
	return exit
}

// ntbackupStandIn knows "ntbackup backup systemstate /J job /F file".
func ntbackupStandIn(w world, args []string) int {
	if len(args) != 6 || args[0] != "backup" || args[1] != "systemstate" || args[2] != "/J" || args[4] != "/F" || !strings.HasSuffix(args[5], ".bkf") {
		return refuseArguments(args)
	}
	tape := mtfBlock("TAPE") + mtfBlock("SFMB") + mtfBlock("SSET") + mtfBlock("VOLB") + strings.Repeat("data", 1<<18)
	switch w.Leaves {
	case "nothing":
	case "empty":
		put(args[5], "")
	case "no tape":
		put(args[5], strings.Repeat("x", 4096))
	case "no set":
		put(args[5], mtfBlock("TAPE")+mtfBlock("SFMB"))
	case "torn":
		put(args[5], tape)
	case "a second set torn":
		put(args[5], tape+mtfBlock("SFMB")+mtfBlock("ESET")+mtfBlock("SFMB")+mtfBlock("SSET")+"data")
	default:
		put(args[5], tape+mtfBlock("SFMB")+mtfBlock("ESET")+mtfBlock("ESET")+mtfBlock("SFMB"))
	}
	return w.end()
}

func mtfBlock(kind string) string {
	b := make([]byte, 512)
	copy(b, kind)
	b[48] = 2
	for i := 0; i < 50; i += 2 {
		b[50] ^= b[i]
		b[51] ^= b[i+1]
	}
	return string(b)
}

// ntdsutilStandIn knows "activate instance ntds", ifm, "create full folder", quit, quit, and that ntdsutil ends with 0 whatever happens.
func ntdsutilStandIn(w world, args []string) int {
	if len(args) != 5 || args[0] != "activate instance ntds" || args[1] != "ifm" || args[3] != "quit" || args[4] != "quit" {
		return refuseArguments(args)
	}
	words := strings.Split(args[2], " ")
	sysvol := len(words) == 4 && words[1] == "sysvol"
	if len(words) < 3 || words[0] != "create" || words[len(words)-2] != "full" || len(words) != 3 && !sysvol {
		return refuseArguments(args)
	}
	dir := words[len(words)-1]
	if _, err := os.Stat(dir); err == nil {
		fmt.Println("The folder is not empty.")
		return 0
	}
	if w.Leaves != "nothing" && w.Leaves != "no directory" {
		text, err := os.ReadFile(w.Database)
		if err != nil {
			panic(err)
		}
		if w.Leaves == "torn directory" {
			text = text[:len(text)-100]
		}
		put(filepath.Join(dir, "Active Directory", "ntds.dit"), string(text))
	}
	if sysvol {
		put(filepath.Join(dir, "SYSVOL", "example.org", "Policies", "SECURITY"), "a policy of that name")
	}
	if w.Leaves != "nothing" {
		put(filepath.Join(dir, "registry", "SYSTEM"), "regf and so on")
	}
	switch w.Leaves {
	case "nothing", "no security":
	case "empty security":
		put(filepath.Join(dir, "registry", "SECURITY"), "")
	default:
		put(filepath.Join(dir, "registry", "SECURITY"), "regf and so on")
	}
	return w.end()
}

// eseutilStandIn knows eseutil /r with /l, /s, /d, /a and /i. What it recovers is a matter of files that are there: it needs a log, and makes a file "recovered" of what it was told in the folder of the databases, or of the logs.
func eseutilStandIn(w world, args []string) int {
	if len(args) < 4 || args[0] != "/r" || len(args[1]) != 3 {
		return refuseArguments(args)
	}
	where := map[string]string{}
	for _, a := range args[2:] {
		if len(a) < 2 || a[0] != '/' || !strings.Contains("lsdai", a[1:2]) || strings.Contains("ai", a[1:2]) != (len(a) == 2) {
			return refuseArguments(args)
		}
		if _, twice := where[a[1:2]]; twice {
			return refuseArguments(args)
		}
		where[a[1:2]] = a[2:]
	}
	logs, err := filepath.Glob(filepath.Join(where["l"], args[1]+"*.log"))
	if err != nil || len(logs) == 0 {
		fmt.Println("Initiating RECOVERY mode...\n\nOperation terminated with error -528 (JET_errMissingLogFile, Current log file missing) after 0.31 seconds.")
		return 1
	}
	if w.Exit == 0 {
		dir, ok := where["d"]
		if !ok {
			dir = where["l"]
		}
		put(filepath.Join(dir, "recovered"), strings.Join(args, " "))
	}
	return w.end()
}
