package sink

import (
	"fmt"
	"io/fs"
	"strings"
	"unicode/utf8"
)

// keyPath maps a key to a relative path with slashes. Every key has its own path on a file system that tells case apart, no path
// leaves the root, and none is a name that Windows or this package gives another meaning. Ordinary keys stay as they are.
func keyPath(key string) (string, error) {
	elements := strings.Split(key, "/")
	for i, e := range elements {
		if e == "" || e == "." || e == ".." {
			return "", fmt.Errorf("key %q is not a clean relative path: %w", key, fs.ErrInvalid)
		}
		elements[i] = escapeElement(e)
	}
	return strings.Join(elements, "/"), nil
}

const hexDigits = "0123456789ABCDEF"

// escapeElement writes as %XX what a file name cannot hold on every system.
func escapeElement(e string) string {
	special := reservedName(e)
	if !special && strings.IndexFunc(e, func(r rune) bool { return needsEscape(r) }) < 0 && utf8.ValidString(e) &&
		e[0] != '.' && !strings.HasSuffix(e, ".") && !strings.HasSuffix(e, " ") {
		return e
	}
	var b strings.Builder
	for i := 0; i < len(e); {
		r, size := utf8.DecodeRuneInString(e[i:])
		last := i+size == len(e)
		switch {
		case i == 0 && (special || r == '.'), last && (r == '.' || r == ' '), needsEscape(r), r == utf8.RuneError && size == 1:
			for _, c := range []byte(e[i : i+size]) {
				b.WriteByte('%')
				b.WriteByte(hexDigits[c>>4])
				b.WriteByte(hexDigits[c&15])
			}
		default:
			b.WriteString(e[i : i+size])
		}
		i += size
	}
	return b.String()
}

func needsEscape(r rune) bool { return r < ' ' || r == 0x7f || strings.ContainsRune(`%\:*?"<>|`, r) }

// reservedName reports names that are devices on Windows, whatever their extension, or that file systems keep for themselves.
// Source: Microsoft, "Naming Files, Paths, and Namespaces".
func reservedName(e string) bool {
	base, _, _ := strings.Cut(strings.ToUpper(e), ".")
	switch base = strings.TrimRight(base, " "); base {
	case "CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$", "LOST+FOUND":
		return true
	}
	for _, port := range []string{"COM", "LPT"} {
		if n, ok := strings.CutPrefix(base, port); ok && utf8.RuneCountInString(n) == 1 && strings.Contains("0123456789¹²³", n) {
			return true
		}
	}
	return false
}

// unescapeElement is the inverse of escapeElement. ok is false for names no key has: another program's files.
func unescapeElement(name string) (e string, ok bool) {
	var b strings.Builder
	for i := 0; i < len(name); i++ {
		if name[i] != '%' {
			b.WriteByte(name[i])
			continue
		}
		if i+2 >= len(name) {
			return "", false
		}
		hi, lo := strings.IndexByte(hexDigits, name[i+1]), strings.IndexByte(hexDigits, name[i+2])
		if hi < 0 || lo < 0 {
			return "", false
		}
		b.WriteByte(byte(hi<<4 | lo))
		i += 2
	}
	e = b.String()
	return e, e != "" && e != "." && e != ".." && !strings.Contains(e, "/") && escapeElement(e) == name
}
