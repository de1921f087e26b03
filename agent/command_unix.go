//go:build unix

package agent

import (
	"os/exec"
	"syscall"
)

// killTogether makes the program the head of a group of its own, all of which a cancel kills.
func killTogether(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
}
