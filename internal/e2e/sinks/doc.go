// Package sinks runs the Sink contract against the targets programs really use: S3 (versitygw, a real server, built from this module's
// requirement), Google Cloud Storage (fake-gcs-server, in this process), Azure (Azurite, where `azurite-blob` is on the PATH or
// QUIESCE_AZURITE names it), a directory, gocloud's fileblob and memory. It kills writers in the middle of an upload and looks
// at what is left.
package sinks
