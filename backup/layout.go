package backup

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// layout forms the keys of one job. doc/format.md is its description.
type layout struct{ job string }

const (
	entriesName = "entries.jsonl"
	sumsName    = "parts.sha256"
)

func (l layout) manifests() string         { return l.job + "/manifests/" }
func (l layout) manifest(id ID) string     { return l.manifests() + string(id) + ".json" }
func (l layout) leases() string            { return l.job + "/lease/" }
func (l layout) lease(fence uint64) string { return fmt.Sprintf("%s%012d.json", l.leases(), fence) }
func (l layout) run(id ID) string          { return l.job + "/runs/" + string(id) + "/" }
func (l layout) entries(id ID) string      { return l.run(id) + entriesName }
func (l layout) sums(id ID) string         { return l.run(id) + sumsName }
func (l layout) proofs() string            { return l.job + "/proofs/" }
func (l layout) proof(id ID, what string) string {
	return l.proofs() + string(id) + "/" + what + ".json"
}
func (l layout) holds() string          { return l.job + "/holds/" }
func (l layout) hold(id ID) string      { return l.holds() + string(id) + ".json" }
func partName(key string, n int) string { return fmt.Sprintf("%s/%08d", key, n) }

// idOf cuts the id out of a key of the form prefix + id + suffix.
func idOf(key, prefix, suffix string) (ID, bool) {
	s, ok := strings.CutPrefix(key, prefix)
	if !ok {
		return "", false
	}
	s, ok = strings.CutSuffix(s, suffix)
	return ID(s), ok && ID(s).Valid()
}

func fenceOf(key, prefix string) (uint64, bool) {
	s, ok := strings.CutPrefix(key, prefix)
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseUint(strings.TrimSuffix(s, ".json"), 10, 64)
	return n, err == nil
}

var jobForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// ValidJob tells why s cannot name a job, or nil. A job's name is a key prefix and a directory.
func ValidJob(s string) error {
	if !jobForm.MatchString(s) || strings.HasSuffix(s, ".") {
		return fmt.Errorf("job name %q: want 1 to 64 letters, digits, '.', '_' or '-', beginning with a letter or digit", s)
	}
	return nil
}

// maxElement keeps an element of a key within the 255 bytes of a file name on common file systems, with room for suffixes.
const maxElement = 160

// cleanKey turns an artifact's name into a key every target and file system takes: other characters than letters, digits,
// '.', '_' and '-' become =XX, a long element is cut and told apart by a hash, and an element of digits alone, which could be taken for a part, gets a '~'. Names that are
// devices on Windows have their first character escaped.
func cleanKey(name string) string {
	var b strings.Builder
	for i, elem := range strings.Split(name, "/") {
		if i > 0 {
			b.WriteByte('/')
		}
		b.WriteString(cleanElement(elem))
	}
	return b.String()
}

func cleanElement(elem string) string {
	var b strings.Builder
	digits, device := true, deviceForm.MatchString(elem)
	for i := range len(elem) {
		c := elem[i]
		switch {
		case i == 0 && device:
			fmt.Fprintf(&b, "=%02X", c)
		case '0' <= c && c <= '9':
			b.WriteByte(c)
			continue
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', c == '_', c == '-', c == '.' && i > 0 && i < len(elem)-1:
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "=%02X", c)
		}
		digits = false
	}
	s := b.String()
	if len(s) > maxElement {
		h := sha256.Sum256([]byte(elem))
		return s[:maxElement-17] + "~" + hex.EncodeToString(h[:8])
	}
	if digits {
		s += "~"
	}
	return s
}

// deviceForm matches the names Windows keeps for devices, whatever their extension ("Naming Files, Paths, and Namespaces").
var deviceForm = regexp.MustCompile(`(?i)^(con|prn|aux|nul|com[0-9]|lpt[0-9]) *(\..*)?$`)

var keyForm = regexp.MustCompile(`^[A-Za-z0-9_=~-][A-Za-z0-9._=~-]*(/[A-Za-z0-9_=~-][A-Za-z0-9._=~-]*)*$`)

// validKey guards against entries that point outside their run.
func validKey(key string) bool {
	return len(key) <= 4*maxName && keyForm.MatchString(key)
}

// keySet hands out keys that are unique in a run without regard to case, since some targets fold it.
type keySet map[string]struct{}

func newKeySet() keySet { return keySet{entriesName: {}, sumsName: {}} }

func (s keySet) take(name string) string {
	key := cleanKey(name)
	for n := 2; ; n++ {
		fold := strings.ToLower(key)
		if _, dup := s[fold]; !dup {
			s[fold] = struct{}{}
			return key
		}
		key = cleanKey(name) + "~" + strconv.Itoa(n)
	}
}
