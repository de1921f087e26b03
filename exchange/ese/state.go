package ese

import "fmt"

// State is how a database was left.
type State uint32

// The states. Only a database in clean shutdown can do without its logs.
const (
	JustCreated          State = 1
	DirtyShutdown        State = 2
	CleanShutdown        State = 3
	BeingConverted       State = 4
	ForceDetached        State = 5
	IncrementalReseeding State = 6
	DirtyAndPatched      State = 7
	Reverting            State = 8
)

// String reads "clean shutdown".
func (s State) String() string {
	switch s {
	case JustCreated:
		return "just created"
	case DirtyShutdown:
		return "dirty shutdown"
	case CleanShutdown:
		return "clean shutdown"
	case BeingConverted:
		return "being converted"
	case ForceDetached:
		return "force detached"
	case IncrementalReseeding:
		return "incremental reseed in progress"
	case DirtyAndPatched:
		return "dirty and patched"
	case Reverting:
		return "revert in progress"
	}
	return fmt.Sprintf("State(%d)", uint32(s))
}

// MarshalText is [State.String].
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
