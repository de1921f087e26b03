//go:build !windows

package exchange

import (
	"errors"
	"fmt"
)

// systemVolumes has none elsewhere.
type systemVolumes struct{}

func (systemVolumes) of(path string) (volume, error) {
	return volume{}, fmt.Errorf("snapshots of %s are made by diskshadow, on Windows: %w", path, errors.ErrUnsupported)
}

// elevated has no meaning elsewhere.
func elevated() bool { return true }
