package s3endpoint

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Signature version 4 as Amazon documents it under "Authenticating Requests (AWS Signature Version 4)". The primitives are the standard
// library's; what is written here is only which bytes are signed. Client libraries were no use: they sign what they send themselves, with headers
// they choose, while a server must check those headers that its client chose. (Genuine clients sign User-Agent, which Amazon's own signer leaves out.)

const (
	algorithm = "AWS4-HMAC-SHA256"
	amzTime   = "20060102T150405Z"
	amzDate   = "20060102"
	// maxSkew is how far the clocks of the two sides may differ, as at Amazon.
	maxSkew = 15 * time.Minute
)

// signature is a request's verified signature, from which those of its chunks follow.
type signature struct {
	key   []byte // derived from the secret for this day, region and service
	time  string
	scope string
	seed  string // the signature of the headers, in hex
}

// authenticate checks that the holder of the secret signed r just now.
func (c Config) authenticate(r *http.Request) (signature, error) {
	fields, ok := strings.CutPrefix(r.Header.Get("Authorization"), algorithm+" ")
	if !ok {
		return signature{}, faultf(http.StatusForbidden, "AccessDenied", "the request is not signed in its headers with %s", algorithm)
	}
	values := map[string]string{}
	for field := range strings.SplitSeq(fields, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(field), "=")
		values[name] = value
	}
	credential := strings.Split(values["Credential"], "/")
	signed := strings.Split(values["SignedHeaders"], ";")
	if len(credential) != 5 || credential[3] != "s3" || credential[4] != "aws4_request" || !slices.Contains(signed, "host") {
		return signature{}, faultf(http.StatusBadRequest, "AuthorizationHeaderMalformed", "want Credential=KEY/DATE/%s/s3/aws4_request, SignedHeaders=host;..., Signature=...", c.Region)
	}
	if credential[2] != c.Region {
		return signature{}, faultf(http.StatusBadRequest, "AuthorizationHeaderMalformed", "the region %q is wrong, want %q", credential[2], c.Region)
	}
	if credential[0] != c.AccessKey {
		return signature{}, faultf(http.StatusForbidden, "InvalidAccessKeyId", "no such access key")
	}
	at, err := c.requestTime(r)
	if err != nil {
		return signature{}, err
	}
	if credential[1] != at.Format(amzDate) {
		return signature{}, faultf(http.StatusBadRequest, "AuthorizationHeaderMalformed", "the date of the credential is not that of the request")
	}
	s := signature{time: at.Format(amzTime), scope: strings.Join(credential[1:], "/"), seed: values["Signature"]}
	s.key = []byte("AWS4" + c.SecretKey)
	for _, part := range credential[1:] {
		s.key = mac(s.key, part)
	}
	if !equal(s.sign(algorithm, sumText(canonical(r, signed))), s.seed) {
		return signature{}, faultf(http.StatusForbidden, "SignatureDoesNotMatch", "the signature is not that of the secret key; SignedHeaders=%s", values["SignedHeaders"])
	}
	return s, nil
}

// requestTime is when the client says it signed, refused when that is not now.
func (c Config) requestTime(r *http.Request) (time.Time, error) {
	at, err := time.Parse(amzTime, r.Header.Get("X-Amz-Date"))
	if err != nil {
		if at, err = http.ParseTime(r.Header.Get("Date")); err != nil {
			return at, faultf(http.StatusForbidden, "AccessDenied", "neither X-Amz-Date nor Date says when the request was signed")
		}
	}
	if now := c.Now(); now.Sub(at).Abs() > maxSkew {
		return at, faultf(http.StatusForbidden, "RequestTimeTooSkewed", "signed at %s, received at %s: the clocks of the two machines must not differ by more than %s",
			at.UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339), maxSkew)
	}
	return at.UTC(), nil
}

// sign signs lines in the name of the request: kind, time and scope come before them.
func (s signature) sign(kind string, lines ...string) string {
	return hex.EncodeToString(mac(s.key, strings.Join(append([]string{kind, s.time, s.scope}, lines...), "\n")))
}

// canonical is the text of a request that is signed.
func canonical(r *http.Request, signed []string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n%s\n%s\n", r.Method, escape(r.URL.Path, true), canonicalQuery(r.URL.Query()))
	for _, name := range signed {
		fmt.Fprintf(&b, "%s:%s\n", name, signedHeader(r, name))
	}
	fmt.Fprintf(&b, "\n%s\n%s", strings.Join(signed, ";"), r.Header.Get("X-Amz-Content-Sha256"))
	return b.String()
}

func canonicalQuery(q url.Values) string {
	var pairs []string
	for name, values := range q {
		for _, v := range values {
			pairs = append(pairs, escape(name, false)+"="+escape(v, false))
		}
	}
	slices.Sort(pairs)
	return strings.Join(pairs, "&")
}

// signedHeader is the value of a header as it is signed: values joined, runs of blanks made one.
func signedHeader(r *http.Request, name string) string {
	switch values := slices.Clone(r.Header.Values(name)); {
	case name == "host":
		return r.Host
	case name == "content-length" && len(values) == 0:
		return strconv.FormatInt(r.ContentLength, 10)
	default:
		for i := range values {
			values[i] = strings.Join(strings.Fields(values[i]), " ")
		}
		return strings.Join(values, ",")
	}
}

// escape escapes all but unreserved characters, and slashes in a path.
func escape(s string, path bool) string {
	var b strings.Builder
	for i := range len(s) {
		switch c := s[i]; {
		case isAlphanumeric(rune(c)), strings.IndexByte("-_.~", c) >= 0, c == '/' && path:
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

func sumText(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

func equal(a, b string) bool { return hmac.Equal([]byte(a), []byte(b)) }
