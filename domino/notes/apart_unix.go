//go:build unix

package notes

import (
	"os/exec"
	"syscall"
)

// apart gives the process a session of its own: no terminal asks it for a password, and no key interrupts it.
func apart(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} }
