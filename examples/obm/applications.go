package main

import "github.com/quiesce-go/quiesce/agent/config"

// applications are what this program can back up.
func applications() config.Registry {
	return config.Registry{
		"mssql": config.App(openMSSQL),
		"mysql": config.App(openMySQL),
	}
}
