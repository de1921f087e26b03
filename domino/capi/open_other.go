//go:build !((linux && (amd64 || arm64)) || (darwin && (amd64 || arm64)) || (windows && (amd64 || 386)))

package capi

import "github.com/quiesce-go/quiesce/domino/notes"

// Open fails with ErrPlatform.
func Open(Config) (notes.API, error) { return nil, ErrPlatform }
