package esebcli

import (
	"fmt"
	"io/fs"
	"runtime"
	"strings"
	"unicode/utf16"
	"unsafe"
)

// This file holds all that is unsafe: how arguments are handed to stdcall functions, and how the memory of the library is read.

// wordSize is 4 on 386 and 8 on amd64, the only machines that the library was made for.
const wordSize = int(unsafe.Sizeof(uintptr(0)))

// frame is the arguments of one call as machine words. What they point to stays where it is until release.
type frame struct {
	word  int // in bytes
	words []uintptr
	pins  runtime.Pinner
	err   error // the first argument that cannot be passed
}

func newFrame() *frame { return &frame{word: wordSize} }

// release lets go of what the arguments point to.
func (f *frame) release() { f.pins.Unpin() }

func (f *frame) handle(h uintptr) *frame {
	f.words = append(f.words, h)
	return f
}

func (f *frame) u32(v uint32) *frame { return f.handle(uintptr(v)) }

// i64 is one word, or two with the low one first.
func (f *frame) i64(v int64) *frame {
	if f.word == 8 {
		return f.handle(uintptr(v))
	}
	return f.u32(uint32(v)).u32(uint32(uint64(v) >> 32))
}

// guid is a GUID by value: a pointer to a copy that belongs to the call, or four words.
func (f *frame) guid(g GUID) *frame {
	if f.word == 8 {
		return out(f, &g)
	}
	for i := 0; i < len(g); i += 4 {
		f.u32(uint32(g[i]) | uint32(g[i+1])<<8 | uint32(g[i+2])<<16 | uint32(g[i+3])<<24)
	}
	return f
}

// text is a pointer to UTF-16 with a NUL at its end; of an empty one, NULL.
func (f *frame) text(s string) *frame {
	if s == "" {
		return f.handle(0)
	}
	return f.chars([]string{s})
}

// multi is a pointer to a multi-string. Streams of a database are two at least, so a second empty one stands for that which is not there [ESE].
func (f *frame) multi(list []string) *frame {
	if len(list) == 1 {
		list = append(list, "")
	}
	return f.chars(append(list[:len(list):len(list)], ""))
}

func (f *frame) chars(list []string) *frame {
	var chars []uint16
	for _, s := range list {
		if strings.ContainsRune(s, 0) && f.err == nil {
			f.err = fmt.Errorf("%q: a NUL ends text: %w", s, fs.ErrInvalid)
		}
		chars = append(append(chars, utf16.Encode([]rune(s))...), 0)
	}
	return out(f, &chars[0])
}

// out is a pointer to what the function fills or reads.
func out[T any](f *frame, p *T) *frame {
	f.pins.Pin(p)
	return f.handle(uintptr(unsafe.Pointer(p)))
}

// native is the memory of this process.
func native() memory {
	return memory{word: wordSize, at: func(addr uint64, n int) []byte { return unsafe.Slice((*byte)(pointer(uintptr(addr))), n) }}
}

// pointer makes a pointer of an address that the library returned: of its own memory, which no collector moves. It stays a call because the compiler (Go 1.26) fails where such a conversion is inlined into a copy.
//
//go:noinline
func pointer(addr uintptr) unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(&addr)) }
