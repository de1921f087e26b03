package house

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// importRule judges one package by what it imports. graph finds the other packages of the module by import path.
type importRule struct {
	name string
	why  string
	// broken returns what is wrong, or nothing.
	broken func(p pkg, graph map[string]pkg) []string
	// wrong is a package that breaks the rule.
	wrong pkg
}

// rooms are the top-level directories that are not an application. Any other holds one.
var rooms = [...]string{"backup", "sink", "agent", "examples", "internal", "doc"}

// application returns which application's directory a path is in, or "".
func application(path string) string {
	if f := first(path); f != "" && !slices.Contains(rooms[:], f) {
		return f
	}
	return ""
}

// standard reports whether an import path belongs to the standard library: its first element has no dot.
func standard(importPath string) bool { return !strings.Contains(first(importPath), ".") }

var importRules = [...]importRule{
	{
		name:   "backup knows nobody",
		why:    "a vendor who writes an agent links the contract and nothing else: the standard library, golang.org/x/sync and internal leaves of ours",
		broken: backupImports,
		wrong:  pkg{ImportPath: module + "/backup", Imports: []string{"github.com/klauspost/compress/zstd"}},
	},
	{
		name:   "no application knows another, the agent or the sinks",
		why:    "a program that protects SQL Server must not link MySQL, and an agent must not know where its bytes go",
		broken: applicationImports,
		wrong:  pkg{ImportPath: module + "/oracle", Deps: []string{module + "/mysql/binlog"}},
	},
	{
		name:   "the agent and the sinks know no application",
		why:    "main fills the registry, so that programs choose what they link",
		broken: neutralImports,
		wrong:  pkg{ImportPath: module + "/agent", Deps: []string{module + "/domino"}},
	},
	{
		name:   "only sink imports gocloud.dev",
		why:    "targets are reached through backup.Sink; a second door would skip its guarantees",
		broken: gocloudImports,
		wrong:  pkg{ImportPath: module + "/mysql", Imports: []string{"gocloud.dev/blob"}},
	},
	{
		name:   "libraries link no cloud SDK",
		why:    "an SDK is tens of megabytes; programs ask for the ones they use, by importing a package below sink that is named after the cloud",
		broken: cloudImports,
		wrong:  pkg{ImportPath: module + "/sink", Deps: []string{"github.com/aws/aws-sdk-go-v2/service/s3"}},
	},
	{
		name:   "only the child of the agent for Domino links purego",
		why:    "it makes a program load C libraries, which must share no process with anything else of ours, and no longer static",
		broken: puregoImports,
		wrong:  pkg{ImportPath: module + "/domino/notes", Deps: []string{purego + "/internal/fakecgo"}},
	},
	{
		name:   "simulators stand alone",
		why:    "a simulator that shares code with what it imitates repeats its mistakes",
		broken: simulatorImports,
		wrong:  pkg{ImportPath: module + "/internal/sim/mssqlsim", Imports: []string{module + "/mssql"}},
	},
	{
		name:   "production code does not import testing",
		why:    "importing testing adds flags and weight to every program; helpers live in packages whose name ends in test",
		broken: testingImports,
		wrong:  pkg{ImportPath: module + "/internal/mysqld", Name: "mysqld", Imports: []string{"testing"}},
	},
	{
		name:   "a package is named by its job",
		why:    "util, common and the like collect what has no place and then everybody imports them",
		broken: vagueName,
		wrong:  pkg{ImportPath: module + "/internal/util", Name: "util"},
	},
}

func TestImportDirection(t *testing.T) {
	t.Parallel()
	for _, goos := range platforms {
		t.Run(goos, func(t *testing.T) {
			t.Parallel()
			all := packages(t, goos)
			graph := map[string]pkg{}
			for _, p := range all {
				graph[p.ImportPath] = p
			}
			for _, r := range importRules {
				for _, p := range all {
					if p.production() {
						check(t, fmt.Sprintf("%s: %s (%s)", p.ImportPath, r.name, r.why), r.broken(p, graph))
					}
				}
			}
		})
	}
}

func TestImportRulesReject(t *testing.T) {
	t.Parallel()
	for _, r := range importRules {
		assert.NotEmpty(t, r.broken(r.wrong, nil), "rule %q accepts a package that breaks it", r.name)
	}
}

func backupImports(p pkg, graph map[string]pkg) (bad []string) {
	if p.path() != "backup" && !strings.HasPrefix(p.path(), "backup/") {
		return nil
	}
	for _, i := range p.Imports {
		switch {
		case standard(i), strings.HasPrefix(i, "golang.org/x/sync/"):
		case ours(i) && first(below(i)) == "backup":
		case ours(i) && leaf(graph[i]):
		case p.forTests() && strings.HasPrefix(i, "github.com/stretchr/testify/"):
		default:
			bad = append(bad, "imports "+i)
		}
	}
	return bad
}

// leaf reports whether p is an internal package that needs the standard library only.
func leaf(p pkg) bool {
	if first(p.path()) != "internal" {
		return false
	}
	return !slices.ContainsFunc(p.Deps, func(d string) bool { return !standard(d) })
}

func applicationImports(p pkg, _ map[string]pkg) (bad []string) {
	own := application(p.path())
	if own == "" {
		return nil
	}
	for _, d := range p.Deps {
		if !ours(d) {
			continue
		}
		other := application(below(d))
		if (other != "" && other != own) || slices.Contains([]string{"agent", "sink"}, first(below(d))) {
			bad = append(bad, "depends on "+d)
		}
	}
	return bad
}

func neutralImports(p pkg, _ map[string]pkg) (bad []string) {
	if f := first(p.path()); f != "agent" && f != "sink" && f != "backup" {
		return nil
	}
	for _, d := range p.Deps {
		if ours(d) && application(below(d)) != "" {
			bad = append(bad, "depends on "+d)
		}
	}
	return bad
}

// linksAnything reports whether p is a program, or serves the tests of programs: there all may meet.
func linksAnything(p pkg) bool {
	return first(p.path()) == "examples" || p.path() == "internal/e2e" || strings.HasPrefix(p.path(), "internal/e2e/")
}

func gocloudImports(p pkg, _ map[string]pkg) (bad []string) {
	if first(p.path()) == "sink" || linksAnything(p) {
		return nil
	}
	for _, i := range p.Imports {
		if strings.HasPrefix(i, "gocloud.dev/") {
			bad = append(bad, "imports "+i)
		}
	}
	return bad
}

// cloudSDKs are the import paths of what weighs: the SDKs, and the drivers that pull them in.
var cloudSDKs = [...]string{
	"github.com/aws/", "github.com/Azure/", "cloud.google.com/go/storage",
	"gocloud.dev/blob/s3blob", "gocloud.dev/blob/gcsblob", "gocloud.dev/blob/azureblob",
}

func cloudImports(p pkg, _ map[string]pkg) (bad []string) {
	if linksAnything(p) || strings.HasPrefix(p.path(), "sink/") || p.path() == simulatedClient {
		return nil
	}
	for _, d := range p.Deps {
		if slices.ContainsFunc(cloudSDKs[:], func(sdk string) bool { return strings.HasPrefix(d, sdk) }) {
			bad = append(bad, "depends on "+d)
		}
	}
	return bad
}

const purego = "github.com/ebitengine/purego"

func puregoImports(p pkg, _ map[string]pkg) (bad []string) {
	if p.path() == "domino/capi" || p.path() == "domino/quiesce-notes" {
		return nil
	}
	for _, d := range p.Deps {
		lib := d == purego || strings.HasPrefix(d, purego+"/")
		if lib && !linksAnything(p) || d == module+"/domino/capi" { // what a program links may have it for macOS's own interfaces
			bad = append(bad, "depends on "+d)
		}
	}
	return bad
}

// simulatedClient plays a server in the part of an S3 client. The genuine SDK signs and frames requests as clients do, without sharing code with our endpoint. Tests alone link it.
const simulatedClient = "internal/sim/mssqlsim/s3device"

func simulatorImports(p pkg, _ map[string]pkg) (bad []string) {
	if !strings.HasPrefix(p.path(), "internal/sim/") {
		return nil
	}
	for _, i := range p.Imports {
		if p.path() == simulatedClient && (strings.HasPrefix(i, "github.com/aws/") || strings.HasPrefix(i, "golang.org/x/sync/")) {
			continue
		}
		if p.path() == simulatedOracle && i == "github.com/sijms/go-ora/v2/network" {
			continue
		}
		if strings.HasPrefix(p.path(), simulatedDomino) && (i == module+"/domino/notes" || i == module+"/internal/filelock") {
			continue
		}
		if p.path() == simulatedExchange && (i == module+"/exchange" || i == module+"/exchange/esebcli") {
			continue
		}
		if !standard(i) && !strings.HasPrefix(i, module+"/internal/sim/") {
			bad = append(bad, "imports "+i)
		}
	}
	return bad
}

// simulatedOracle answers with the error type of the driver in whose place it stands, so that the errors of both are told apart by the same code. Nothing else of the driver is imported.
const simulatedOracle = "internal/sim/oraclesim"

// simulatedDomino stands in the place of the Notes C API, so that it has the Go shape of that API: an interface, ids and status numbers. Its locks are seen by other processes.
const simulatedDomino = "internal/sim/dominosim"

// simulatedExchange stands in the place of the tools of the agent, so that it has their Go shape: interfaces, and the structures that they pass. Its files are written and read without exchange/ese.
const simulatedExchange = "internal/sim/exchangesim"

func testingImports(p pkg, _ map[string]pkg) (bad []string) {
	if p.forTests() {
		return nil
	}
	for _, i := range p.Imports {
		if i == "testing" || strings.HasPrefix(i, "testing/") || strings.HasPrefix(i, "github.com/stretchr/testify") {
			bad = append(bad, "imports "+i)
		}
	}
	return bad
}

func vagueName(p pkg, _ map[string]pkg) []string {
	if slices.Contains([]string{"util", "utils", "common", "helper", "helpers", "types", "base", "misc", "shared"}, p.Name) {
		return []string{"is called " + p.Name}
	}
	return nil
}
