// Package s3endpoint placeholder.
package s3endpoint
