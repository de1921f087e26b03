package oracle

// What an RMANPiece holds, and the formats of RMANContents.
const (
	pieceData    = "data"
	pieceLog     = "log"
	pieceControl = "control"
	pieceSPFile  = "spfile"

	formatSet  = "backupset"
	formatCopy = "copy"
)

// RMANContents is what RMAN made for a backup, and Contents.RMAN in its inventory. Everything else of Contents is as in other modes, but that an archived log names the piece that holds it as its
// artifact, and a data file its image copy, or nothing when it is in pieces.
type RMANContents struct {
	// Tag is that of all pieces and copies. No other backup has it.
	Tag string `json:"tag"`
	// Format is backupset, or copy when the data files of a full are image copies. All else is in pieces in either.
	Format string `json:"format"`
	// Level is 0 in a full and 1 in a differential, which is a cumulative one. It is -1 in a log.
	Level int `json:"level"`
	// Parent is the Tag of the full that a differential applies to; empty in others.
	Parent string      `json:"parent,omitempty"`
	Pieces []RMANPiece `json:"pieces"`
}

// RMANPiece is a file that RMAN wrote: a backup piece, or an image copy of a data file.
type RMANPiece struct {
	Artifact string `json:"artifact"`
	// Handle is its name on the server while it was there. CATALOG knows it by whatever name it is put back under.
	Handle string `json:"handle"`
	// Kind is data, log, control or spfile. A piece that holds data files and the control file is data.
	Kind string `json:"kind"`
	// Copy: an image copy, not a piece.
	Copy  bool  `json:"copy,omitempty"`
	Bytes int64 `json:"bytes"`
	// Set is the count of its backup set, and Piece the number of the piece therein, from 1; 0 for a copy.
	Set   int `json:"set,omitempty"`
	Piece int `json:"piece,omitempty"`
	// Files are the numbers of the data files in its set, and Logs the archived logs.
	Files []int     `json:"files,omitempty"`
	Logs  []RMANLog `json:"logs,omitempty"`
}

// RMANLog is an archived log in a backup set.
type RMANLog struct {
	Thread   int    `json:"thread"`
	Sequence uint64 `json:"sequence"`
	FirstSCN SCN    `json:"first_scn"`
	NextSCN  SCN    `json:"next_scn"`
}
