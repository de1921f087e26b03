package s3endpoint

import (
	"encoding/xml"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxList bounds the list of parts of CompleteMultipartUpload: 10,000 with a checksum each are about 3 MiB.
const maxList = 8 << 20

// exchange is one request and what answers it.
type exchange struct {
	e    *Endpoint
	w    http.ResponseWriter
	r    *http.Request
	q    url.Values
	body io.Reader // without framing
	size int64
	key  string
	id   string
}

// ServeHTTP implements http.Handler.
func (e *Endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	if e.closed {
		e.mu.Unlock()
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	e.requests++
	id := fmt.Sprintf("%016X", e.requests)
	e.answers.Add(1)
	e.mu.Unlock()
	defer e.answers.Done()

	x := &exchange{e: e, w: w, r: r, q: r.URL.Query(), id: id}
	w.Header().Set("X-Amz-Request-Id", id)
	if err := x.serve(); err != nil {
		x.refuse(err)
		return
	}
	e.cfg.Log.Debug("S3 request", "request", id, "method", r.Method, "path", r.URL.Path, "query", r.URL.RawQuery)
}

func (x *exchange) serve() error {
	s, err := x.e.cfg.authenticate(x.r)
	if err != nil {
		return err
	}
	if x.body, x.size, err = payload(x.r, s); err != nil {
		return err
	}
	bucket, key, _ := strings.Cut(strings.TrimPrefix(x.r.URL.Path, "/"), "/")
	x.key = key
	switch {
	case bucket == "":
		return x.unknown()
	case bucket != x.e.cfg.Bucket:
		return faultf(http.StatusNotFound, "NoSuchBucket", "no bucket %q", bucket)
	case key == "":
		return x.serveBucket()
	}
	return x.serveKey()
}

func (x *exchange) serveBucket() error {
	switch {
	case x.r.Method == http.MethodHead && x.only():
		x.w.Header().Set("X-Amz-Bucket-Region", x.e.cfg.Region)
		return nil
	case x.r.Method == http.MethodGet && x.q.Has("location") && x.only("location"):
		region := x.e.cfg.Region
		if region == "us-east-1" {
			region = ""
		}
		return x.answer(locationAnswer{Region: region})
	case x.r.Method == http.MethodGet && x.only("list-type", "prefix", "delimiter", "max-keys", "encoding-type", "fetch-owner", "start-after",
		"continuation-token", "marker"):
		return x.list()
	}
	return x.unknown()
}

func (x *exchange) serveKey() error {
	get := x.r.Method == http.MethodGet
	switch {
	case x.r.Header.Get("X-Amz-Copy-Source") != "":
		return x.unknown()
	case x.r.Method == http.MethodPost && x.q.Has("uploads") && x.only("uploads"):
		return x.create()
	case x.r.Method == http.MethodPost && x.q.Has("uploadId") && x.only("uploadId"):
		return x.complete()
	case x.r.Method == http.MethodPut && x.q.Has("uploadId") && x.only("uploadId", "partNumber"):
		return x.putPart()
	case x.r.Method == http.MethodPut && x.only():
		return x.put()
	case x.r.Method == http.MethodDelete && x.q.Has("uploadId") && x.only("uploadId"):
		return x.abort()
	case x.r.Method == http.MethodDelete && x.only():
		return x.delete()
	case get && x.q.Has("uploadId") && x.only("uploadId", "max-parts", "part-number-marker"):
		return x.listParts()
	case (get || x.r.Method == http.MethodHead) && x.only():
		return x.get()
	}
	return x.unknown()
}

// only reports whether the query has no other names than these, and the one that SDKs put there for people.
func (x *exchange) only(names ...string) bool {
	for name := range x.q {
		if name != "x-id" && !slices.Contains(names, name) {
			return false
		}
	}
	return true
}

func (x *exchange) unknown() error {
	return faultf(http.StatusNotImplemented, "NotImplemented", "this endpoint does not offer %s %s", x.r.Method, x.r.URL.RequestURI())
}

// target is the upload that is expected under the key.
func (x *exchange) target() (*Upload, error) {
	if u := x.e.upload(x.key); u != nil {
		if x.q.Has("uploadId") && x.q.Get("uploadId") == "" {
			return nil, faultf(http.StatusNotFound, "NoSuchUpload", "no upload is named")
		}
		return u, nil
	}
	return nil, faultf(http.StatusForbidden, "AccessDenied", "no object is expected under the key %s", x.key)
}

func (x *exchange) create() error {
	u, err := x.target()
	if err != nil {
		return err
	}
	id, err := u.begin(false)
	if err != nil {
		return err
	}
	return x.answer(createAnswer{Bucket: x.e.cfg.Bucket, Key: x.key, UploadID: id})
}

func (x *exchange) putPart() error {
	u, err := x.target()
	if err != nil {
		return err
	}
	n, err := strconv.Atoi(x.q.Get("partNumber"))
	if err != nil || n < 1 || n > MaxParts {
		return faultf(http.StatusBadRequest, "InvalidArgument", "partNumber %q is not a number from 1 to %d", x.q.Get("partNumber"), MaxParts)
	}
	a, err := x.arrival(n)
	if err != nil {
		return err
	}
	tag, err := u.receive(x.r.Context(), x.q.Get("uploadId"), a)
	if err != nil {
		return err
	}
	x.w.Header().Set("ETag", `"`+tag+`"`)
	return nil
}

func (x *exchange) put() error {
	u, err := x.target()
	if err != nil {
		return err
	}
	a, err := x.arrival(1)
	if err != nil {
		return err
	}
	tag, err := u.receiveWhole(x.r.Context(), a)
	if err != nil {
		return err
	}
	x.w.Header().Set("ETag", `"`+tag+`"`)
	return nil
}

// arrival is what the request carries, as part n of an upload.
func (x *exchange) arrival(n int) (*arrival, error) {
	if x.size > x.e.cfg.PartLimit {
		return nil, faultf(http.StatusBadRequest, "EntityTooLarge", "%d bytes at once, at most %d are taken", x.size, x.e.cfg.PartLimit)
	}
	return &arrival{number: n, size: x.size, body: x.body, md5: x.r.Header.Get("Content-Md5"), interrupt: x.interrupt}, nil
}

// interrupt ends a Read of the request's body, now or later.
func (x *exchange) interrupt() {
	_ = http.NewResponseController(x.w).SetReadDeadline(time.Unix(1, 0)) // fails only on a connection that is broken anyway
}

func (x *exchange) complete() error {
	u, err := x.target()
	if err != nil {
		return err
	}
	if x.size > maxList {
		return faultf(http.StatusBadRequest, "EntityTooLarge", "a list of parts with %d bytes", x.size)
	}
	text := make([]byte, x.size)
	if err := fill(x.body, text); err != nil {
		return err
	}
	var list completeRequest
	if err := xml.Unmarshal(text, &list); err != nil {
		return faultf(http.StatusBadRequest, "MalformedXML", "the list of parts: %v", err)
	}
	tag, err := u.complete(x.r.Context(), x.q.Get("uploadId"), list.Parts)
	if err != nil {
		return err
	}
	return x.answer(completeAnswer{Location: "https://" + x.e.host + x.r.URL.Path, Bucket: x.e.cfg.Bucket, Key: x.key, ETag: `"` + tag + `"`})
}

func (x *exchange) abort() error {
	u, err := x.target()
	if err != nil {
		return err
	}
	if err := u.abort(x.q.Get("uploadId")); err != nil {
		return err
	}
	x.w.WriteHeader(http.StatusNoContent)
	return nil
}

// delete succeeds where there is nothing, as in S3. What is there cannot be taken back, neither a backup that is committed nor one that is offered.
func (x *exchange) delete() error {
	if _, ok := x.stored(); ok {
		return faultf(http.StatusForbidden, "AccessDenied", "%s is not the client's to delete", x.key)
	}
	x.w.WriteHeader(http.StatusNoContent)
	return nil
}

func (x *exchange) listParts() error {
	u, err := x.target()
	if err != nil {
		return err
	}
	marker, limit := x.number("part-number-marker", 0), x.number("max-parts", 1000)
	list, err := u.received(x.q.Get("uploadId"), marker)
	if err != nil {
		return err
	}
	a := partsAnswer{Bucket: x.e.cfg.Bucket, Key: x.key, UploadID: x.q.Get("uploadId"), PartNumberMarker: marker, MaxParts: limit}
	if len(list) > limit {
		list, a.IsTruncated = list[:limit], true
	}
	if len(list) > 0 {
		a.NextPartNumberMarker = list[len(list)-1].PartNumber
	}
	a.Parts = list
	return x.answer(a)
}

// number reads a number of the query.
func (x *exchange) number(name string, otherwise int) int {
	if n, err := strconv.Atoi(x.q.Get(name)); err == nil && n >= 0 {
		return n
	}
	return otherwise
}

// stored is the object under the key as far as it is there: offered, or received and committed.
func (x *exchange) stored() (listedObject, bool) {
	if o := x.e.object(x.key); o != nil {
		return o.listed, true
	}
	if u := x.e.upload(x.key); u != nil {
		return u.listed()
	}
	return listedObject{}, false
}

func (x *exchange) get() error {
	stored, ok := x.stored()
	if !ok {
		return faultf(http.StatusNotFound, "NoSuchKey", "no object %s", x.key)
	}
	modified, _ := time.Parse(time.RFC3339, stored.LastModified)
	x.w.Header().Set("ETag", stored.ETag)
	x.w.Header().Set("Content-Type", "application/octet-stream")
	x.w.Header().Set("Accept-Ranges", "bytes")
	o := x.e.object(x.key)
	if o == nil {
		if x.r.Method != http.MethodHead {
			return faultf(http.StatusForbidden, "InvalidObjectState", "%s was received and passed on; it cannot be read here", x.key)
		}
		x.w.Header().Set("Content-Length", strconv.FormatInt(stored.Size, 10))
		x.w.Header().Set("Last-Modified", modified.UTC().Format(http.TimeFormat))
		return nil
	}
	c := &content{o: o}
	defer c.close()
	http.ServeContent(x.w, x.r, "", modified, c)
	if c.err != nil {
		x.e.cfg.Log.Error("S3 object broke off", "request", x.id, "key", x.key, "err", c.err)
	}
	return nil
}

// answer sends an answer in XML.
func (x *exchange) answer(v any) error {
	text, err := xml.Marshal(v)
	if err != nil {
		return err
	}
	x.w.Header().Set("Content-Type", "application/xml")
	_, err = io.WriteString(x.w, xml.Header+string(text))
	return err
}

// refuse sends err.
func (x *exchange) refuse(err error) {
	f := asFault(err)
	level := slog.LevelWarn
	if f.code == "NoSuchKey" && x.r.Method == http.MethodHead {
		level = slog.LevelDebug // how a client finds out that there is nothing in its way
	}
	x.e.cfg.Log.Log(x.r.Context(), level, "S3 request refused", "request", x.id, "method", x.r.Method, "path", x.r.URL.Path, "query", x.r.URL.RawQuery,
		"status", f.status, "code", f.code, "err", err)
	if x.body != nil && x.r.Header.Get("Expect") == "" {
		// The client hears the answer only when it may send its content to the end. What it sent is nobody's any more.
		_, _ = io.Copy(io.Discard, io.LimitReader(x.r.Body, x.e.cfg.PartLimit))
	}
	x.w.Header().Del("ETag")
	x.w.Header().Del("Accept-Ranges")
	x.w.Header().Set("Content-Type", "application/xml")
	x.w.WriteHeader(f.status)
	if x.r.Method == http.MethodHead {
		return
	}
	if text, err := xml.Marshal(errorAnswer{Code: f.code, Message: f.message, Resource: x.r.URL.Path, RequestID: x.id}); err == nil {
		_, _ = io.WriteString(x.w, xml.Header+string(text))
	}
}
