// Package mssql backs up and restores the databases of a SQL Server instance.
package mssql
