package exchange

import (
	"os"
	"path/filepath"
	"time"
)

// StandInShadows is a Diskshadow whose program is the stand-in, for the tests that have a model of a server: they cannot be in this package, which the model imports. Volumes are the folders of the server.
func StandInShadows(home string, volumes ...string) (*Diskshadow, error) {
	d := NewDiskshadow(DiskshadowOptions{Program: os.Args[0], Server: "MAIL1"})
	w := vssWorld{Volumes: map[string]string{}, Writers: map[string]string{storeWriterID: storeWriter}}
	var known rigVolumes
	for _, v := range volumes {
		root := v + string(filepath.Separator)
		known = append(known, volume{root: root, name: root})
		w.Volumes[root] = v
	}
	file := filepath.Join(home, "world.json")
	d.volumes, d.poll = known, 5*time.Millisecond
	d.env = []string{standIn + "=diskshadow", vssWorldFile + "=" + file}
	return d, w.save(file)
}

// StandInSessions tells what became of the sessions of a stand-in, "complete", "copy" or "aborted", and how many shadow copies are left.
func StandInSessions(home string) (sessions []string, left int, err error) {
	w, err := loadWorld(filepath.Join(home, "world.json"))
	for _, s := range w.Sessions {
		switch {
		case s.Completed:
			sessions = append(sessions, "complete")
		case s.Copy:
			sessions = append(sessions, "copy")
		default:
			sessions = append(sessions, "aborted")
		}
	}
	return sessions, len(w.Shadows), err
}
