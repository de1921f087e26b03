package oracle

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// room refuses a restore that its disks cannot hold, before anything is written. All files have temporary names until each is complete, so what they replace gives no room back before that.
func (p *putting) room() error {
	type disk struct {
		folder     string
		need, free int64
	}
	disks := map[string]*disk{}
	for path, size := range p.sizes() {
		dir := filepath.Dir(path)
		v, ok := p.src.room(dir)
		if !ok {
			continue // the write itself will tell
		}
		d := disks[v.ID]
		if d == nil {
			d = &disk{folder: dir, free: v.FreeBytes}
			disks[v.ID] = d
		}
		d.need += size
		d.folder = min(d.folder, dir)
	}
	var short []string
	for _, id := range slices.Sorted(maps.Keys(disks)) {
		if d := disks[id]; d.need > d.free {
			short = append(short, fmt.Sprintf("the disk of %s needs %d bytes and has %d, which is %d too few", d.folder, d.need, d.free, d.need-d.free))
		}
	}
	if len(short) == 0 {
		return nil
	}
	return p.src.refuse("free that much there, or put files on other disks (options to, move and work); files that are to be replaced stay until the new ones are complete, so if they are worth nothing, remove them first",
		"%s", strings.Join(short, "; "))
}

// sizes are the bytes that will be written, by path.
func (p *putting) sizes() map[string]int64 {
	out := map[string]int64{}
	for _, f := range p.course.put {
		for _, to := range f.to {
			out[to] = f.entry.Size
		}
	}
	for path, text := range p.texts {
		out[path] = int64(len(text))
	}
	maps.Copy(out, p.later)
	return out
}

// later is what the server will write in a restore of the whole database: data files that it makes anew, and online logs that are not there.
func (c *course) later() map[string]int64 {
	out := map[string]int64{}
	for _, m := range c.made {
		for _, d := range c.control.inv.DataFiles {
			if d.File == m.file {
				out[m.to] = d.Bytes + d.Block1Offset
			}
		}
	}
	if c.rman != nil {
		for _, f := range c.rman.files {
			for _, d := range c.control.inv.DataFiles {
				if d.File == f.file && !strings.HasPrefix(f.to, "+") {
					out[f.to] = d.Bytes + d.Block1Offset
				}
			}
		}
	}
	for _, g := range c.control.inv.OnlineLogs {
		for _, m := range g.Members {
			path := m
			if at := slices.IndexFunc(c.renames, func(r renaming) bool { return r.file == 0 && r.from == m }); at >= 0 {
				path = c.renames[at].to
			}
			if _, err := os.Stat(path); missing(err) {
				out[path] = g.Bytes
			}
		}
	}
	return out
}
