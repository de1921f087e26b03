package backup

import "fmt"

// Kind says how much a backup, or one item in it, carries.
type Kind string

const (
	// Full stands alone.
	Full Kind = "full"
	// Differential is everything since the full it names as its parent.
	Differential Kind = "differential"
	// Log is only the new transaction log since the link before it.
	Log Kind = "log"
)

// ParseKind turns user input into a Kind.
func ParseKind(s string) (Kind, error) {
	switch k := Kind(s); k {
	case Full, Differential, Log:
		return k, nil
	}
	return "", fmt.Errorf("kind %q: want full, differential or log", s)
}
