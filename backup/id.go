package backup

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"time"
)

// ID names one backup: its start in UTC to the millisecond, then randomness, such as
// "20261122T020000123Z-9f8e7d6c". IDs of a job sort by age. Nothing but order is read out of an ID:
// times that matter for a restore stand in the manifest.
type ID string

const idTime = "20060102T150405.000Z"

// NewID returns an ID for a run that starts at t and comes after the given one, even when the clock went back. after may be empty.
func NewID(t time.Time, after ID) ID {
	var r [4]byte
	rand.Read(r[:]) // never fails, see crypto/rand
	if a, err := after.Time(); err == nil && !t.After(a) {
		t = a.Add(time.Millisecond)
	}
	s := t.UTC().Format(idTime)
	return ID(s[:15] + s[16:20] + "-" + hex.EncodeToString(r[:]))
}

// Time returns the moment in the ID, or an error when it is not one of ours.
func (id ID) Time() (time.Time, error) {
	s := string(id)
	if len(s) != 28 || s[19] != '-' {
		return time.Time{}, fmt.Errorf("%q is not a backup id", s)
	}
	if _, err := hex.DecodeString(s[20:]); err != nil {
		return time.Time{}, fmt.Errorf("%q is not a backup id", s)
	}
	t, err := time.Parse(idTime, s[:15]+"."+s[15:19])
	if err != nil {
		return time.Time{}, fmt.Errorf("%q is not a backup id", s)
	}
	return t, nil
}

// Valid reports whether id has the form NewID gives it.
func (id ID) Valid() bool {
	_, err := id.Time()
	return err == nil
}
