package esefile

import "os"

// Checkpoint is a checkpoint file (4.3).
type Checkpoint struct {
	At, LastFullBackup, FullBackup, IncBackup Position
	FullTime, IncTime                         Stamp
	Signature                                 Signature
	SystemPath, LogPath                       string
}

func (k *Checkpoint) fields(c coder) {
	kind := uint32(typeCheck)
	c.position(4, &k.LastFullBackup)
	c.position(12, &k.At)
	c.bytes(20, k.Signature[:])
	c.position(615, &k.FullBackup)
	c.bytes(623, k.FullTime[:])
	c.position(631, &k.IncBackup)
	c.bytes(639, k.IncTime[:])
	c.u32(667, &kind)
}

// Encode returns the file: two copies of 4096 bytes.
func (k Checkpoint) Encode() []byte {
	b := make([]byte, 2*headBytes)
	k.fields(coder{b[:headBytes], true})
	copy(b[48:48+260], k.SystemPath)
	copy(b[48+261:48+521], k.LogPath)
	sealXor(b[:headBytes])
	copy(b[headBytes:], b[:headBytes])
	return b
}

// ReadCheckpoint reads the checkpoint file at path.
func ReadCheckpoint(path string) (k Checkpoint, err error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return k, err
	}
	if len(b) != 2*headBytes || !xorGood(b[:headBytes]) {
		return k, ErrLog
	}
	k.fields(coder{b[:headBytes], false})
	return k, nil
}
