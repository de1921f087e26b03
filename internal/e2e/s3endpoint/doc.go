// Package s3endpoint tests mssql/s3endpoint with a client of another family than the one its own tests use.
package s3endpoint
