package backup

import (
	"os"
	"strings"
)

// bootID names this start of the machine, or is empty where the system does not say (Linux does: random(4)).
func bootID() string {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(id))
}
