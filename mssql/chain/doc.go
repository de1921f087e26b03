// Package chain decides from the headers of SQL Server backups alone which of them bring a database to a moment, and in which order.
package chain
