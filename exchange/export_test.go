package exchange

import "github.com/quiesce-go/quiesce/internal/diskroom"

// SetRoom has a Source believe that every volume has this much room.
func (s *Source) SetRoom(freeBytes int64) {
	s.room = func(string) (diskroom.Volume, bool) { return diskroom.Volume{ID: "v", FreeBytes: freeBytes}, true }
}
