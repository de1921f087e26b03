package dbserver

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// ErrNotInstalled: no mariadbd or mysqld was found on this machine.
var ErrNotInstalled = errors.New("no mariadbd or mysqld found")

// Flavour is the family of a server.
type Flavour string

// The two families.
const (
	MariaDB Flavour = "mariadb"
	MySQL   Flavour = "mysql"
)

// Installation is a server found on the machine.
type Installation struct {
	Flavour Flavour
	Server  string // path of mariadbd or mysqld
	Install string // path of mariadb-install-db; empty for MySQL, which initialises itself
	Version string // as printed by --version
}

// Find looks for a server in PATH and in the directories that distributions use but leave out of it. A MariaDB server wins over
// a MySQL one. Without any, the error wraps ErrNotInstalled.
func Find() (Installation, error) {
	for _, name := range []string{"mariadbd", "mysqld"} {
		if path, ok := look(name); ok {
			return Inspect(path)
		}
	}
	return Installation{}, fmt.Errorf("%w in PATH, /usr/sbin, /usr/libexec or /usr/local", ErrNotInstalled)
}

// Inspect tells what the server binary at path is.
func Inspect(path string) (Installation, error) {
	out, err := exec.Command(path, "--no-defaults", "--version").Output()
	if err != nil {
		return Installation{}, fmt.Errorf("ask %s for its version: %w", path, err)
	}
	in := Installation{Flavour: MySQL, Server: path, Version: strings.TrimSpace(string(out))}
	if !strings.Contains(in.Version, "MariaDB") {
		return in, nil
	}
	in.Flavour = MariaDB
	for _, name := range []string{"mariadb-install-db", "mysql_install_db"} {
		if p, ok := look(name); ok {
			in.Install = p
			return in, nil
		}
	}
	return Installation{}, fmt.Errorf("%w: %s is there, mariadb-install-db is not", ErrNotInstalled, path)
}

func look(name string) (string, bool) {
	if p, err := exec.LookPath(name); err == nil {
		return p, true
	}
	for _, dir := range []string{
		"/usr/sbin", "/usr/bin", "/usr/libexec", "/usr/local/sbin", "/usr/local/bin",
		"/usr/local/mysql/bin", "/usr/local/mysql/scripts", "/opt/homebrew/bin",
	} {
		p := filepath.Join(dir, name)
		if st, err := os.Stat(p); err == nil && !st.IsDir() && st.Mode()&0o111 != 0 {
			return p, true
		}
	}
	return "", false
}
