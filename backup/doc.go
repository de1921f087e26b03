// Package backup is the contract and the pipeline of application-consistent backup.
package backup
