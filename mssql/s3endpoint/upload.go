package s3endpoint

import (
	"cmp"
	"context"
	"crypto/md5"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/quiesce-go/quiesce/backup"
)

// ErrClosed is why an Upload failed that was closed, or whose Endpoint was, before it was complete.
var ErrClosed = errors.New("closed before it was complete")

// errClientAborted is why an Upload failed that the client gave up.
var errClientAborted = errors.New("the client aborted the upload")

// Upload is an object that is expected to be written, once, under its key.
//
// Its writer is called by one goroutine, with whole parts in the order of their numbers, each checked against what was signed.
type Upload struct {
	// URL is what to name in BACKUP ... TO URL.
	URL string

	key      string
	w        io.Writer
	commit   func() error
	window   int64
	patience time.Duration
	detach   func() // from the endpoint and the context
	done     chan struct{}

	mu         sync.Mutex
	changed    chan struct{}    // closed and replaced when anything below changes
	id         string           // of the multipart upload; empty before one began
	whole      bool             // it came as one object, not in parts
	parts      map[int]part     // those received whole
	waiting    map[int][]byte   // those of them not yet written
	arriving   map[int]*arrival // those being received
	held       int64            // bytes in memory
	turn       int              // the part to be written next
	written    int64            // bytes
	last       int              // the number of parts, once the client said it
	committing bool
	finished   bool
	err        error
	finishedAt time.Time
	now        func() time.Time
}

type part struct {
	sum  [md5.Size]byte
	size int64
}

func (p part) tag() string { return hex.EncodeToString(p.sum[:]) }

// arrival is a part on its way, or an object that comes whole.
type arrival struct {
	number    int
	size      int64     // as the client says, in bytes
	body      io.Reader // its content; see payload
	md5       string    // of the content, in base64, when the client says it
	interrupt func()    // ends a Read of body
}

// Done is closed when the upload is committed or has failed, and neither the writer nor commit is in use any more.
func (u *Upload) Done() <-chan struct{} { return u.done }

// Wait waits until the upload is Done and returns nil when it was committed, else why it failed. It returns the context's cause when
// that is done first, which changes nothing about the upload.
func (u *Upload) Wait(ctx context.Context) error {
	select {
	case <-u.done:
		return u.Err()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Err returns why the upload failed; nil when it did not, or not yet.
func (u *Upload) Err() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.err == nil {
		return nil
	}
	return &backup.Error{Op: "receive", App: application, Artifact: u.key, Err: u.err}
}

// Bytes returns how many bytes the writer has taken.
func (u *Upload) Bytes() int64 {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.written
}

// Close frees the key. An upload that is not being committed fails with ErrClosed; SQL Server does not abort the uploads of a failed BACKUP,
// so this is what drops them. Close returns when the writer and commit are not in use any more: a writer that may block for long must
// be told to give up first.
func (u *Upload) Close() {
	u.fail(ErrClosed)
	<-u.done
	u.detach()
}

// fail ends the upload unless it is being committed or has ended.
func (u *Upload) fail(err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.committing || u.finished || u.err != nil {
		return
	}
	u.err = err
	u.waiting = nil
	for _, a := range u.arriving {
		a.interrupt()
	}
	u.broadcast()
}

// broadcast wakes everybody who waits for a change. u.mu is held.
func (u *Upload) broadcast() {
	close(u.changed)
	u.changed = make(chan struct{})
}

// run writes the parts in order, then commits. It ends with the upload.
func (u *Upload) run() {
	defer close(u.done)
	for {
		data, err := u.next()
		switch {
		case err != nil:
			u.finish(err)
			return
		case data == nil:
			u.finish(u.commit())
			return
		}
		if n, err := u.w.Write(data); err != nil || n < len(data) {
			u.fail(fmt.Errorf("write part: %w", cmp.Or(err, io.ErrShortWrite)))
		}
		u.wrote(int64(len(data)))
	}
}

// next waits for the part whose turn it is. It returns nil for data when all are written and it is time to commit.
func (u *Upload) next() ([]byte, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for {
		if u.err != nil {
			return nil, u.err
		}
		if data, ok := u.waiting[u.turn]; ok {
			return data, nil
		}
		if u.last > 0 && u.turn > u.last {
			u.committing = true
			return nil, nil
		}
		u.await()
	}
}

// await waits for a change. u.mu is held before and after.
func (u *Upload) await() {
	changed := u.changed
	u.mu.Unlock()
	<-changed
	u.mu.Lock()
}

func (u *Upload) wrote(n int64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.waiting, u.turn)
	u.turn++
	u.held -= n
	u.written += n
	u.broadcast()
}

func (u *Upload) finish(err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.err, u.finished, u.finishedAt, u.waiting = err, true, u.now(), nil
	u.broadcast()
}

// gone is the fault of an upload that failed, or is not the one meant. u.mu is held.
func (u *Upload) gone(id string) error {
	switch {
	case id != u.id:
		return faultf(http.StatusNotFound, "NoSuchUpload", "no such upload of %s", u.key)
	case u.err != nil:
		// Not a status of 5xx: clients repeat those, and this does not pass.
		return faultf(http.StatusConflict, "OperationAborted", "the upload of %s has failed; see the log of the backup agent", u.key)
	}
	return nil
}

// begin starts an upload, in parts or whole, and returns its id. One that brought nothing yet may be started again, and one that came whole be
// repeated: its answer may have been lost.
func (u *Upload) begin(whole bool) (string, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if err := u.gone(u.id); err != nil {
		return "", err
	}
	if whole && u.whole && len(u.parts) > 0 {
		return u.id, nil
	}
	if len(u.parts) > 0 {
		return "", faultf(http.StatusConflict, "OperationAborted", "%s is written once, and was begun already", u.key)
	}
	for _, a := range u.arriving {
		a.interrupt()
	}
	u.id, u.whole = rand.Text(), whole
	u.broadcast()
	return u.id, nil
}

// receive takes a part and returns its entity tag.
func (u *Upload) receive(ctx context.Context, id string, a *arrival) (string, error) {
	known, err := u.enter(ctx, id, a)
	if err != nil {
		return "", err
	}
	if known != nil { // sent again, as when the answer was lost: compared, not kept
		again, err := sumOf(a.body, a.size)
		if err == nil && again != *known {
			err = faultf(http.StatusConflict, "OperationAborted", "part %d of %s was received before with other content, and may be written already", a.number, u.key)
		}
		return known.tag(), err
	}
	data := make([]byte, a.size)
	p := part{size: a.size}
	if err = fill(a.body, data); err == nil {
		p.sum = md5.Sum(data)
		if a.md5 != "" && a.md5 != base64.StdEncoding.EncodeToString(p.sum[:]) {
			err = faultf(http.StatusBadRequest, "BadDigest", "the content is not that which Content-MD5 announced")
		}
	}
	return p.tag(), u.store(id, a, p, data, err)
}

// enter waits until a part may come into memory. It returns what is known of the part when it was received before.
func (u *Upload) enter(ctx context.Context, id string, a *arrival) (*part, error) {
	n := a.number
	patience := time.NewTimer(u.patience)
	defer patience.Stop()
	u.mu.Lock()
	defer u.mu.Unlock()
	for {
		if err := u.gone(id); err != nil {
			return nil, err
		}
		if p, ok := u.parts[n]; ok {
			return &p, nil
		}
		if u.last > 0 {
			return nil, faultf(http.StatusConflict, "OperationAborted", "%s is being completed", u.key)
		}
		if older := u.arriving[n]; older != nil {
			older.interrupt() // the client sends it again because it has given up on that one
		} else if n == u.turn || u.held+a.size <= u.window {
			u.arriving[n] = a
			u.held += a.size
			return nil, nil
		}
		changed, turn := u.changed, u.turn
		u.mu.Unlock()
		var err error
		select {
		case <-changed:
		case <-ctx.Done():
			err = incomplete(context.Cause(ctx))
		case <-patience.C:
			err = faultf(http.StatusServiceUnavailable, "SlowDown", "part %d has no room before part %d is written; send it again later", n, turn)
		}
		u.mu.Lock()
		if err != nil {
			return nil, err
		}
	}
}

// store hands a part that was received to the writer, or gives its room back when err says why it was not.
func (u *Upload) store(id string, a *arrival, p part, data []byte, err error) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.arriving, a.number)
	if err == nil {
		err = u.gone(id)
	}
	if err != nil {
		u.held -= a.size
	} else {
		u.parts[a.number], u.waiting[a.number] = p, data
	}
	u.broadcast()
	return err
}

// receiveWhole takes an object that is sent in one request, and waits for its commit. It returns its entity tag.
func (u *Upload) receiveWhole(ctx context.Context, a *arrival) (string, error) {
	id, err := u.begin(true)
	if err != nil {
		return "", err
	}
	tag, err := u.receive(ctx, id, a)
	if err != nil {
		return "", err
	}
	return u.complete(ctx, id, []listedPart{{PartNumber: 1, ETag: tag}})
}

// complete ends the upload with the parts the client lists and waits for its commit. It returns the object's entity tag.
func (u *Upload) complete(ctx context.Context, id string, list []listedPart) (string, error) {
	if err := u.close(id, list); err != nil {
		return "", err
	}
	select {
	case <-u.done:
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.tag(), u.gone(id)
}

// close checks the client's list of parts and lets no more come. Asked again it does nothing.
func (u *Upload) close(id string, list []listedPart) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if err := u.gone(id); err != nil {
		return err
	}
	for i, l := range list {
		p, ok := u.parts[i+1]
		switch {
		case i > 0 && l.PartNumber <= list[i-1].PartNumber:
			return faultf(http.StatusBadRequest, "InvalidPartOrder", "part %d comes after part %d", l.PartNumber, list[i-1].PartNumber)
		case l.PartNumber != i+1:
			return faultf(http.StatusBadRequest, "InvalidPart", "part %d is not listed; numbers go from 1 without a gap here", i+1)
		case !ok || strings.Trim(l.ETag, `"`) != p.tag():
			return faultf(http.StatusBadRequest, "InvalidPart", "part %d was not received, or not with the ETag %s", l.PartNumber, l.ETag)
		}
	}
	if len(list) == 0 || len(list) != len(u.parts) || len(u.arriving) > 0 {
		return faultf(http.StatusBadRequest, "InvalidPart", "%d parts are listed, %d were received and %d are being received; all must be listed, at least one",
			len(list), len(u.parts), len(u.arriving))
	}
	u.last = len(list)
	u.broadcast()
	return nil
}

// abort drops the upload for the client.
func (u *Upload) abort(id string) error {
	u.mu.Lock()
	err := u.gone(id)
	if err == nil && (u.committing || u.finished) {
		err = faultf(http.StatusNotFound, "NoSuchUpload", "the upload of %s is complete", u.key)
	}
	u.mu.Unlock()
	if err == nil {
		u.fail(errClientAborted)
	}
	return err
}

// listed is the object as S3 would show it, once it is committed.
func (u *Upload) listed() (listedObject, bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	return listedObject{Key: u.key, LastModified: stamp(u.finishedAt), ETag: `"` + u.tag() + `"`, Size: u.written, StorageClass: "STANDARD"}, u.finished && u.err == nil
}

// received lists the parts after number marker.
func (u *Upload) received(id string, marker int) ([]partAnswer, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if err := u.gone(id); err != nil {
		return nil, err
	}
	var list []partAnswer
	for _, n := range slices.Sorted(maps.Keys(u.parts)) {
		if n > marker {
			list = append(list, partAnswer{PartNumber: n, ETag: `"` + u.parts[n].tag() + `"`, Size: u.parts[n].size})
		}
	}
	return list, nil
}

// tag is the entity tag of the whole, made as S3 makes it. u.mu is held.
func (u *Upload) tag() string {
	if u.whole {
		return u.parts[1].tag()
	}
	h := md5.New()
	for n := 1; n <= len(u.parts); n++ {
		p := u.parts[n]
		h.Write(p.sum[:])
	}
	return fmt.Sprintf("%x-%d", h.Sum(nil), len(u.parts))
}

// fill reads exactly as many bytes as data has and asks the reader whether they are right.
func fill(r io.Reader, data []byte) error {
	if _, err := io.ReadFull(r, data); err != nil {
		return incomplete(err)
	}
	return ended(r)
}

// ended reads on to the end of what must have ended: only there a payload tells whether it was what was signed.
func ended(r io.Reader) error {
	switch n, err := io.ReadFull(r, make([]byte, 1)); {
	case n > 0:
		return faultf(http.StatusBadRequest, "IncompleteBody", "the content is longer than it said")
	case err == io.EOF:
		return nil
	default:
		return incomplete(err)
	}
}

// sumOf reads a part without keeping it.
func sumOf(r io.Reader, size int64) (part, error) {
	h := md5.New()
	if n, err := io.CopyN(h, r, size); err != nil {
		return part{}, incomplete(fmt.Errorf("after %d bytes: %w", n, err))
	}
	return part{sum: [md5.Size]byte(h.Sum(nil)), size: size}, ended(r)
}
