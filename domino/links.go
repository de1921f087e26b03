package domino

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// maxLink is more than a link file has, and less than a database [ADM Creating, updating, and deleting directory and database links].
const maxLink = 8 << 10

// linkTarget reads a directory or database link: a text file whose first line is a full path; users who may follow it stand in the lines after. ok is false for what is no link.
func linkTarget(path string, size int64) (target string, ok bool, err error) {
	if size == 0 || size > maxLink {
		return "", false, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return "", false, err
	}
	defer f.Close()
	line, err := bufio.NewReader(io.LimitReader(f, maxLink)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", false, err
	}
	if bytes.ContainsFunc([]byte(line), func(r rune) bool { return r < ' ' && r != '\r' && r != '\n' && r != '\t' }) {
		return "", false, nil // a database begins 1A 00
	}
	target = strings.TrimSpace(line)
	return target, filepath.IsAbs(target), nil
}

// place is where a database of that name lies: below the data directory, or where links of it lead.
func place(data, name string) (string, error) {
	at := data
	parts := strings.Split(name, "/")
	for i, part := range parts {
		next := filepath.Join(at, part)
		info, err := os.Stat(next)
		switch {
		case i == len(parts)-1:
			if err == nil && info.Mode().IsRegular() && isDatabase(part) {
				target, ok, err := linkTarget(next, info.Size())
				if err != nil || ok {
					return target, err
				}
			}
		case err != nil:
			link := next + ".dir"
			if info, lerr := os.Stat(link); lerr == nil {
				target, ok, err := linkTarget(link, info.Size())
				if err != nil {
					return "", err
				}
				if ok {
					next = target
				}
			}
		}
		at = next
	}
	return at, nil
}
