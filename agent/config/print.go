package config

import (
	"fmt"
	"io"

	"go.yaml.in/yaml/v3"
)

// Print writes the effective configuration as YAML: defaults filled in, what jobs share given to each of them, paths made absolute. Secrets that
// stand in the file are replaced by "[redacted]", which Parse refuses; those that come from a variable or a file keep the name of it, so that
// a file with only such secrets parses again to the same configuration.
func (c *Config) Print(w io.Writer) error {
	e := yaml.NewEncoder(w)
	e.SetIndent(2)
	if err := e.Encode(c); err != nil {
		return fmt.Errorf("print configuration: %w", err)
	}
	return e.Close()
}
