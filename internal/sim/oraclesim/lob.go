package oraclesim

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// bfile is a BFILE locator.
type bfile struct{ dir, file string }

// path finds the file of a locator. No part of the path may be a symbolic link.
func (a *act) path(f bfile, op string) (string, error) {
	if err := a.opened(); err != nil {
		return "", err
	}
	dir, ok := a.directories[f.dir]
	if !ok {
		return "", fault(22285, "non-existent directory or file for %s operation", op)
	}
	if a.session.limited {
		return "", fault(22286, "insufficient privileges on file or directory to perform %s operation", op)
	}
	failed := fault(22288, "file or LOB operation %s failed", op)
	path := filepath.Join(dir, f.file)
	for p := path; p != filepath.Dir(p); p = filepath.Dir(p) {
		st, err := os.Lstat(p)
		switch {
		case errors.Is(err, os.ErrNotExist):
			return "", stack(failed, lrm("No such file or directory"))
		case err != nil:
			return "", stack(failed, lrm("Permission denied"))
		case st.Mode()&os.ModeSymlink != 0:
			return "", stack(failed, lrm("soft link in path"))
		}
	}
	if st, err := os.Stat(path); err != nil || st.IsDir() {
		return "", stack(failed, lrm("Operation not permitted"))
	}
	return path, nil
}

func (a *act) lobLength(f bfile) (uint64, error) {
	path, err := a.path(f, "GETLENGTH")
	if err != nil {
		return 0, err
	}
	st, err := os.Stat(path)
	if err != nil {
		return 0, fault(22288, "file or LOB operation GETLENGTH failed")
	}
	return uint64(st.Size()), nil
}

// lobRead reads at most amount bytes from a position, which begins with 1.
func (a *act) lobRead(f bfile, amount, at uint64) ([]byte, error) {
	if amount < 1 || amount > 32767 || at < 1 {
		return nil, stack(fault(21560, "argument 2 is null, invalid, or out of range"), fault(6512, "at \"SYS.DBMS_LOB\""))
	}
	path, err := a.path(f, "FILEREAD")
	if err != nil {
		return nil, err
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, stack(fault(22288, "file or LOB operation FILEOPEN failed"), lrm("Permission denied"))
	}
	defer file.Close()
	b := make([]byte, amount)
	n, err := file.ReadAt(b, int64(at)-1)
	if n == 0 {
		if errors.Is(err, io.EOF) {
			return nil, fault(1403, "no data found")
		}
		return nil, fault(22288, "file or LOB operation FILEREAD failed")
	}
	return b[:n], nil
}

// lobFunction is one of DBMS_LOB that SQL can call.
func (a *act) lobFunction(name string, v []value) (value, error) {
	if len(v) == 0 {
		return nil, fault(6553, "PLS-306: wrong number or types of arguments in call to '%s'", name)
	}
	f, ok := v[0].(bfile)
	if !ok {
		return nil, fault(6553, "PLS-306: wrong number or types of arguments in call to '%s'", name)
	}
	switch {
	case name == "GETLENGTH":
		n, err := a.lobLength(f)
		return num(n), err
	case name == "FILEEXISTS":
		if _, err := a.path(f, "FILEEXISTS"); err != nil {
			if code(err) == 22288 {
				return num(0), nil
			}
			return nil, err
		}
		return num(1), nil
	case name == "SUBSTR" && len(v) == 3:
		amount, err1 := strconv.ParseUint(text(v[1]), 10, 64)
		at, err2 := strconv.ParseUint(text(v[2]), 10, 64)
		if err1 != nil || err2 != nil || amount > 2000 {
			return nil, fault(6502, "PL/SQL: numeric or value error: raw variable length too long")
		}
		b, err := a.lobRead(f, amount, at)
		if code(err) == 1403 {
			return nil, nil
		}
		return b, err
	}
	return nil, unknown("DBMS_LOB." + name)
}

// fremove is UTL_FILE.FREMOVE.
func (a *act) fremove(dir, name string) error {
	folder, ok := a.directories[dir]
	if !ok || strings.Contains(name, "/") {
		return stack(fault(29280, "invalid directory path"), fault(6512, "at \"SYS.UTL_FILE\""))
	}
	if err := os.Remove(filepath.Join(folder, name)); err != nil {
		return stack(fault(29283, "invalid file operation"), fault(6512, "at \"SYS.UTL_FILE\""))
	}
	return nil
}
