//go:build (linux && (amd64 || arm64)) || (darwin && (amd64 || arm64)) || (windows && (amd64 || 386))

package capi

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// toLMBCS is s with a NUL at its end. LMBCS of ASCII is ASCII.
func (l *library) toLMBCS(s string, most int) ([]byte, error) {
	if strings.ContainsRune(s, 0) || !utf8.ValidString(s) {
		return nil, fmt.Errorf("%q is not text that Notes can have", s)
	}
	b := []byte(s)
	if !ascii(b) {
		if b = l.translate(utf8ToLMBCS, b); b == nil {
			return nil, fmt.Errorf("%q cannot be translated for Notes", s)
		}
	}
	if len(b) > most {
		return nil, &longError{s, len(b), most}
	}
	return append(b, 0), nil
}

// longError is a name that Notes has no room for.
type longError struct {
	name       string
	have, most int
}

func (e *longError) Error() string {
	return fmt.Sprintf("%q has %d bytes, Notes takes %d", e.name, e.have, e.most)
}

// Hint says how to shorten it.
func (e *longError) Hint() string {
	return "use a shorter path: for what is staged, a staging folder near the root"
}

// fromLMBCS is the text in b, in which nothing that cannot be translated is left.
func (l *library) fromLMBCS(b []byte) string {
	if !ascii(b) {
		if t := l.translate(lmbcsToUTF8, b); t != nil {
			b = t
		}
	}
	return strings.ToValidUTF8(string(b), "\uFFFD")
}

// translate returns nil when nothing came of it.
func (l *library) translate(mode uint16, in []byte) []byte {
	out := make([]byte, min(4*len(in)+16, maxTranslated))
	if len(in) > maxTranslated {
		return nil
	}
	n := int(l.OSTranslate(mode, &in[0], uint16(len(in)), &out[0], uint16(len(out))))
	if n == 0 || n > len(out) {
		return nil
	}
	return out[:n]
}

func ascii(b []byte) bool {
	for _, c := range b {
		if c >= utf8.RuneSelf || c < 0x20 && c != '\t' && c != '\n' && c != '\r' {
			return false // below space LMBCS has its group prefixes
		}
	}
	return true
}

// path is a path as C takes it. Its buffers have no more room [JNA].
func (l *library) path(s string) ([]byte, error) {
	if s == "" {
		return nil, errors.New("no path")
	}
	return l.toLMBCS(s, maxPath)
}
