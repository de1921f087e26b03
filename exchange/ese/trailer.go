package ese

// Trailer is the page that the streaming API appends to a database when its copy ends. It names the logs that the copy needs.
type Trailer struct {
	// Full is the backup; First and Last in it are the logs.
	Full BackupMark
	// Signature and LogSignature are those of the header.
	Signature, LogSignature Signature
}

// parseTrailer reads a page that is not a good one of the database. It reports whether it is a trailer with the right checksum (4.2).
func parseTrailer(b []byte) (Trailer, bool) {
	f := fields(b)
	if f.u32(4) != 0 || f.u32(8) != 0 || f.u32(12) != 0 || f.u32(24) != 0 || f.u32(0) != xor32(b) {
		return Trailer{}, false
	}
	return Trailer{Full: f.mark(40), Signature: f.signature(64), LogSignature: f.signature(92)}, true
}

// trailer judges the end of a copy by the streaming API.
func (w *walk) trailer() {
	full := w.d.FullCurrent
	if w.last != nil && full.IsZero() {
		w.release() // the header is not of such a copy
	}
	if w.last == nil {
		if full.First != 0 && full.Last == 0 && !w.d.Streaming {
			w.bad.file(w.d.SizeBytes, "the file ends here, without the page that ends the copy of a full backup: the copy was not finished")
		}
		return
	}
	t, at := w.last.trailer, w.last.damage.Offset
	w.d.Trailer = &t
	switch {
	case t.Signature != w.d.Signature:
		w.bad.file(at, "the page that ends the copy is of the database %s, not of %s", t.Signature, w.d.Signature)
	case t.LogSignature != w.d.LogSignature:
		w.bad.file(at, "the page that ends the copy is of the logs %s, not of %s", t.LogSignature, w.d.LogSignature)
	case t.Full.At != full.At || t.Full.Time != full.Time:
		w.bad.file(at, "the page that ends the copy is of the backup %s of %s, not of %s of %s", t.Full.At, t.Full.Time, full.At, full.Time)
	}
}
