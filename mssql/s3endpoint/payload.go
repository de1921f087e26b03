package s3endpoint

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// emptySum is the SHA-256 of nothing.
const emptySum = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

// payload returns a reader of what r carries, without framing, and its size in bytes. The reader ends with io.EOF only when the bytes are
// those that were signed; nothing read from it may be used before.
func payload(r *http.Request, s signature) (io.Reader, int64, error) {
	kind := r.Header.Get("X-Amz-Content-Sha256")
	if framing, ok := strings.CutPrefix(kind, "STREAMING-"); ok {
		size, err := strconv.ParseInt(r.Header.Get("X-Amz-Decoded-Content-Length"), 10, 64)
		if err != nil || size < 0 {
			return nil, 0, faultf(http.StatusLengthRequired, "MissingContentLength", "X-Amz-Decoded-Content-Length does not say how long the content is")
		}
		c := &chunks{r: bufio.NewReader(r.Body), left: size}
		switch framing {
		case "UNSIGNED-PAYLOAD-TRAILER":
			c.trailer = true
		case "AWS4-HMAC-SHA256-PAYLOAD":
			c.signed, c.signature = true, s
		case "AWS4-HMAC-SHA256-PAYLOAD-TRAILER":
			c.signed, c.trailer, c.signature = true, true, s
		default:
			return nil, 0, faultf(http.StatusNotImplemented, "NotImplemented", "X-Amz-Content-Sha256 %s is not known", kind)
		}
		return c, size, nil
	}
	if r.ContentLength < 0 {
		return nil, 0, faultf(http.StatusLengthRequired, "MissingContentLength", "Content-Length does not say how long the content is")
	}
	switch sum, err := hex.DecodeString(kind); {
	case kind == "UNSIGNED-PAYLOAD":
		return r.Body, r.ContentLength, nil
	case err == nil && len(sum) == sha256.Size:
		return &summed{r: r.Body, hash: sha256.New(), want: strings.ToLower(kind)}, r.ContentLength, nil
	default:
		return nil, 0, faultf(http.StatusBadRequest, "InvalidRequest", "X-Amz-Content-Sha256 %q is neither a SHA-256 nor a name that is known", kind)
	}
}

// summed reads what must have a certain SHA-256.
type summed struct {
	r    io.Reader
	hash hash.Hash
	want string
}

func (s *summed) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	s.hash.Write(p[:n])
	if err == io.EOF && hex.EncodeToString(s.hash.Sum(nil)) != s.want {
		err = faultf(http.StatusBadRequest, "XAmzContentSHA256Mismatch", "the content is not that which X-Amz-Content-Sha256 announced")
	}
	return n, err
}

// maxLine bounds a line of framing; a chunk's header with its signature has about 100 bytes.
const maxLine = 1024

// chunks reads content that is framed as aws-chunked: chunks with a header line each, an empty one last, then lines of trailer.
// Trailing checksums are not compared: TLS guards the way, and the backup itself carries checksums.
type chunks struct {
	r         *bufio.Reader
	left      int64 // of the content
	chunk     int64 // of the chunk
	signed    bool
	trailer   bool
	signature signature // that of the chunk before is its seed
	sum       hash.Hash // of the chunk; nil before the first
	claimed   string    // the chunk's signature as sent
	ended     error
}

func (c *chunks) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for c.chunk == 0 && c.ended == nil {
		c.ended = c.next()
	}
	if c.ended != nil {
		return 0, c.ended
	}
	n, err := c.r.Read(p[:min(int64(len(p)), c.chunk)])
	c.chunk -= int64(n)
	c.left -= int64(n)
	if c.signed {
		c.sum.Write(p[:n])
	}
	if err != nil {
		c.ended = incomplete(err)
	}
	return n, c.ended
}

// next ends a chunk and begins the one after it. It returns io.EOF after the last.
func (c *chunks) next() error {
	if c.sum != nil {
		if line, err := c.line(); err != nil || line != "" {
			return malformed(err, "a chunk is longer than it said")
		}
		if err := c.verify(); err != nil {
			return err
		}
	}
	c.sum = sha256.New()
	line, err := c.line()
	if err != nil {
		return incomplete(err)
	}
	size, extension, _ := strings.Cut(line, ";")
	c.claimed = strings.TrimPrefix(strings.TrimSpace(extension), "chunk-signature=")
	if c.chunk, err = strconv.ParseInt(strings.TrimSpace(size), 16, 64); err != nil || c.chunk < 0 || c.chunk > c.left {
		c.chunk = 0
		return malformed(err, "a chunk's size is no number, or more than X-Amz-Decoded-Content-Length leaves")
	}
	if c.chunk > 0 {
		return nil
	}
	if c.left > 0 {
		return incomplete(io.ErrUnexpectedEOF)
	}
	if err := c.verify(); err != nil {
		return err
	}
	return c.trailers()
}

// verify compares a chunk's signature with what was read.
func (c *chunks) verify() error {
	if !c.signed {
		return nil
	}
	want := c.signature.sign(algorithm+"-PAYLOAD", c.signature.seed, emptySum, hex.EncodeToString(c.sum.Sum(nil)))
	if !equal(want, c.claimed) {
		return faultf(http.StatusForbidden, "SignatureDoesNotMatch", "the signature of a chunk is not that of the secret key")
	}
	c.signature.seed = want
	return nil
}

// trailers reads the lines after the last chunk up to an empty one, and compares their signature.
func (c *chunks) trailers() error {
	var text strings.Builder
	claimed := ""
	for text.Len() < maxLine {
		line, err := c.line()
		if line == "" && (err == nil || err == io.EOF) {
			break // some clients leave out the empty line at the very end
		}
		if err != nil {
			return incomplete(err)
		}
		name, value, _ := strings.Cut(line, ":")
		if name = strings.ToLower(strings.TrimSpace(name)); name == "x-amz-trailer-signature" {
			claimed = strings.TrimSpace(value)
			continue
		}
		text.WriteString(name + ":" + strings.TrimSpace(value) + "\n")
	}
	if c.signed && c.trailer && !equal(c.signature.sign(algorithm+"-TRAILER", c.signature.seed, sumText(text.String())), claimed) {
		return faultf(http.StatusForbidden, "SignatureDoesNotMatch", "the signature of the trailer is not that of the secret key")
	}
	return io.EOF
}

// line reads a line without its end.
func (c *chunks) line() (string, error) {
	line, err := c.r.ReadSlice('\n')
	if len(line) > maxLine || errors.Is(err, bufio.ErrBufferFull) {
		return "", faultf(http.StatusBadRequest, "InvalidRequest", "a line of the framing is longer than %d bytes", maxLine)
	}
	return strings.TrimRight(string(line), "\r\n"), err
}

func malformed(err error, why string) error {
	if err != nil && !errors.Is(err, strconv.ErrSyntax) && !errors.Is(err, strconv.ErrRange) {
		return incomplete(err)
	}
	return faultf(http.StatusBadRequest, "InvalidRequest", "the framing of the content is broken: %s", why)
}

// incomplete is the fault of content that ended early. Faults stay what they are.
func incomplete(err error) error {
	if f := (*fault)(nil); errors.As(err, &f) {
		return err
	}
	return faultf(http.StatusBadRequest, "IncompleteBody", "the content ended early: %v", err)
}
