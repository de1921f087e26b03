package backuptest

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
)

// crcSealer is the smallest right Sealer: blocks of up to 32 KiB with their length, number and checksum, closed by an empty block.
type crcSealer struct {
	*MemSink
	seal   func(plain io.Reader) (io.Reader, error)
	unseal func(stored io.Reader) (io.ReadCloser, error)
	suffix string
	plain  bool // Put does not seal
}

func newCRCSealer() *crcSealer {
	return &crcSealer{MemSink: NewMemSink(), seal: sealCRC, unseal: unsealCRC, suffix: ".crc"}
}

const crcBlock = 32 << 10

func sealCRC(plain io.Reader) (io.Reader, error) { return &crcWriter{plain: plain}, nil }

type crcWriter struct {
	plain io.Reader
	n     uint32
	rest  []byte
	ended bool
	err   error
}

func (w *crcWriter) Read(p []byte) (int, error) {
	for len(w.rest) == 0 {
		if w.err != nil {
			return 0, w.err
		}
		if w.ended {
			return 0, io.EOF
		}
		buf := make([]byte, 0, crcBlock)
		for len(buf) < crcBlock && w.err == nil && !w.ended {
			n, err := w.plain.Read(buf[len(buf):cap(buf)])
			buf = buf[:len(buf)+n]
			if err == io.EOF {
				w.ended = true
			} else if err != nil {
				w.err = err
			}
		}
		if w.err != nil {
			return 0, w.err
		}
		if len(buf) > 0 {
			w.block(buf)
		}
		if w.ended {
			w.block(nil)
		}
	}
	n := copy(p, w.rest)
	w.rest = w.rest[n:]
	return n, nil
}

func (w *crcWriter) block(b []byte) {
	w.rest = append(w.rest, crcHeader(w.n, b)...)
	w.rest = append(w.rest, b...)
	w.n++
}

func crcHeader(n uint32, b []byte) []byte {
	h := binary.LittleEndian.AppendUint32(nil, uint32(len(b)))
	h = binary.LittleEndian.AppendUint32(h, n)
	return binary.LittleEndian.AppendUint32(h, crc32.Update(crc32.ChecksumIEEE(h), crc32.IEEETable, b))
}

func unsealCRC(stored io.Reader) (io.ReadCloser, error) {
	return io.NopCloser(&crcReader{stored: stored}), nil
}

type crcReader struct {
	stored io.Reader
	n      uint32
	rest   []byte
	err    error
}

func (r *crcReader) Read(p []byte) (int, error) {
	for len(r.rest) == 0 && r.err == nil {
		r.rest, r.err = r.block()
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	if len(r.rest) > 0 {
		return n, nil
	}
	return n, r.err
}

var errDamaged = fmt.Errorf("block: %w", backup.ErrCorrupt)

// full fills p and tells the end of stored, which is damage, from a transfer that broke off.
func (r *crcReader) full(p []byte) error {
	for n := 0; n < len(p); {
		m, err := r.stored.Read(p[n:])
		n += m
		if err == io.EOF && n < len(p) {
			return errDamaged
		}
		if err != nil && err != io.EOF {
			return err
		}
	}
	return nil
}

func (r *crcReader) block() ([]byte, error) {
	head := make([]byte, 12)
	if err := r.full(head); err != nil {
		return nil, err
	}
	size := binary.LittleEndian.Uint32(head)
	if size > crcBlock {
		return nil, errDamaged
	}
	b := make([]byte, size)
	if err := r.full(b); err != nil {
		return nil, err
	}
	if !bytes.Equal(head, crcHeader(r.n, b)) {
		return nil, errDamaged
	}
	r.n++
	if size > 0 {
		return b, nil
	}
	if n, err := r.stored.Read(make([]byte, 1)); n > 0 {
		return nil, errDamaged
	} else if err != nil && err != io.EOF {
		return nil, err
	}
	return nil, io.EOF
}

func (s *crcSealer) Seal(key string, plain io.Reader) (string, io.Reader, error) {
	r, err := s.seal(plain)
	return key + ".crc", r, err
}
func (s *crcSealer) Unseal(stored io.Reader) (io.ReadCloser, error) { return s.unseal(stored) }
func (s *crcSealer) Suffix() string                                 { return s.suffix }
func (s *crcSealer) Under() backup.Sink                             { return s.MemSink }

func (s *crcSealer) Put(ctx context.Context, key string, r io.Reader) error {
	storedKey, stored, err := s.Seal(key, r)
	if err != nil {
		return err
	}
	if s.plain {
		stored = r
	}
	return s.MemSink.Put(ctx, storedKey, stored)
}

func (s *crcSealer) PutIfAbsent(ctx context.Context, key string, r io.Reader) error {
	storedKey, stored, err := s.Seal(key, r)
	if err != nil {
		return err
	}
	return s.MemSink.PutIfAbsent(ctx, storedKey, stored)
}

func (s *crcSealer) Get(ctx context.Context, key string) (io.ReadCloser, error) {
	rc, err := s.MemSink.Get(ctx, key+".crc")
	if err != nil {
		return nil, err
	}
	return s.Unseal(rc)
}

func (s *crcSealer) List(ctx context.Context, prefix string) iter.Seq2[backup.Object, error] {
	return func(yield func(backup.Object, error) bool) {
		for o, err := range s.MemSink.List(ctx, prefix) {
			o.Key = strings.TrimSuffix(o.Key, ".crc")
			if (err != nil || strings.HasPrefix(o.Key, prefix)) && !yield(o, err) {
				return
			}
		}
	}
}

func (s *crcSealer) Delete(ctx context.Context, key string) error {
	return s.MemSink.Delete(ctx, key+".crc")
}

func TestARightSealerKeepsTheContract(t *testing.T) {
	TestSink(t, func(*testing.T) backup.Sink { return newCRCSealer() }, SinkOptions{Big: 5 << 20})
}

// wrongSealers holds, for each rule, sealers that break it.
func wrongSealers() map[string][]func(s *crcSealer) {
	all := wrongAtSeal()
	maps.Copy(all, wrongAtUnseal())
	return all
}

func wrongAtSeal() map[string][]func(s *crcSealer) {
	return map[string][]func(s *crcSealer){
		"seal-round-trip": {func(s *crcSealer) { // the last block is lost when it is full
			s.seal = func(plain io.Reader) (io.Reader, error) {
				body, err := io.ReadAll(plain)
				if err == nil && len(body) > 0 && len(body)%(1<<20) == 0 {
					body = body[:len(body)-1]
				}
				return sealAgain(body, err)
			}
		}},
		"seal-suffix": {func(s *crcSealer) { s.suffix = ".sealed" }},
		"seal-is-put": {func(s *crcSealer) { s.plain = true }},
		"seal-tells-source-failure": {
			func(s *crcSealer) { // the end of a dead dump is an end
				s.seal = func(plain io.Reader) (io.Reader, error) {
					body, _ := io.ReadAll(plain)
					return sealAgain(body, nil)
				}
			},
			func(s *crcSealer) { // io.ReadFull again
				s.seal = func(plain io.Reader) (io.Reader, error) {
					body, err := io.ReadAll(plain)
					if err == io.ErrUnexpectedEOF {
						err = nil
					}
					return sealAgain(body, err)
				}
			},
		},
	}
}

func wrongAtUnseal() map[string][]func(s *crcSealer) {
	return map[string][]func(s *crcSealer){
		"seal-damage-is-found": {
			func(s *crcSealer) { // nothing is checked
				s.seal = func(plain io.Reader) (io.Reader, error) { return plain, nil }
				s.unseal = func(stored io.Reader) (io.ReadCloser, error) { return io.NopCloser(stored), nil }
			},
			func(s *crcSealer) { // the end is not marked
				s.unseal = func(stored io.Reader) (io.ReadCloser, error) {
					r := &crcReader{stored: stored}
					return io.NopCloser(readFunc{nil, func(p []byte) (int, error) {
						n, err := r.Read(p)
						if r.n > 0 && err != nil {
							err = io.EOF
						}
						return n, err
					}}), nil
				}
			},
			func(s *crcSealer) { // damage is found and called something else
				s.unseal = func(stored io.Reader) (io.ReadCloser, error) {
					r := &crcReader{stored: stored}
					return io.NopCloser(readFunc{nil, func(p []byte) (int, error) {
						n, err := r.Read(p)
						if errors.Is(err, backup.ErrCorrupt) {
							err = errors.New("bad block")
						}
						return n, err
					}}), nil
				}
			},
		},
		"seal-tells-transfer-failure": {func(s *crcSealer) { // a bad line is damage
			s.unseal = func(stored io.Reader) (io.ReadCloser, error) {
				r := &crcReader{stored: stored}
				return io.NopCloser(readFunc{nil, func(p []byte) (int, error) {
					n, err := r.Read(p)
					if err != nil && err != io.EOF {
						err = errDamaged
					}
					return n, err
				}}), nil
			}
		}},
		"seal-bounded": {
			func(s *crcSealer) {
				s.seal = func(plain io.Reader) (io.Reader, error) {
					return &lateReader{make: func() (io.Reader, error) {
						body, err := io.ReadAll(plain)
						return sealAgain(body, err)
					}}, nil
				}
			},
			func(s *crcSealer) {
				s.unseal = func(stored io.Reader) (io.ReadCloser, error) {
					body, err := io.ReadAll(stored)
					if err != nil {
						return nil, err
					}
					return unsealCRC(bytes.NewReader(body))
				}
			},
		},
		"seal-concurrent": {func(s *crcSealer) { // one state for all
			var busy atomic.Int32
			s.seal = func(plain io.Reader) (io.Reader, error) {
				defer busy.Add(-1)
				if busy.Add(1) > 1 {
					return nil, errors.New("in use")
				}
				time.Sleep(time.Millisecond)
				return sealCRC(plain)
			}
		}},
	}
}

// sealAgain seals what was read, and fails as reading did.
func sealAgain(body []byte, err error) (io.Reader, error) {
	if err != nil {
		return failing{err}, nil
	}
	return sealCRC(bytes.NewReader(body))
}

// lateReader is made when it is first read.
type lateReader struct {
	make func() (io.Reader, error)
	r    io.Reader
}

func (l *lateReader) Read(p []byte) (n int, err error) {
	if l.r == nil {
		if l.r, err = l.make(); err != nil {
			return 0, err
		}
	}
	return l.r.Read(p)
}

func TestEverySealRuleRejectsItsWrongSealers(t *testing.T) {
	wrongs := wrongSealers()
	for _, r := range sealRules(SinkOptions{Big: 33 << 20}) {
		require.Contains(t, wrongs, r.name, "a rule without a wrong sealer is not tested")
		for i, spoil := range wrongs[r.name] {
			t.Run(fmt.Sprintf("%s/%d", r.name, i), func(t *testing.T) {
				t.Parallel()
				s := newCRCSealer()
				spoil(s)
				res := r.run(t.Context(), s)
				assert.True(t, res.Broken(), "the rule accepts a sealer made to break it")
				assert.Contains(t, res.String(), r.name)
			})
		}
		delete(wrongs, r.name)
	}
	assert.Empty(t, slices.Collect(maps.Keys(wrongs)), "wrong sealers for rules that do not exist")
}
