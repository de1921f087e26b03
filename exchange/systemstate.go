package exchange

import "context"

// SystemState saves the system state of this machine, which on a domain controller holds the Active Directory.
type SystemState interface {
	// Name is the tool, as manifests note it: "wbadmin".
	Name() string
	// Save saves the system state into dir, an empty directory, or beside it, and checks by what lies there that it is complete. When it returns an error, what it made is gone, or what remains of it is noted in dir for Remove.
	Save(ctx context.Context, dir string) ([]SavedFile, error)
	// Remove removes what a Save into dir made, wherever that lies, so that dir is empty: after its files were taken, or after the process that ran it died. What is gone is no error.
	Remove(ctx context.Context, dir string) error
	// Check tells whether Save could work, without doing it.
	Check(ctx context.Context, dir string) error
}

// SavedFile is a file of a system state.
type SavedFile struct {
	// Name is where it belongs, with slashes: "WindowsImageBackup/MAIL1/Catalog/GlobalCatalog".
	Name string
	// Path is where it lies now.
	Path string
}
