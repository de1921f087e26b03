package notes

import "fmt"

// Status is what a function of the C API answered: the code without the bits that say where it came from and whether it was shown [REF STATUS]. It is an error; zero is never returned as one.
type Status uint16

// Error is the code in hex.
func (s Status) Error() string { return fmt.Sprintf("Notes status 0x%04X", uint16(s)) }
