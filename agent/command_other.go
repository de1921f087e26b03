//go:build !unix

package agent

import "os/exec"

// killTogether leaves it at the program itself, which is what a cancel kills here.
func killTogether(*exec.Cmd) {}
