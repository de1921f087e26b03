package s3endpoint

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// documented is the configuration of the examples that Amazon publishes with the signature's definition.
func documented() Config {
	return Config{AccessKey: "AKIAIOSFODNN7EXAMPLE", SecretKey: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", Region: "us-east-1",
		Now: func() time.Time { return time.Date(2013, 5, 24, 0, 5, 0, 0, time.UTC) }}
}

// request reads a request as it would come over the wire and adds its Authorization.
func request(t *testing.T, head, signedHeaders, signature string) *http.Request {
	t.Helper()
	authorization := fmt.Sprintf("Authorization: AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,SignedHeaders=%s,Signature=%s",
		signedHeaders, signature)
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(strings.ReplaceAll(strings.TrimSpace(head)+"\n"+authorization+"\n\n", "\n", "\r\n"))))
	require.NoError(t, err)
	return r
}

func TestPublishedSignatures(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ head, signed, signature string }{
		"object": {"GET /test.txt HTTP/1.1\nHost: examplebucket.s3.amazonaws.com\nRange: bytes=0-9\nx-amz-content-sha256: " + emptySum + "\nx-amz-date: 20130524T000000Z",
			"host;range;x-amz-content-sha256;x-amz-date", "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"},
		"put": {"PUT /test$file.text HTTP/1.1\nHost: examplebucket.s3.amazonaws.com\nDate: Fri, 24 May 2013 00:00:00 GMT\nx-amz-date: 20130524T000000Z\n" +
			"x-amz-storage-class: REDUCED_REDUNDANCY\nx-amz-content-sha256: 44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072",
			"date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class", "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"},
		"query without value": {"GET /?lifecycle HTTP/1.1\nHost: examplebucket.s3.amazonaws.com\nx-amz-date: 20130524T000000Z\nx-amz-content-sha256: " + emptySum,
			"host;x-amz-content-sha256;x-amz-date", "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"},
		"query": {"GET /?max-keys=2&prefix=J HTTP/1.1\nHost: examplebucket.s3.amazonaws.com\nx-amz-date: 20130524T000000Z\nx-amz-content-sha256: " + emptySum,
			"host;x-amz-content-sha256;x-amz-date", "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"},
	} {
		_, err := documented().authenticate(request(t, c.head, c.signed, c.signature))
		require.NoError(t, err, name)
		_, err = documented().authenticate(request(t, c.head, c.signed, strings.Replace(c.signature, c.signature[:1], "0", 1)))
		requireFault(t, "SignatureDoesNotMatch", err)
	}
}

func requireFault(t *testing.T, code string, err error) {
	t.Helper()
	var f *fault
	require.ErrorAs(t, err, &f)
	require.Equal(t, code, f.code, f.message)
}

const (
	streamedHead = "PUT /examplebucket/chunkObject.txt HTTP/1.1\nHost: s3.amazonaws.com\nx-amz-date: 20130524T000000Z\n" +
		"x-amz-storage-class: REDUCED_REDUNDANCY\nContent-Encoding: aws-chunked\nx-amz-decoded-content-length: 66560\n"
	chunkOne = "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648"
	chunkTwo = "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497"
	chunkEnd = "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9"
)

// streamed is the published example of an upload in signed chunks.
func streamed(t *testing.T) *http.Request {
	return request(t, streamedHead+"x-amz-content-sha256: STREAMING-AWS4-HMAC-SHA256-PAYLOAD\nContent-Length: 66824",
		"content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class",
		"4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9")
}

func TestPublishedChunks(t *testing.T) {
	t.Parallel()
	content := strings.Repeat("a", 66560)
	chunk := func(data, signature string) string {
		return fmt.Sprintf("%x;chunk-signature=%s\r\n%s\r\n", len(data), signature, data)
	}
	good := chunk(content[:65536], chunkOne) + chunk(content[65536:], chunkTwo) + chunk("", chunkEnd)
	assert.Len(t, good, 66824)
	for name, c := range map[string]struct{ body, code string }{
		"good":                {good, ""},
		"first byte":          {strings.Replace(good, "\na", "\nb", 1), "SignatureDoesNotMatch"},
		"last byte":           {strings.Replace(good, "a\r\n0;", "b\r\n0;", 1), "SignatureDoesNotMatch"},
		"swapped":             {chunk(content[:65536], chunkTwo) + chunk(content[65536:], chunkOne) + chunk("", chunkEnd), "SignatureDoesNotMatch"},
		"no last chunk":       {chunk(content[:65536], chunkOne) + chunk(content[65536:], chunkTwo), "IncompleteBody"},
		"missing chunk":       {chunk(content[:65536], chunkOne) + chunk("", chunkEnd), "IncompleteBody"},
		"wrong end":           {chunk(content[:65536], chunkOne) + chunk(content[65536:], chunkTwo) + chunk("", chunkOne), "SignatureDoesNotMatch"},
		"unsigned":            {"10400\r\n" + content + "\r\n0\r\n\r\n", "SignatureDoesNotMatch"},
		"too long":            {chunk(content+"a", chunkOne), "InvalidRequest"},
		"longer than it says": {strings.Replace(good, "10000;", "ffff;", 1), "InvalidRequest"},
		"size negative":       {"-1;chunk-signature=" + chunkOne + "\r\n", "InvalidRequest"},
		"size no number":      {"x;chunk-signature=" + chunkOne + "\r\n", "InvalidRequest"},
		"endless line":        {strings.Repeat("1", 100_000), "InvalidRequest"},
		"cut":                 {good[:1000], "IncompleteBody"},
		"nothing":             {"", "IncompleteBody"},
	} {
		t.Run(name, func(t *testing.T) {
			r := streamed(t)
			s, err := documented().authenticate(r)
			require.NoError(t, err)
			r.Body = io.NopCloser(strings.NewReader(c.body))
			body, size, err := payload(r, s)
			require.NoError(t, err)
			require.EqualValues(t, 66560, size)
			data := make([]byte, size)
			if err = fill(body, data); c.code != "" {
				requireFault(t, c.code, err)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, content, string(data))
		})
	}
}

func TestPublishedTrailer(t *testing.T) {
	t.Parallel()
	const sum = "x-amz-checksum-crc32c:sOO8/Q=="
	body := func(sum, signature string) string {
		a := strings.Repeat("a", 65536)
		return "10000;chunk-signature=b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2\r\n" + a + "\r\n" +
			"400;chunk-signature=1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7\r\n" + a[:1024] + "\r\n" +
			"0;chunk-signature=2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992\r\n" +
			sum + "\r\nx-amz-trailer-signature:" + signature + "\r\n\r\n"
	}
	read := func(text string) error {
		r := request(t, streamedHead+"x-amz-trailer: x-amz-checksum-crc32c\nx-amz-content-sha256: STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
			"content-encoding;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class;x-amz-trailer",
			"106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e")
		s, err := documented().authenticate(r)
		require.NoError(t, err)
		r.Body = io.NopCloser(iotest.HalfReader(strings.NewReader(text)))
		p, size, err := payload(r, s)
		require.NoError(t, err)
		return fill(p, make([]byte, size))
	}
	const signature = "d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435"
	require.NoError(t, read(body(sum, signature)))
	requireFault(t, "SignatureDoesNotMatch", read(body(sum, chunkOne)))
	requireFault(t, "SignatureDoesNotMatch", read(body("x-amz-checksum-crc32c:AAAAAA==", signature)))
}

func TestPayloads(t *testing.T) {
	t.Parallel()
	right := sha256.Sum256([]byte("data"))
	const trailed = "4\r\ndata\r\n0\r\nx-amz-checksum-crc32:rfPzYw==\r\n\r\n"
	for name, c := range map[string]struct{ kind, decoded, body, code string }{
		"unsigned":          {"UNSIGNED-PAYLOAD", "", "data", ""},
		"summed":            {hex.EncodeToString(right[:]), "", "data", ""},
		"summed, upper":     {strings.ToUpper(hex.EncodeToString(right[:])), "", "data", ""},
		"other data":        {hex.EncodeToString(right[:]), "", "date", "XAmzContentSHA256Mismatch"},
		"trailed":           {"STREAMING-UNSIGNED-PAYLOAD-TRAILER", "4", trailed, ""},
		"trailed, no end":   {"STREAMING-UNSIGNED-PAYLOAD-TRAILER", "4", strings.TrimSuffix(trailed, "\r\n"), ""},
		"trailed, in two":   {"STREAMING-UNSIGNED-PAYLOAD-TRAILER", "4", "1\r\nd\r\n3\r\nata\r\n0\r\n\r\n", ""},
		"trailed, too long": {"STREAMING-UNSIGNED-PAYLOAD-TRAILER", "3", trailed, "InvalidRequest"},
		"trailed, short":    {"STREAMING-UNSIGNED-PAYLOAD-TRAILER", "5", trailed, "IncompleteBody"},
		"no length":         {"STREAMING-UNSIGNED-PAYLOAD-TRAILER", "", trailed, "MissingContentLength"},
		"unknown streaming": {"STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD", "4", trailed, "NotImplemented"},
		"nothing said":      {"", "", "data", "InvalidRequest"},
		"no sum":            {"abcd", "", "data", "InvalidRequest"},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "https://host/", strings.NewReader(c.body))
			require.NoError(t, err)
			r.Header.Set("X-Amz-Content-Sha256", c.kind)
			r.Header.Set("X-Amz-Decoded-Content-Length", c.decoded)
			body, size, err := payload(r, signature{})
			var data []byte
			if err == nil {
				data = make([]byte, size)
				err = fill(iotest.OneByteReader(body), data)
			}
			if c.code != "" {
				requireFault(t, c.code, err)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, "data", string(data))
		})
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "https://host/", io.MultiReader(strings.NewReader("data")))
	require.NoError(t, err)
	r.ContentLength = -1
	r.Header.Set("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD")
	_, _, err = payload(r, signature{})
	requireFault(t, "MissingContentLength", err)
}

func TestWhoMayAsk(t *testing.T) {
	t.Parallel()
	now := time.Now()
	e, pool := start(t, func(c *Config) { c.Now = func() time.Time { return now } })
	offer(t, e, "a/k", &source{data: []byte("data")})
	for name, c := range map[string]struct {
		raw
		status int
		code   string
	}{
		"good":           {raw{}, 200, ""},
		"early":          {raw{at: now.Add(-14 * time.Minute)}, 200, ""},
		"late":           {raw{at: now.Add(14 * time.Minute)}, 200, ""},
		"too early":      {raw{at: now.Add(-16 * time.Minute)}, 403, "RequestTimeTooSkewed"},
		"too late":       {raw{at: now.Add(16 * time.Minute)}, 403, "RequestTimeTooSkewed"},
		"wrong secret":   {raw{secret: "wrong"}, 403, "SignatureDoesNotMatch"},
		"wrong key":      {raw{access: "wrong"}, 403, "InvalidAccessKeyId"},
		"wrong region":   {raw{region: "eu-central-1"}, 400, "AuthorizationHeaderMalformed"},
		"other content":  {raw{sum: emptySum, method: http.MethodPut, body: "data"}, 403, "AccessDenied"},
		"signed headers": {raw{header: http.Header{"X-Amz-Meta-Note": {"  two   words ", "b"}, "Content-Type": {"text/plain"}}}, 200, ""},
		"not signed":     {raw{tamper: func(r *http.Request) { r.Header.Del("Authorization") }}, 403, "AccessDenied"},
		"other method":   {raw{tamper: func(r *http.Request) { r.Method = http.MethodDelete }}, 403, "SignatureDoesNotMatch"},
		"other path":     {raw{tamper: func(r *http.Request) { r.URL.Path = "/backup/a/l" }}, 403, "SignatureDoesNotMatch"},
		"other query":    {raw{tamper: func(r *http.Request) { r.URL.RawQuery = "uploads" }}, 403, "SignatureDoesNotMatch"},
		"other header":   {raw{header: http.Header{"X-Amz-Meta-Note": {"a"}}, tamper: func(r *http.Request) { r.Header.Set("X-Amz-Meta-Note", "b") }}, 403, "SignatureDoesNotMatch"},
		"other host":     {raw{tamper: func(r *http.Request) { r.Host = "elsewhere" }}, 403, "SignatureDoesNotMatch"},
		"no date":        {raw{tamper: func(r *http.Request) { r.Header.Del("X-Amz-Date") }}, 403, "AccessDenied"},
		"other date":     {raw{tamper: func(r *http.Request) { r.Header.Set("X-Amz-Date", now.UTC().Add(time.Second).Format(amzTime)) }}, 403, "SignatureDoesNotMatch"},
		"empty":          {raw{tamper: func(r *http.Request) { r.Header.Set("Authorization", algorithm+" Credential=x") }}, 400, "AuthorizationHeaderMalformed"},
		"host unsigned": {raw{tamper: func(r *http.Request) {
			r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), "host;", "", 1))
		}}, 400, "AuthorizationHeaderMalformed"},
	} {
		t.Run(name, func(t *testing.T) {
			q := c.raw
			if q.method == "" {
				q.method = http.MethodGet
			}
			q.path = "/backup/a/k"
			if q.at.IsZero() {
				q.at = now
			}
			status, code := q.send(t, e, pool)
			assert.Equal(t, c.code, code)
			assert.Equal(t, c.status, status)
		})
	}
}

// A client may sign User-Agent, which some leave out.
func TestUserAgentMayBeSigned(t *testing.T) {
	t.Parallel()
	r := request(t, "GET /k HTTP/1.1\nHost: h\nUser-Agent: curl/8  x\nDate: Fri, 24 May 2013 00:00:00 GMT\nx-amz-content-sha256: UNSIGNED-PAYLOAD", "date;host;user-agent;x-amz-content-sha256", "")
	c := documented()
	s := signature{time: "20130524T000000Z", scope: "20130524/us-east-1/s3/aws4_request", key: []byte("AWS4" + c.SecretKey)}
	for part := range strings.SplitSeq(s.scope, "/") {
		s.key = mac(s.key, part)
	}
	signed := s.sign(algorithm, sumText("GET\n/k\n\ndate:Fri, 24 May 2013 00:00:00 GMT\nhost:h\nuser-agent:curl/8 x\nx-amz-content-sha256:UNSIGNED-PAYLOAD\n\n"+
		"date;host;user-agent;x-amz-content-sha256\nUNSIGNED-PAYLOAD"))
	r.Header.Set("Authorization", r.Header.Get("Authorization")+signed)
	_, err := c.authenticate(r)
	require.NoError(t, err, "and the date may stand in Date alone")
	r.Header.Set("User-Agent", "other")
	_, err = c.authenticate(r)
	requireFault(t, "SignatureDoesNotMatch", err)
}
