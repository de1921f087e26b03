package exchange

import (
	"context"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"github.com/quiesce-go/quiesce/backup"
)

// Script implements backup.Scripter. It writes PowerShell for the Exchange Management Shell on the server: files are copied beside their places and recovered there by eseutil, then they replace what is there. Files are taken
// from the folder of the option files, where Pipeline.Fetch has put them. Places are those that the databases had when they were backed up, or the folder of the option to. What a person must know, the logs that
// each group needs and has among them, stands in comments.
//
// Copies by the streaming API are recovered by the server through that API alone; for them the script says which files there are, and which call brings them back.
func (s *Source) Script(ctx context.Context, r backup.RestoreRequest, set *backup.RestoreSet, w io.Writer) error {
	o, err := parseRestoreOptions(r.Options)
	if err != nil {
		return s.fail(ctx, "write the script", "", err)
	}
	c, err := s.newCourse(r, set, o)
	if err != nil {
		return s.fail(ctx, "write the script", "", err)
	}
	if o.recover != byEngine {
		return s.fail(ctx, "write the script", "", fmt.Errorf("%w: restore option recover=%s: a script recovers with eseutil; leave it out", backup.ErrOption, o.recover))
	}
	if o.forward {
		return s.fail(ctx, "write the script", "", fmt.Errorf("%w: restore option forward=true: which logs the server has is not known here; a restore finds them", backup.ErrOption))
	}
	p := &powershell{opt: o, overwrite: r.Overwrite}
	p.head()
	for _, g := range c.groups {
		if err := p.group(g); err != nil {
			return s.fail(ctx, "write the script", g.item, err)
		}
	}
	for _, step := range c.system {
		if err := p.system(step); err != nil {
			return s.fail(ctx, "write the script", itemSystem, err)
		}
	}
	_, err = io.WriteString(w, strings.ReplaceAll(p.text.String(), "\n", "\r\n"))
	return err
}

// powershell is a script being written.
type powershell struct {
	opt       restoreOptions
	overwrite bool
	text      strings.Builder
}

func (p *powershell) line(format string, args ...any) { fmt.Fprintf(&p.text, format+"\n", args...) }

// comment writes a comment, whatever names are in it.
func (p *powershell) comment(format string, args ...any) {
	p.line("# %s", strings.NewReplacer("\r", " ", "\n", " ").Replace(fmt.Sprintf(format, args...)))
}

// literal is a literal of PowerShell.
func literal(text string) string {
	return "'" + strings.NewReplacer("'", "''", "\u2018", "\u2018\u2018", "\u2019", "\u2019\u2019").Replace(text) + "'"
}

// serverPath joins elements of a path of the server.
func serverPath(dir string, elements ...string) string {
	out := strings.TrimRight(dir, `\/`)
	separator := `\`
	if strings.HasPrefix(out, "/") {
		separator = "/"
	}
	for _, e := range elements {
		out += separator + e
	}
	return out
}

// fetched is where Pipeline.Fetch has put an artifact.
func (p *powershell) fetched(step *backup.RestoreStep, e backup.Entry) string {
	return "(Join-Path $files " + literal(strings.ReplaceAll(step.Path(e), "/", `\`)) + ")"
}

func (p *powershell) head() {
	p.comment("Restore of Exchange databases. Run it in the Exchange Management Shell on the server, elevated, line by line or as a whole; it stops at the first error.")
	p.line("$ErrorActionPreference = 'Stop'")
	from := p.opt.files
	if from == "" {
		from = "FILES"
		p.comment("Set this to the folder into which the files of the backup were fetched.")
	}
	p.line("$files = %s", literal(from))
	p.line("function Check($what) { if ($LASTEXITCODE -ne 0) { throw \"$what ended with $LASTEXITCODE\" } }")
}

func (p *powershell) group(g *groupCourse) error {
	p.line("")
	p.comment("%s", g.summary())
	if g.way == WayESE {
		return p.stream(g)
	}
	for _, d := range g.databases {
		if d.as != "" {
			return fmt.Errorf("%w: restore as %q: where a recovery database lies is not known here; a restore finds it, or name a folder (to)", backup.ErrOption, d.as)
		}
	}
	works := p.copies(g)
	p.recover(g, works)
	if p.opt.to != "" {
		return nil
	}
	p.exchange(g, works)
	return nil
}

// work is a folder into which databases are copied with their logs.
type work struct {
	dir, logs string
	databases []*databaseCopy
}

// copies writes the copying: one folder for the databases of each folder.
func (p *powershell) copies(g *groupCourse) (works []*work) {
	for _, d := range g.databases {
		dir := serverPath(dirName(d.edb.file), workFolder+"-"+folderName(g.item))
		if p.opt.to != "" {
			dir = serverPath(p.opt.to, folderName(g.item))
			if g.meet() {
				dir = serverPath(dir, folderName(d.name))
			}
		}
		i := slices.IndexFunc(works, func(w *work) bool { return strings.EqualFold(w.dir, dir) })
		if i < 0 {
			works, i = append(works, &work{dir: dir, logs: serverPath(dir, "logs")}), len(works)
		}
		works[i].databases = append(works[i].databases, d)
	}
	for _, w := range works {
		p.comment("Copies, beside what is there; the folder must not exist yet.")
		p.line("New-Item -ItemType Directory -Path %s | Out-Null", literal(w.dir))
		for _, d := range w.databases {
			for _, f := range d.files() {
				p.line("Copy-Item -LiteralPath %s -Destination %s", p.fetched(f.step, f.entry), literal(serverPath(w.dir, baseName(f.file))))
			}
		}
		p.line("New-Item -ItemType Directory -Path %s | Out-Null", literal(w.logs))
		pl := &place{groupCourse: g}
		for i, l := range g.logs.logs {
			p.line("Copy-Item -LiteralPath %s -Destination %s   # generation %s", p.fetched(l.step, l.entry), literal(serverPath(w.logs, pl.logName(i))), generation(l.generation))
		}
	}
	return works
}

// meet reports whether files of two databases have one name.
func (g *groupCourse) meet() bool {
	seen := map[string]bool{}
	for _, d := range g.databases {
		for _, f := range d.files() {
			name := strings.ToLower(baseName(f.file))
			if seen[name] {
				return true
			}
			seen[name] = true
		}
	}
	return false
}

func (p *powershell) recover(g *groupCourse, works []*work) {
	for _, w := range works {
		p.comment("Soft recovery, and what it came to: each database must say \"Clean Shutdown\".")
		more := ""
		if len(w.databases) < g.total {
			more = " /i"
		}
		if len(g.logs.logs) > 0 {
			p.line("& eseutil /r %s /l %s /s %s /d %s%s; Check 'eseutil /r'", g.base, literal(w.logs), literal(w.logs), literal(w.dir), more)
		}
		for _, d := range w.databases {
			p.line("& eseutil /mh %s | Select-String 'State:|Log Required:'; Check 'eseutil /mh'", literal(serverPath(w.dir, baseName(d.edb.file))))
		}
	}
}

// exchange writes how the copies take their places.
func (p *powershell) exchange(g *groupCourse, works []*work) {
	p.comment("Take the databases from their users, and let the files be replaced.")
	for _, d := range g.databases {
		p.line("Dismount-Database -Identity %s -Confirm:$false", literal(d.name))
		p.line("Set-MailboxDatabase -Identity %s -AllowFileRestore $true", literal(d.name))
	}
	p.comment("What is there is set aside, not deleted.")
	for _, w := range works {
		for _, d := range w.databases {
			for _, f := range d.files() {
				p.aside(f.file)
				p.line("Move-Item -LiteralPath %s -Destination %s", literal(serverPath(w.dir, baseName(f.file))), literal(f.file))
			}
		}
	}
	if len(g.databases) == g.total && len(g.logs.logs) > 0 {
		dir := dirName(g.logs.logs[0].entry.Meta[metaFile])
		aside := serverPath(dir, asideFolder+string(g.full.ID))
		p.comment("The logs and the checkpoint that are there belong to the databases that were; they are set aside too. A checkpoint in another folder must go as well. Logs that no backup has are among them: keep the folder until nobody wants them.")
		p.line("New-Item -ItemType Directory -Path %s | Out-Null", literal(aside))
		p.line("Get-ChildItem -LiteralPath %s -File | Where-Object { $_.Name -match %s } | Move-Item -Destination %s", literal(dir), literal(`^`+g.base+`.*\.(log|jtx|chk|jcp)$`), literal(aside))
	}
	if !p.opt.mount {
		p.comment("Mount, when you want to:")
	}
	for _, d := range g.databases {
		text := "Mount-Database -Identity " + literal(d.name)
		if !p.opt.mount {
			text = "# " + text
		}
		p.line("%s", text)
	}
	p.comment("The log goes on as another history: take a full backup at once. Then remove %s* and %s-* folders.", asideFolder, workFolder)
}

// aside writes what happens to a file that is there.
func (p *powershell) aside(file string) {
	if !p.overwrite {
		p.line("if (Test-Path -LiteralPath %s) { throw %s }", literal(file), literal(file+" is there"))
		return
	}
	p.line("if (Test-Path -LiteralPath %s) { Rename-Item -LiteralPath %s -NewName %s }", literal(file), literal(file), literal(baseName(file)+".replaced"))
}

// stream writes what there is to say of copies by the streaming API.
func (p *powershell) stream(g *groupCourse) error {
	p.comment("These are copies by the streaming API. Only a server of their version recovers them, through that API (HrESERestoreOpen to HrESERestoreComplete): there is no command that begins it.")
	p.comment("A restore by the agent on the server does it; with its option recover=none it stops before the recovery, and this ends it:")
	p.comment("    eseutil /cc FOLDER   where FOLDER is the folder with restore.env that the restore names")
	p.comment("The files are:")
	for _, d := range g.databases {
		for _, f := range d.files() {
			p.comment("    %s -> %s", path.Join("$files", f.step.Path(f.entry)), f.file)
		}
	}
	for _, l := range g.logs.logs {
		p.comment("    %s -> %s, generation %s", path.Join("$files", l.step.Path(l.entry)), l.name, generation(l.generation))
	}
	return nil
}

func (p *powershell) system(step *backup.RestoreStep) error {
	p.line("")
	p.comment("The system state. Nothing of this machine is changed by these lines.")
	if p.opt.to == "" {
		return fmt.Errorf("%w: the system state goes to a folder only: name it (to)", backup.ErrOption)
	}
	files, err := systemFiles(step)
	if err != nil {
		return err
	}
	dir := serverPath(p.opt.to, itemSystem)
	folders := map[string]bool{}
	for _, name := range sortedKeys(files) {
		at := serverPath(dir, strings.Split(strings.ReplaceAll(name, "/", `\`), `\`)...)
		if folder := dirName(at); !folders[folder] {
			folders[folder] = true
			p.line("New-Item -ItemType Directory -Force -Path %s | Out-Null", literal(folder))
		}
		p.line("Copy-Item -LiteralPath %s -Destination %s", p.fetched(step, files[name]), literal(at))
	}
	for _, l := range systemCommands(sortedKeys(files), dir) {
		p.comment("%s", l)
	}
	return nil
}

var _ backup.Scripter = (*Source)(nil)
