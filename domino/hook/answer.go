package hook

import (
	"fmt"
	"strings"
)

// Answer is what the agent says to a call.
type Answer struct {
	// Reference is given back by Domino when it restores.
	Reference string `json:"reference,omitempty"`
	// Error is the reason why the file was not processed; empty when it was.
	Error string `json:"error,omitempty"`
}

// Text is the answer as Domino reads it [DB docs/interface.md].
func (a Answer) Text() string {
	switch {
	case a.Error != "":
		// The strings that Domino searches for must not stand in a reason, which may name a file.
		reason := strings.NewReplacer("\r", " ", "\n", "; ", "PROCESSED", "processed", "BackupRef:", "backup reference").Replace(a.Error)
		return fmt.Sprintf("Return: ERROR - %s\n", reason)
	case a.Reference != "":
		return fmt.Sprintf("BackupRef: %s\nReturn: PROCESSED\n", a.Reference)
	}
	return "Return: PROCESSED\n"
}
