package s3endpoint

import (
	"cmp"
	"slices"
	"strings"
)

// list answers ListObjects, in the older form and in the newer.
func (x *exchange) list() error {
	limit := min(x.number("max-keys", 1000), 1000)
	a := listAnswer{Name: x.e.cfg.Bucket, Prefix: x.q.Get("prefix"), Delimiter: x.q.Get("delimiter"), MaxKeys: limit,
		Marker: x.q.Get("marker"), StartAfter: x.q.Get("start-after"), ContinuationToken: x.q.Get("continuation-token")}
	after := max(a.Marker, a.StartAfter, a.ContinuationToken)
	last := ""
	for _, o := range x.e.list(a.Prefix) {
		name := o.Key
		rest := strings.TrimPrefix(o.Key, a.Prefix)
		if head, _, found := strings.Cut(rest, a.Delimiter); found && a.Delimiter != "" {
			name = a.Prefix + head + a.Delimiter
		}
		if name <= after || name == last {
			continue
		}
		if a.KeyCount == limit {
			a.IsTruncated = true
			break
		}
		if last = name; name == o.Key {
			a.Contents = append(a.Contents, o)
		} else {
			a.CommonPrefixes = append(a.CommonPrefixes, listedPrefix{Prefix: name})
		}
		a.KeyCount++
	}
	if a.IsTruncated {
		if x.q.Get("list-type") == "2" {
			a.NextContinuationToken = last
		} else {
			a.NextMarker = last
		}
	}
	return x.answer(a)
}

// list returns the objects whose keys begin with prefix, by key.
func (e *Endpoint) list(prefix string) []listedObject {
	e.mu.Lock()
	defer e.mu.Unlock()
	var all []listedObject
	for key, o := range e.objects {
		if strings.HasPrefix(key, prefix) {
			all = append(all, o.listed)
		}
	}
	for key, u := range e.uploads {
		if o, ok := u.listed(); ok && strings.HasPrefix(key, prefix) {
			all = append(all, o)
		}
	}
	slices.SortFunc(all, func(a, b listedObject) int { return cmp.Compare(a.Key, b.Key) })
	return all
}
