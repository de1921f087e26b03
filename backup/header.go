package backup

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
)

// encodeManifest writes a header as it is stored and sets m.Self.
func encodeManifest(m *Manifest) ([]byte, error) {
	m.Self = Digest{}
	data, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode manifest: %w", err)
	}
	data = append(data, '\n')
	sum, at, err := selfDigest(data)
	if err != nil {
		return nil, fmt.Errorf("encode manifest: %w", err)
	}
	m.Self = sum
	copy(data[at:], sum.String())
	return data, nil
}

// selfField begins the line of a header with its own digest. Two spaces are the indentation of the outermost level, so that nothing an
// agent puts into a checkpoint is taken for it.
const selfField = "\n  \"self\": \""

// selfDigest hashes a header with the digits of its own digest as zeros, and tells where these stand.
func selfDigest(data []byte) (sum Digest, at int, err error) {
	i := bytes.Index(data, []byte(selfField))
	at = i + len(selfField)
	end := at + 2*len(sum)
	if i < 0 || end > len(data) {
		return sum, 0, errors.New("header does not hold its own sha256")
	}
	h := sha256.New()
	h.Write(data[:at])
	h.Write(bytes.Repeat([]byte("0"), 2*len(sum)))
	h.Write(data[end:])
	return Digest(h.Sum(nil)), at, nil
}

func decodeManifest(data []byte, id ID, job string) (*Manifest, error) {
	var m Manifest
	if err := json.Unmarshal(data, &m); err != nil {
		return nil, fmt.Errorf("manifest %s: %w: %w", id, ErrCorrupt, err)
	}
	sum, at, err := selfDigest(data)
	if err == nil && string(data[at:at+2*len(sum)]) != sum.String() {
		err = fmt.Errorf("has sha256 %s, says %s", sum, m.Self)
	}
	switch {
	case m.Format > FormatVersion:
		return nil, fmt.Errorf("manifest %s: %w: format %d is newer than this program, which reads up to %d", id, ErrCorrupt, m.Format, FormatVersion)
	case err != nil:
		return nil, fmt.Errorf("manifest %s: %w: %w", id, ErrCorrupt, err)
	case m.Format < 1 || m.ID != id || m.Job != job:
		return nil, fmt.Errorf("manifest %s: %w: it names itself %q of job %q, format %d", id, ErrCorrupt, m.ID, m.Job, m.Format)
	}
	if m.Abandoned != "" {
		return &m, nil
	}
	for _, it := range m.Items {
		if err := it.validate(); err != nil {
			return nil, fmt.Errorf("manifest %s: %w: %w", id, ErrCorrupt, err)
		}
	}
	return &m, nil
}
