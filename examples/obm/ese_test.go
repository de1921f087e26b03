package main

import (
	"compress/gzip"
	"encoding/binary"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// eseFile writes a small file of the Extensible Storage Engine, whole and of one series of logs:
//
//	ese database FILE STATE FIRST LAST COMMITTED [FULL]   a database; FULL is the last log of its last full backup
//	ese log FILE GENERATION [SERIES]                      a log as up to Exchange 2010, of series 1 or another
//	ese checkpoint FILE GENERATION
//	ese genuine NAME FILE                                 one that Windows wrote, unpacked
func eseFile(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: ese database|log|checkpoint|genuine FILE ...")
	}
	if args[0] == "genuine" {
		unpackGenuine(ts, args[1], ts.MkAbs(args[2]))
		return
	}
	var n []uint32
	for _, a := range args[2:] {
		v, err := strconv.ParseUint(a, 0, 32)
		ts.Check(err)
		n = append(n, uint32(v))
	}
	var b []byte
	switch args[0] {
	case "database":
		b = eseDatabase(append(n, 0))
	case "log":
		b = eseLog(append(n, 1))
	case "checkpoint":
		b = make([]byte, 8192)
		binary.LittleEndian.PutUint32(b[16:], n[0])
		eseSignature(b[20:], 1)
		b[667] = 4
		eseSeal(b[:4096])
		copy(b[4096:], b[:4096])
	default:
		ts.Fatalf("no file %q", args[0])
	}
	name := ts.MkAbs(args[1])
	ts.Check(os.MkdirAll(filepath.Dir(name), 0o700))
	ts.Check(os.WriteFile(name, b, 0o600))
}

// eseDatabase has pages of 4 KiB, none of which was used.
func eseDatabase(n []uint32) []byte {
	b := make([]byte, 6*4096)
	put := binary.LittleEndian.PutUint32
	put(b[4:], 0x89ABCDEF)
	put(b[8:], 0x620)
	eseSignature(b[24:], 7)
	eseSignature(b[108:], 1)
	for i, at := range []int{52, 296, 300, 416} {
		put(b[at:], n[i])
	}
	put(b[236:], 4096)
	if full := n[4]; full > 0 {
		put(b[140:], full)
		copy(b[144:], "\x05\x1e\x0c\x01\x03\x7c\x01\x00")
		put(b[152:], 1)
		put(b[156:], full)
		put(b[356:], 1)
	}
	eseSeal(b[:4096])
	copy(b[4096:], b[:4096])
	return b
}

func eseLog(n []uint32) []byte {
	generation := n[0]
	b := make([]byte, 8*4096)
	put, put16 := binary.LittleEndian.PutUint32, binary.LittleEndian.PutUint16
	put(b[4:], generation)
	put16(b[8:], 512)
	put16(b[10:], 8)
	put16(b[12:], 64)
	copy(b[16:], "\x05\x00\x0c\x01\x03\x7c\x01\x00")
	copy(b[24:], "\x05\x00\x0c\x01\x03\x7c\x01\x00")
	b[17], b[25] = byte(generation), byte(generation-1) // created at the minute of its generation
	put(b[32:], 7)
	put(b[36:], 3704)
	eseSignature(b[44:], n[1])
	b[667] = 3
	eseSeal(b[:4096])
	return b
}

func eseSignature(b []byte, n uint32) {
	binary.LittleEndian.PutUint32(b, n)
	copy(b[4:], "\x05\x1e\x0c\x01\x03\x7c\x01\x00EXCH1")
}

// eseSeal gives a header its checksum.
func eseSeal(b []byte) {
	sum := uint32(0x89ABCDEF)
	for i := 4; i < len(b); i += 4 {
		sum ^= binary.LittleEndian.Uint32(b[i:])
	}
	binary.LittleEndian.PutUint32(b, sum)
}

// unpackGenuine takes a file from where QUIESCE_TESTDATA is.
func unpackGenuine(ts *testscript.TestScript, name, to string) {
	from, err := os.Open(filepath.Join(os.Getenv("QUIESCE_TESTDATA"), "ese", filepath.FromSlash(name)))
	ts.Check(err)
	defer from.Close()
	var r io.Reader = from
	if strings.HasSuffix(name, ".gz") {
		r, err = gzip.NewReader(from)
		ts.Check(err)
	}
	b, err := io.ReadAll(r)
	ts.Check(err)
	ts.Check(os.MkdirAll(filepath.Dir(to), 0o700))
	ts.Check(os.WriteFile(to, b, 0o600))
}
