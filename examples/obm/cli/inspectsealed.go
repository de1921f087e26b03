package cli

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/sink"
)

// sealedFile is a part, or entries, as sealed at the target: zstd frames, in age or not. It is opened to its end as far as the keys allow.
type sealedFile struct{ keys sink.Keys }

func (sealedFile) Type() string { return "Quiesce part" }

const (
	ageIntro  = "age-encryption.org/v1\n"
	zstdMagic = "\x28\xb5\x2f\xfd"
	// sizeMagic begins the frame with the plain size that ends every compressed object; an empty object is nothing else.
	sizeMagic = "\x51\x2a\x4d\x18"
)

func (sealedFile) Match(head []byte, _ int64) bool {
	return bytes.HasPrefix(head, []byte(ageIntro)) || compressed(head)
}

func compressed(head []byte) bool {
	return bytes.HasPrefix(head, []byte(zstdMagic)) || bytes.HasPrefix(head, []byte(sizeMagic))
}

func (s sealedFile) Inspect(ctx context.Context, f *os.File) (Report, error) {
	r := Report{Details: map[string]any{"sealed": "zstd"}}
	in := bufio.NewReaderSize(f, HeadSize)
	head, _ := in.Peek(HeadSize) // what is there; a failure to read shows below
	if bytes.HasPrefix(head, []byte(ageIntro)) {
		return s.open(ctx, in, head)
	}
	return r, unpack(ctx, in, &r)
}

// open takes the encryption off.
func (s sealedFile) open(ctx context.Context, in io.Reader, head []byte) (Report, error) {
	r := Report{Details: map[string]any{"sealed": "age"}}
	kinds, whole := stanzas(head)
	r.Details["recipients"] = kinds
	if !whole {
		r.problem("its age header is not whole")
		return r, nil
	}
	if len(s.keys.Identities) == 0 {
		r.Details["opened"] = "no, that needs --identity"
		return r, nil
	}
	plain, err := sink.Encrypt(nil, s.keys).Unseal(in)
	switch {
	case errors.Is(err, backup.ErrKey):
		r.Details["opened"] = "no, the identity does not fit"
		return r, err
	case isDamage(err):
		r.problem("%v", err)
		return r, nil
	case err != nil:
		return r, err
	}
	defer plain.Close()
	r.Details["opened"] = "yes"
	under := bufio.NewReaderSize(plain, HeadSize)
	start, err := under.Peek(4)
	if isDamage(err) {
		r.problem("%v", err)
		return r, nil
	}
	if compressed(start) {
		r.Details["sealed"] = "zstd, then age"
		return r, unpack(ctx, under, &r)
	}
	return r, content(ctx, under, &r)
}

// stanzas lists the kinds of recipients in an age header, and tells whether the header is whole as far as can be seen.
func stanzas(head []byte) (kinds []string, whole bool) {
	kinds = []string{}
	for line := range strings.Lines(string(head)) {
		switch {
		case strings.HasPrefix(line, "-> "):
			kind, _, _ := strings.Cut(strings.TrimSpace(line[3:]), " ")
			kinds = append(kinds, kind)
		case strings.HasPrefix(line, "--- ") && strings.HasSuffix(line, "\n"):
			return kinds, len(kinds) > 0
		}
	}
	return kinds, false
}

// unpack takes the compression off and reads to the end, which checks the frames and the length.
func unpack(ctx context.Context, in io.Reader, r *Report) error {
	plain, err := sink.Compress(nil, nil).Unseal(in)
	if err == nil {
		defer plain.Close()
		err = content(ctx, plain, r)
	}
	if isDamage(err) {
		r.problem("%v", err)
		return nil
	}
	return err
}

// content reads what was sealed to its end.
func content(ctx context.Context, plain io.Reader, r *Report) error {
	in := bufio.NewReaderSize(plain, HeadSize)
	head, _ := in.Peek(HeadSize) // what is there; damage shows below
	if (entriesFile{}).Match(head, 0) {
		var listed Report
		err := entries(in, &listed)
		r.Details["holds"] = fmt.Sprintf("%v artifacts, %v parts, %v bytes", listed.Details["artifacts"], listed.Details["parts"], listed.Details["bytes"])
		r.Problems = append(r.Problems, listed.Problems...)
		return damage(err, r)
	}
	n, err := io.Copy(io.Discard, readerOf(ctx, in))
	r.Details["bytes"] = n
	return damage(err, r)
}

// damage turns an error that is about what was read into a problem.
func damage(err error, r *Report) error {
	if isDamage(err) {
		r.problem("%v", err)
		return nil
	}
	return err
}

// readerOf stops reading when ctx ends.
func readerOf(ctx context.Context, r io.Reader) io.Reader {
	return readerFunc(func(p []byte) (int, error) {
		if err := context.Cause(ctx); err != nil {
			return 0, err
		}
		return r.Read(p)
	})
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
