package oraclesim

import "time"

// piece is a backup piece or an image copy that RMAN knows.
type piece struct {
	Key    int
	Handle string
	Kind   string // datafile set, archivelog set, control file, spfile, copy
	Tag    string
	Bytes  int64
	Done   time.Time
	Level  int
	Status string // A, X, D
	Files  []int
	Logs   []string
	File   int // of a copy
	SCN    uint64
	Resets uint64
}

func (a *act) backupView(name string) (view, bool) { return view{}, false }
func (a *act) command() (bool, error)              { return false, nil }
