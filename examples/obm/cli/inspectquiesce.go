package cli

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/oracle/blockfile"
	"github.com/quiesce-go/quiesce/sink"
)

// inspectors are the program's own, then those for what lies at a target, which doc/format.md describes, then those of the applications linked here.
func (in *invocation) inspectors(identityFile string) ([]Inspector, error) {
	var keys sink.Keys
	if identityFile != "" {
		var err error
		if keys, err = sink.ReadIdentities(identityFile); err != nil {
			return nil, usage(err)
		}
	}
	found := &eseFiles{}
	own := []Inspector{manifestFile{}, markFile{}, leaseFile{}, sumsFile{}, entriesFile{}, sealedFile{keys}, mysqlIndex{}, mysqlScript{}, mysqlChunk{}, &mssqlMedia{},
		oracleFile{blockfile.Data}, oracleFile{blockfile.Redo}, oracleFile{blockfile.Control}, oracleInventory{}, oraclePasswords{}, notesDatabase{}, notesExtent{},
		eseDatabase{found}, eseLog{found}, eseCheckpoint{found}, eseReserve{}}
	own = append(own, oracleTexts()...)
	return append(append([]Inspector{}, in.Inspectors...), own...), nil
}

// maxDocument bounds files read whole.
const maxDocument = 64 << 20

// document reads a JSON file into v. Where it cannot, the reason is a problem.
func document(f io.Reader, r *Report, v any) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(f, maxDocument+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxDocument {
		r.problem("is larger than %s", size(maxDocument))
		return nil, nil
	}
	if err := json.Unmarshal(data, v); err != nil {
		r.problem("is not whole: %v", err)
		return nil, nil
	}
	return data, nil
}

// begins reports whether head, past white space, is the start of a JSON object that has all these members near its beginning.
func begins(head []byte, members ...string) bool {
	head = bytes.TrimLeft(head, " \t\r\n")
	if len(head) == 0 || head[0] != '{' {
		return false
	}
	for _, m := range members {
		if !bytes.Contains(head, []byte(`"`+m+`":`)) {
			return false
		}
	}
	return true
}

// manifestFile is <job>/manifests/<id>.json.
type manifestFile struct{}

func (manifestFile) Type() string { return "Quiesce manifest" }

func (manifestFile) Match(head []byte, _ int64) bool {
	return begins(head, "format", "id", "job") && bytes.Contains(head, []byte(`"started":`))
}

var selfLine = regexp.MustCompile(`(?m)^  "self": "([0-9a-f]{64})"`)

func (manifestFile) Inspect(_ context.Context, f *os.File) (Report, error) {
	var r Report
	var m backup.Manifest
	data, err := document(f, &r, &m)
	if data == nil || err != nil {
		return r, err
	}
	if at := selfLine.FindSubmatchIndex(data); at == nil {
		r.problem("does not hold its own sha256")
	} else {
		says := string(data[at[2]:at[3]])
		zeroed := bytes.Clone(data)
		copy(zeroed[at[2]:at[3]], strings.Repeat("0", 64))
		if got := fmt.Sprintf("%x", sha256.Sum256(zeroed)); got != says {
			r.problem("has sha256 %s, says %s: it was changed after it was written", got, says)
		}
	}
	if m.Format < 1 || m.Format > backup.FormatVersion {
		r.problem("format %d is not one this program reads (1 to %d)", m.Format, backup.FormatVersion)
	}
	if !m.ID.Valid() {
		r.problem("%q is not the id of a backup", m.ID)
	}
	if want := string(m.ID) + ".json"; filepath.Base(f.Name()) != want {
		r.problem("names itself %s", want)
	}
	if err := backup.ValidJob(m.Job); err != nil {
		r.problem("%v", err)
	}
	r.Details = map[string]any{"id": m.ID, "job": m.Job}
	if m.Abandoned != "" {
		r.Details["abandoned"] = m.Abandoned
		return r, nil
	}
	var parts, artifacts, names = 0, 0, []string{}
	for _, it := range m.Items {
		parts, artifacts = parts+it.Parts, artifacts+it.Artifacts
		name := fmt.Sprintf("%s (%s)", it.Name, it.Kind)
		if it.Failed() {
			name = it.Name + " (failed)"
		}
		names = append(names, name)
		if it.Window.To.Before(it.Window.From) {
			r.problem("item %q: its window ends before it begins", it.Name)
		}
	}
	if parts != m.Parts || artifacts != m.Artifacts {
		r.problem("counts %d artifacts in %d parts, its items %d in %d", m.Artifacts, m.Parts, artifacts, parts)
	}
	for k, v := range map[string]any{"application": m.Application, "instance": m.Instance, "kind": m.Kind, "items": names, "started": m.Started,
		"finished": m.Finished, "artifacts": m.Artifacts, "parts": m.Parts, "bytes": m.Bytes, "stored_bytes": m.StoredBytes, "proof": m.Proof, "suffix": m.Suffix} {
		r.Details[k] = v
	}
	return r, nil
}

// markFile is a proof, the note of damage, or a hold.
type markFile struct{}

func (markFile) Type() string { return "Quiesce mark" }

func (markFile) Match(head []byte, size int64) bool {
	if size > HeadSize || !begins(head, "id", "at") || bytes.Contains(head, []byte(`"job":`)) {
		return false
	}
	var m struct {
		ID string `json:"id"`
	}
	return json.Unmarshal(head, &m) != nil || m.ID != "" // others have an id deeper down
}

func (markFile) Inspect(_ context.Context, f *os.File) (Report, error) {
	var r Report
	var m struct {
		ID     backup.ID `json:"id"`
		Reason string    `json:"reason"`
	}
	data, err := document(f, &r, &m)
	if data == nil || err != nil {
		return r, err
	}
	if !m.ID.Valid() {
		r.problem("%q is not the id of a backup", m.ID)
	}
	r.Details = map[string]any{"id": m.ID, "reason": m.Reason, "what": strings.TrimSuffix(filepath.Base(f.Name()), ".json")}
	return r, nil
}

// leaseFile is <job>/lease/<fence>.json.
type leaseFile struct{}

func (leaseFile) Type() string { return "Quiesce lease" }

func (leaseFile) Match(head []byte, size int64) bool {
	return size <= HeadSize && begins(head, "fence", "token", "holder")
}

func (leaseFile) Inspect(_ context.Context, f *os.File) (Report, error) {
	var r Report
	var m struct {
		Fence    uint64      `json:"fence"`
		Holder   string      `json:"holder"`
		Released bool        `json:"released"`
		Runs     []backup.ID `json:"runs"`
	}
	data, err := document(f, &r, &m)
	if data == nil || err != nil {
		return r, err
	}
	r.Details = map[string]any{"fence": m.Fence, "holder": m.Holder, "released": m.Released, "runs": append([]backup.ID{}, m.Runs...)}
	return r, nil
}

// sumsFile is <job>/runs/<id>/parts.sha256. The objects it lists are read where they lie beside it.
type sumsFile struct{}

func (sumsFile) Type() string { return "Quiesce digests of parts" }

var sumLine = regexp.MustCompile(`^([0-9a-f]{64})  (\S+)$`)

func (sumsFile) Match(head []byte, _ int64) bool {
	line, _, whole := bytes.Cut(head, []byte("\n"))
	return whole && sumLine.Match(line)
}

func (sumsFile) Inspect(ctx context.Context, f *os.File) (Report, error) {
	var r Report
	dir, listed, checked, absent := filepath.Dir(f.Name()), 0, 0, 0
	sc := bufio.NewScanner(f)
	for sc.Scan() {
		if err := context.Cause(ctx); err != nil {
			return r, err
		}
		listed++
		m := sumLine.FindStringSubmatch(sc.Text())
		if m == nil || !filepath.IsLocal(filepath.FromSlash(m[2])) {
			r.problem("line %d is not a digest and a key", listed)
			continue
		}
		got, err := digest(filepath.Join(dir, filepath.FromSlash(m[2])))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			absent++
		case err != nil:
			return r, err
		case got != m[1]:
			r.problem("%s has sha256 %s, want %s", m[2], got, m[1])
		default:
			checked++
		}
	}
	if errors.Is(sc.Err(), bufio.ErrTooLong) {
		r.problem("line %d is too long", listed+1)
	} else if sc.Err() != nil {
		return r, sc.Err()
	}
	if absent > 0 && absent < listed { // a listing looked at alone is not missing its parts
		r.problem("%d of %d parts are not beside it", absent, listed)
	}
	r.Details = map[string]any{"parts": listed, "checked": checked}
	return r, nil
}

func digest(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return fmt.Sprintf("%x", h.Sum(nil)), nil
}

// entriesFile is <job>/runs/<id>/entries.jsonl, as it is without sealing.
type entriesFile struct{}

func (entriesFile) Type() string { return "Quiesce entries" }

func (entriesFile) Match(head []byte, _ int64) bool {
	return begins(head, "name", "item", "sha256", "key", "parts")
}

func (entriesFile) Inspect(_ context.Context, f *os.File) (Report, error) {
	var r Report
	err := entries(f, &r)
	return r, err
}

// entries checks a listing of artifacts.
func entries(f io.Reader, r *Report) error {
	in := &watched{r: f}
	dec := json.NewDecoder(in)
	artifacts, parts, bytes := 0, 0, int64(0)
	for {
		var e backup.Entry
		err := dec.Decode(&e)
		if errors.Is(err, io.EOF) {
			break
		}
		if in.err != nil && !isDamage(in.err) {
			return in.err
		}
		if err != nil {
			r.problem("entry %d is not whole: %v", artifacts+1, err)
			break
		}
		artifacts++
		var sum int64
		for _, p := range e.Parts {
			sum += p.Size
		}
		if sum != e.Size {
			r.problem("%s has %d bytes, its parts %d", e.Name, e.Size, sum)
		}
		parts, bytes = parts+len(e.Parts), bytes+e.Size
	}
	r.Details = map[string]any{"artifacts": artifacts, "parts": parts, "bytes": bytes}
	return nil
}

// watched tells a text that cannot be read from a text that is wrong.
type watched struct {
	r   io.Reader
	err error
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		w.err = err
	}
	return n, err
}
