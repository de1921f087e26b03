//go:build unix

package dbserver

import (
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
)

// serverUser is whom the server runs as: both servers refuse to run as root unless told by name.
func serverUser() string {
	if os.Geteuid() != 0 {
		return ""
	}
	if _, err := user.Lookup("mysql"); err == nil {
		return "mysql"
	}
	return "root"
}

func (s *Server) userArgs() []string {
	if u := serverUser(); u != "" {
		return []string{"--user=" + u}
	}
	return nil
}

// giveAway makes the directory the server user's.
func (s *Server) giveAway() error {
	name := serverUser()
	if name == "" || name == "root" {
		return nil
	}
	u, err := user.Lookup(name)
	if err != nil {
		return err
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		return fmt.Errorf("user %s: %w", name, err)
	}
	gid, err := strconv.Atoi(u.Gid)
	if err != nil {
		return fmt.Errorf("user %s: %w", name, err)
	}
	return filepath.WalkDir(s.dir, func(p string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Chown(p, uid, gid)
	})
}
