package exchange

import "context"

// SystemState saves the system state of this machine, which on a domain controller holds the Active Directory.
type SystemState interface {
	// Name is the tool, as manifests note it: "wbadmin".
	Name() string
	// Save puts the system state below dir, an empty directory, and checks by what lies there that it is complete. When it returns an error, what it made is gone.
	Save(ctx context.Context, dir string) error
	// Check tells whether Save could work, without doing it.
	Check(ctx context.Context, dir string) error
}
