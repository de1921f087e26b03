package nsf

import (
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
)

// text reads LMBCS that is optimised for group 1: ASCII, bytes of code page 850 from 0x80 on, and 0x14 before two bytes of UTF-16, as in the LMBCS converter of ICU. Characters of other groups become U+FFFD: to show a title needs no more.
func text(b []byte) string {
	var s strings.Builder
	for len(b) > 0 {
		c, n := rune(utf8.RuneError), 1
		switch {
		case b[0] == '\t' || b[0] == '\n' || b[0] == '\r' || b[0] >= 0x20 && b[0] < 0x80:
			c = rune(b[0])
		case b[0] >= 0x80:
			c = charmap.CodePage850.DecodeByte(b[0])
		case b[0] == 0x14 && len(b) >= 3:
			c, n = rune(b[1])<<8|rune(b[2]), 3
			if b[1] == 0xF6 { // stands for a lower byte of zero
				c = rune(b[2]) << 8
			}
		case b[0] == 0x01 && len(b) >= 2:
			c, n = charmap.CodePage850.DecodeByte(b[1]), 2
		case b[0] >= 0x10 && b[0] <= 0x13:
			n = min(3, len(b))
		default:
			n = min(2, len(b))
		}
		s.WriteRune(c) // a lone surrogate becomes U+FFFD
		b = b[n:]
	}
	return s.String()
}
