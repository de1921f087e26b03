// Package e2e is a module of its own for tests against real servers and emulators, so that nobody who embeds the SDK downloads them.
//
// Run it with `go test ./...` in this directory, or `go test ./internal/e2e/...` through the workspace at the root. What a
// machine lacks is skipped with the reason.
package e2e
