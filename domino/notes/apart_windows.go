package notes

import (
	"os/exec"
	"syscall"
)

const createNoWindow = 0x08000000 // no console: nothing asks for a password, and no key interrupts it

// apart gives the process a group of its own and no console.
func apart(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{CreationFlags: syscall.CREATE_NEW_PROCESS_GROUP | createNoWindow}
}
