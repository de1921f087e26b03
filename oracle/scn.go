package oracle

import (
	"fmt"
	"math"
	"strconv"

	"github.com/quiesce-go/quiesce/backup"
)

// SCN is a system change number: a place in the history of one incarnation of a database. It needs all 64 bits [REF].
type SCN uint64

// NoSCN stands where there is no SCN yet, as the end of a log that is being written.
const NoSCN SCN = math.MaxUint64

// Position is the SCN as positions order: twenty digits.
func (n SCN) Position() backup.Position { return backup.Position(fmt.Sprintf("%020d", uint64(n))) }

// ParsePosition reads what SCN.Position writes.
func ParsePosition(p backup.Position) (SCN, error) {
	n, err := strconv.ParseUint(string(p), 10, 64)
	if err != nil || len(p) != 20 {
		return 0, fmt.Errorf("position %q is not an SCN of 20 digits", p)
	}
	return SCN(n), nil
}

// streamOf is the history in which SCNs compare: a database, until it is opened with RESETLOGS.
func streamOf(dbid uint64, resetlogs SCN) string { return fmt.Sprintf("%d/%d", dbid, resetlogs) }
