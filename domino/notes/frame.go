package notes

import (
	"cmp"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// protocol is the version that both sides name first. They must agree: parent and child are built from one release.
const protocol = 1

// A frame is a mark, the lengths of head and body as 32-bit big-endian numbers, the head in JSON, and the body as it is.
const (
	mark     = "QN1\n"
	maxHead  = 16 << 20
	maxBody  = 16 << 20
	lenFrame = len(mark) + 8
)

// kind is what a frame is.
type kind string

const (
	kindHello  kind = "hello"  // child: ready, or why not
	kindThread kind = "thread" // parent: begin a thread
	kindCall   kind = "call"   // parent: call a function in it
	kindAnswer kind = "answer" // child: to one of these
	kindPut    kind = "put"    // child: an extent is wanted, before the answer to NSFRecoverDatabases
	kindPlaced kind = "placed" // parent: it is there, or is not
)

// head says what a frame is and to what it belongs. ID is the number of the call, counted by the parent.
type head struct {
	Kind     kind     `json:"kind"`
	Protocol int      `json:"protocol,omitempty"`
	ID       uint64   `json:"id,omitempty"`
	Thread   uint64   `json:"thread,omitempty"`
	Call     string   `json:"call,omitempty"`
	In       *input   `json:"in,omitempty"`
	Out      *output  `json:"out,omitempty"`
	Failure  *failure `json:"failure,omitempty"`
}

// input is what a function is given; each uses what it needs.
type input struct {
	Path    string        `json:"path,omitempty"`
	Paths   []string      `json:"paths,omitempty"`
	Handle  uint64        `json:"handle,omitempty"`
	Context uint64        `json:"context,omitempty"`
	Size    int64         `json:"size,omitempty"`
	Abort   bool          `json:"abort,omitempty"`
	LogID   UNID          `json:"log_id,omitzero"`
	Number  uint32        `json:"number,omitempty"`
	Wait    time.Duration `json:"wait,omitempty"`
	Flags   uint32        `json:"flags,omitempty"`
	Until   time.Time     `json:"until,omitzero"`
	Put     bool          `json:"put,omitempty"` // extents can be asked for
}

// output is what a function returned, also beside a failure.
type output struct {
	Handle  uint64     `json:"handle,omitempty"`
	Context uint64     `json:"context,omitempty"`
	Size    int64      `json:"size,omitempty"`
	Text    string     `json:"text,omitempty"`
	Yes     bool       `json:"yes,omitempty"`
	Info    *LogInfo   `json:"info,omitempty"`
	Style   uint16     `json:"style,omitempty"`
	Extent  Extent     `json:"extent,omitzero"`
	Result  *Recovered `json:"result,omitempty"`
}

// failure is an error on its way: a status with Domino's words, or any other in its own.
type failure struct {
	Call   string `json:"call,omitempty"`
	Status Status `json:"status,omitempty"`
	Detail string `json:"detail,omitempty"`
	Text   string `json:"text,omitempty"`
	Hint   string `json:"hint,omitempty"`
}

// toFailure makes err ready to travel; nil stays nil.
func toFailure(err error) *failure {
	if err == nil {
		return nil
	}
	f := &failure{Text: err.Error()}
	var call *CallError
	if errors.As(err, &call) {
		f.Call, f.Status, f.Detail = call.Call, call.Status, call.Detail
	} else {
		_ = errors.As(err, &f.Status)
	}
	var h interface{ Hint() string }
	if errors.As(err, &h) {
		f.Hint = h.Hint()
	}
	return f
}

// toError is the failure of call as its caller sees it; "" leaves the call that the other side named.
func (f *failure) toError(call string) error {
	switch {
	case f == nil:
		return nil
	case f.Status != 0:
		return &CallError{Call: cmp.Or(call, f.Call), Status: f.Status, Detail: f.Detail}
	case call == "":
		return &remoteError{text: f.Text, hint: f.Hint}
	}
	return &remoteError{call: call, text: f.Text, hint: f.Hint}
}

// remoteError is an error without a status from the other side.
type remoteError struct{ call, text, hint string }

func (e *remoteError) Error() string {
	if e.call == "" {
		return e.text
	}
	return e.call + ": " + e.text
}

// Hint says what can be done, when the other side knew.
func (e *remoteError) Hint() string { return e.hint }

// frame is one as it was read.
type frame struct {
	head
	body []byte
}

// errFrame: what was read is no frame. Anything else that keeps a frame from being read is an error of the connection.
var errFrame = errors.New("not the protocol")

// encode is the frame as bytes, without its body.
func (f *frame) encode() ([]byte, error) {
	h, err := json.Marshal(&f.head)
	if err != nil {
		return nil, err
	}
	if len(h) > maxHead || len(f.body) > maxBody {
		return nil, fmt.Errorf("%s %s: message of %d and %d bytes, want at most %d and %d", f.Kind, f.Call, len(h), len(f.body), maxHead, maxBody)
	}
	b := make([]byte, 0, lenFrame+len(h))
	b = append(b, mark...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(h)))
	b = binary.BigEndian.AppendUint32(b, uint32(len(f.body)))
	return append(b, h...), nil
}

func writeFrame(w io.Writer, f *frame) error {
	b, err := f.encode()
	if err != nil {
		return err
	}
	if _, err := w.Write(b); err != nil {
		return err
	}
	if len(f.body) == 0 {
		return nil
	}
	_, err = w.Write(f.body)
	return err
}

// readFrame returns io.EOF where a frame could have begun, and errFrame with what was found in place of one.
func readFrame(r io.Reader) (*frame, error) {
	var b [lenFrame]byte
	n, err := io.ReadFull(r, b[:])
	if found := b[:min(n, len(mark))]; string(found) != mark[:len(found)] {
		return nil, fmt.Errorf("%w: %q", errFrame, b[:n])
	}
	if err != nil {
		return nil, err
	}
	lenHead, lenBody := binary.BigEndian.Uint32(b[len(mark):]), binary.BigEndian.Uint32(b[len(mark)+4:])
	if lenHead > maxHead || lenBody > maxBody {
		return nil, fmt.Errorf("%w: a message of %d and %d bytes", errFrame, lenHead, lenBody)
	}
	both := make([]byte, int(lenHead)+int(lenBody))
	if _, err := io.ReadFull(r, both); err != nil {
		return nil, noEOF(err)
	}
	f := &frame{body: both[lenHead:]}
	if err := json.Unmarshal(both[:lenHead], &f.head); err != nil {
		return nil, fmt.Errorf("%w: %w", errFrame, err)
	}
	return f, nil
}

// noEOF makes an end within a frame what it is.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
