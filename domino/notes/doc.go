// Package notes is the part of the Notes C API that a backup needs, as Go sees it.
package notes
