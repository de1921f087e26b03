package backup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"sync"
)

// StagedArtifact is an artifact of a DeadRun.
type StagedArtifact struct {
	// Artifact is as Create or Reserve was given it. What was annotated is in Meta if the artifact was committed.
	Artifact
	// Size in bytes.
	Size int64
	// Committed says that the source had called it complete. A file that was reserved and not committed may be whole, torn or still being written.
	Committed bool
	// Path is the file as this process sees it, ServerPath as the server does. Both are empty for an artifact that is not one
	// file of the stage: written through Create, or at the target already.
	Path, ServerPath string

	st *resumption
	a  *artifact
}

// Open gives access to the content, wherever it lies. It keeps ctx, because it lives within one call of Salvage. The caller closes the reader.
// What lies at the target already cannot be read (ErrKey) on a machine that has only the key for encrypting; so a Salvager annotates what it will want to know
// before it commits.
func (s *StagedArtifact) Open(ctx context.Context) (*StagedReader, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if s.Path != "" {
		f, err := os.Open(s.Path)
		if err != nil {
			return nil, s.st.troubled(fmt.Errorf("open staged %s: %w", s.Name, err), errors.Is(err, fs.ErrPermission))
		}
		return &StagedReader{io.NewSectionReader(f, 0, s.Size), f}, nil
	}
	return &StagedReader{io.NewSectionReader(&stagedParts{ctx: ctx, s: s, n: -1}, 0, s.Size), io.NopCloser(nil)}, nil
}

// StagedReader reads a StagedArtifact: Read, Seek, ReadAt and Size. ReadAt may be called by many goroutines.
type StagedReader struct {
	*io.SectionReader
	io.Closer
}

// stagedParts reads an artifact from its parts in the stage and at the target, and holds one of them.
type stagedParts struct {
	ctx context.Context
	s   *StagedArtifact

	mu   sync.Mutex
	n    int // of the part held
	data []byte
}

// ReadAt implements io.ReaderAt within the artifact's size, which the SectionReader around it sees to.
func (p *stagedParts) ReadAt(b []byte, off int64) (done int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	size := int64(p.s.st.r.partSize)
	for done < len(b) {
		n := int(off / size)
		if n != p.n {
			if p.data, err = p.s.st.partData(p.ctx, p.s.a, n); err != nil {
				p.n = -1
				return done, fmt.Errorf("read staged %s part %d: %w", p.s.Name, n, err)
			}
			p.n = n
		}
		at := off - int64(n)*size
		if at >= int64(len(p.data)) {
			return done, io.ErrUnexpectedEOF
		}
		k := copy(b[done:], p.data[at:])
		done, off = done+k, off+int64(k)
	}
	return done, nil
}

// partData is the content of one part, checked.
func (st *resumption) partData(ctx context.Context, a *artifact, n int) ([]byte, error) {
	if n < len(a.stored) && a.stored[n] {
		data, err := st.storedData(ctx, a, n)
		wrong := errors.Is(err, ErrCorrupt) || errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrKey)
		return data, st.troubled(err, err != nil && !wrong)
	}
	data, err := os.ReadFile(st.r.spoolPath(a, n))
	if err != nil {
		return nil, st.troubled(err, errors.Is(err, fs.ErrPermission))
	}
	sp := st.spool[a][n]
	if int64(len(data)) != sp.Size || crc32.Checksum(data, castagnoli) != sp.CRC {
		return nil, fmt.Errorf("%w: staged part is not what was written", ErrCorrupt)
	}
	return data, nil
}

// storedData fetches a part from the target and opens it.
func (st *resumption) storedData(ctx context.Context, a *artifact, n int) ([]byte, error) {
	v, want := st.r.p.vault, a.parts[n]
	stored, err := st.r.p.readStored(ctx, st.partKey(a, n), want, st.r.buffers)
	if err != nil {
		return nil, err
	}
	rc, err := v.unseal(bytes.NewReader(stored))
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(rc, want.Size+1))
	if err = errors.Join(err, rc.Close()); err == nil && int64(len(data)) != want.Size {
		err = fmt.Errorf("%w: %d bytes of content, want %d", ErrCorrupt, len(data), want.Size)
	}
	return data, err
}

// troubled remembers a failure that may pass and says nothing about the content: a target that does not answer, a right that is missing. A run must not be
// given up for it, whatever the source makes of it.
func (st *resumption) troubled(err error, passing bool) error {
	if passing {
		st.mu.Lock()
		defer st.mu.Unlock()
		st.trouble = errors.Join(st.trouble, err)
	}
	return err
}
