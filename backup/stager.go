package backup

import "context"

// A Stager provides the place where the artifacts of a run lie before they are offsite.
// Most programs use DirStager. The pipeline streams when it has no Stager.
type Stager interface {
	// Stage makes an empty place for run id of job, which is a clean path element, and names it.
	Stage(ctx context.Context, job string, id ID) (StageDir, error)
	// Release removes the place and all in it. Releasing what is gone is not an error.
	Release(ctx context.Context, dir StageDir) error
	// Leftovers names the places of job that were made and not released, oldest first.
	Leftovers(ctx context.Context, job string) ([]StageDir, error)
}

// StageDir is one place made by a Stager. The zero value means streaming.
type StageDir struct {
	ID ID `json:"id"`
	// Path is the directory as this process sees it.
	Path string `json:"path"`
	// ServerPath is the same directory as the application's server sees it. Empty means the same as Path.
	ServerPath string `json:"server_path,omitempty"`
	// Quota is how many bytes may lie in it at once; 0 means no bound but the disk.
	Quota int64 `json:"quota,omitempty"`
}
