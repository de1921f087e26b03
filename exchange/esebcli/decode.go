package esebcli

import (
	"encoding/binary"
	"errors"
	"fmt"
	"unicode/utf16"
)

// memory is where the library's structures lie: at returns n bytes at an address. Pointers have word bytes.
type memory struct {
	word int
	at   func(addr uint64, n int) []byte
}

// What no server has, so that rubbish is not walked through.
const (
	maxCount = 1 << 16 // instances, databases of one
	maxChars = 1 << 24 // of a list of files: half a million logs with paths of 32 characters
)

var errStructure = errors.New("what the library returned makes no sense: is it the esebcli2.dll of this version of Exchange, of the same bitness?")

func (m memory) u32(addr uint64) uint32 { return binary.LittleEndian.Uint32(m.at(addr, 4)) }

func (m memory) i64(addr uint64) int64 { return int64(binary.LittleEndian.Uint64(m.at(addr, 8))) }

func (m memory) pointer(addr uint64) uint64 {
	if m.word == 4 {
		return uint64(m.u32(addr))
	}
	return binary.LittleEndian.Uint64(m.at(addr, 8))
}

// layout walks the members of a structure, each at a multiple of its own size.
type layout struct {
	m            memory
	addr, offset uint64
}

// skip returns the address of a member of so many bytes.
func (l *layout) skip(size int) uint64 {
	l.align(size)
	at := l.addr + l.offset
	l.offset += uint64(size)
	return at
}

func (l *layout) align(size int) {
	s := uint64(size)
	l.offset = (l.offset + s - 1) / s * s
}

// next is where the next structure of an array begins, of which the widest member has so many bytes.
func (l *layout) next(widest int) uint64 {
	l.align(widest)
	return l.addr + l.offset
}

// guid reads a GUID in place. Its members are aligned to 4.
func (l *layout) guid() (g GUID) {
	l.align(4)
	copy(g[:], l.m.at(l.addr+l.offset, len(g)))
	l.offset += uint64(len(g))
	return g
}

func (l *layout) u32() uint32 { return l.m.u32(l.skip(4)) }

func (l *layout) pointer() uint64 { return l.m.pointer(l.skip(l.m.word)) }

// instances reads an array of INSTANCE_BACKUP_INFO.
func (m memory) instances(addr uint64, n uint32) ([]Instance, error) {
	if err := m.array("instances", addr, n); err != nil {
		return nil, err
	}
	list := make([]Instance, 0, n)
	for range n {
		l := &layout{m: m, addr: addr}
		i := Instance{ID: m.i64(l.skip(8))}
		name := l.pointer()
		l.u32() // icon
		count := l.u32()
		databases := l.pointer()
		l.u32() // icons
		l.pointer()
		addr = l.next(8)

		var err error
		if i.Name, err = m.text(name); err != nil {
			return nil, fmt.Errorf("name of an instance: %w", err)
		}
		if i.Databases, err = m.databases(databases, count); err != nil {
			return nil, fmt.Errorf("instance %q: %w", i.Name, err)
		}
		list = append(list, i)
	}
	return list, nil
}

// isMounted is the flag of a mounted database [ESE].
const isMounted = 0x10

// databases reads an array of DATABASE_BACKUP_INFO.
func (m memory) databases(addr uint64, n uint32) ([]Database, error) {
	if err := m.array("databases", addr, n); err != nil {
		return nil, err
	}
	list := make([]Database, 0, n)
	for range n {
		l := &layout{m: m, addr: addr}
		name := l.pointer()
		chars := l.u32()
		streams := l.pointer()
		d := Database{GUID: l.guid()}
		l.u32() // icon
		d.Mounted = l.u32()&isMounted != 0
		addr = l.next(m.word)

		var err error
		if d.Name, err = m.text(name); err != nil {
			return nil, fmt.Errorf("name of a database: %w", err)
		}
		if d.Streams, err = m.list(streams, int64(chars)); err != nil {
			return nil, fmt.Errorf("files of database %q: %w", d.Name, err)
		}
		list = append(list, d)
	}
	return list, nil
}

// environment reads the members of a RESTORE_ENVIRONMENT that are used. It is longer in later builds.
func (m memory) environment(addr uint64) (Environment, error) {
	if addr == 0 {
		return Environment{}, fmt.Errorf("no environment: %w", errStructure)
	}
	l := &layout{m: m, addr: addr}
	texts := [4]uint64{l.pointer(), l.pointer()} // log path, source
	l.u32()                                      // databases: a count, names, GUIDs
	l.pointer()
	l.pointer()
	l.pointer() // paths of the instance that restores: system, logs
	l.pointer()
	texts[2] = l.pointer() // target
	l.pointer()            // streams, from and to
	l.pointer()
	e := Environment{First: l.u32(), Last: l.u32()}
	texts[3] = l.pointer() // base name of the logs

	for i, into := range [...]*string{&e.RestoreLogPath, &e.SourceInstance, &e.TargetInstance, &e.LogBase} {
		if texts[i] == 0 {
			continue
		}
		var err error
		if *into, err = m.text(texts[i]); err != nil {
			return Environment{}, fmt.Errorf("environment of the restore: %w", err)
		}
	}
	return e, nil
}

func (m memory) array(what string, addr uint64, n uint32) error {
	if n > maxCount || (n > 0 && addr == 0) {
		return fmt.Errorf("%d %s at address %#x: %w", n, what, addr, errStructure)
	}
	return nil
}

// text reads characters up to a NUL.
func (m memory) text(addr uint64) (string, error) {
	chars, err := m.until(addr, maxChars)
	return string(utf16.Decode(chars)), err
}

func (m memory) until(addr uint64, limit int64) ([]uint16, error) {
	if addr == 0 {
		return nil, fmt.Errorf("no text: %w", errStructure)
	}
	var chars []uint16
	for int64(len(chars)) < limit {
		c := binary.LittleEndian.Uint16(m.at(addr, 2))
		if c == 0 {
			return chars, nil
		}
		chars = append(chars, c)
		addr += 2
	}
	return nil, fmt.Errorf("text without an end in %d characters: %w", limit, errStructure)
}

// list reads a multi-string, texts that each end with a NUL up to an empty one, in as many characters as limit says.
func (m memory) list(addr uint64, limit int64) ([]string, error) {
	if limit > maxChars {
		return nil, fmt.Errorf("list of %d characters: %w", limit, errStructure)
	}
	if addr == 0 {
		return nil, nil
	}
	var texts []string
	for limit > 0 {
		chars, err := m.until(addr, limit)
		if err != nil {
			return nil, err
		}
		if len(chars) == 0 {
			break
		}
		texts = append(texts, string(utf16.Decode(chars)))
		addr += 2 * uint64(len(chars)+1)
		limit -= int64(len(chars) + 1)
	}
	return texts, nil
}
