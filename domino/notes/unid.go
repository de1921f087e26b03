package notes

import (
	"encoding/hex"
	"fmt"
)

// UNID is a universal id of Notes: two TIMEDATEs, 16 bytes as they lie in memory [REF ORIGINATORID]. Log series and database instances are named by one.
type UNID [16]byte

// String is the id as 32 hex digits, byte by byte.
func (u UNID) String() string { return hex.EncodeToString(u[:]) }

// ParseUNID reads what String writes.
func ParseUNID(s string) (UNID, error) {
	var u UNID
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(u) {
		return u, fmt.Errorf("id %q: want 32 hex digits", s)
	}
	copy(u[:], b)
	return u, nil
}

// IsZero reports whether there is no id: nothing has ever been logged.
func (u UNID) IsZero() bool { return u == UNID{} }

// MarshalText is String.
func (u UNID) MarshalText() ([]byte, error) { return []byte(u.String()), nil }

// UnmarshalText is ParseUNID.
func (u *UNID) UnmarshalText(text []byte) (err error) {
	*u, err = ParseUNID(string(text))
	return err
}
