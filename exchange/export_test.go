package exchange

import (
	"testing"

	"github.com/quiesce-go/quiesce/internal/diskroom"
)

// SetRoom has a Source believe that every volume has this much room.
func (s *Source) SetRoom(freeBytes int64) {
	s.room = func(string) (diskroom.Volume, bool) { return diskroom.Volume{ID: "v", FreeBytes: freeBytes}, true }
}

// World is what a stand-in for a program of Windows meets.
type World = world

// StandInAt makes a program that this test binary stands in for, and returns its path.
func StandInAt(t *testing.T, name string, w World) string {
	t.Helper()
	return standInAt(t, name, w)
}
