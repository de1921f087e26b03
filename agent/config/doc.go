// Package config builds the jobs of an agent from a YAML file.
package config
