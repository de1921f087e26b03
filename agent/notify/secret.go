package notify

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/textproto"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// withHost are the services whose URL has the name of a server as its host. With the others the host is a token, or part of one.
var withHost = [...]string{"generic", "gotify", "matrix", "mattermost", "ntfy", "opsgenie", "rocketchat", "signal", "smtp", "zulip"}

var status = regexp.MustCompile(`\b[1-5][0-9]{2}\b`)

// phrases are what the errors of networks say, in words of ours.
var phrases = [...]struct{ theirs, ours string }{
	{"connection refused", "connection refused"},
	{"connection reset", "connection reset"},
	{"no such host", "no such host"},
	{"server misbehaving", "the name of the host cannot be looked up"},
	{"network is unreachable", "network unreachable"},
	{"no route to host", "no route to the host"},
	{"x509:", "the server's certificate is not trusted"},
	{"certificate", "the server's certificate is not trusted"},
	{"StartTLS", "the server does not offer STARTTLS"},
	{"unencrypted connection", "a password is not sent over an unencrypted connection"},
	{"tls:", "TLS failed"},
	{"i/o timeout", "timed out"},
	{"timed out", "timed out"},
	{"Timeout", "timed out"},
	{"deadline exceeded", "timed out"},
	{"EOF", "the connection broke off"},
	{"broken pipe", "the connection broke off"},
}

// reason says why a message was not sent without repeating a word of err, which may quote the URL.
func reason(err error) error {
	var reply *textproto.Error
	if errors.As(err, &reply) {
		return fmt.Errorf("the mail server answered %d", reply.Code)
	}
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() || errors.Is(err, context.DeadlineExceeded) {
		return errors.New("timed out")
	}
	text := err.Error()
	for _, p := range phrases {
		if strings.Contains(text, p.theirs) {
			return errors.New(p.ours)
		}
	}
	for _, digits := range status.FindAllString(text, -1) {
		code, _ := strconv.Atoi(digits)
		if word := http.StatusText(code); word != "" && strings.Contains(text, digits+" "+word) {
			return fmt.Errorf("the service answered %d %s", code, word)
		}
	}
	return errors.New("the service did not take it")
}

// keys are words that URLs and complaints about them share.
var keys = [...]string{"auth", "channel", "from", "host", "key", "port", "title", "to", "token", "url", "user"}

// redact takes out of text every word that holds a piece of the URL. The scheme and the host given stay.
func redact(text, rawURL, host string) string {
	_, secret, _ := strings.Cut(rawURL, ":")
	whole := []string{secret}
	if s, err := url.PathUnescape(secret); err == nil {
		whole = append(whole, s)
	}
	if s, err := url.QueryUnescape(secret); err == nil {
		whole = append(whole, s)
	}
	var pieces []string
	for _, s := range whole {
		if host != "" {
			s = strings.Replace(s, host, " ", 1)
		}
		pieces = append(pieces, words(s)...)
	}
	pieces = slices.DeleteFunc(pieces, func(p string) bool { return slices.Contains(keys[:], p) })
	fields := strings.Fields(text)
	for i, f := range fields {
		if f != host && slices.ContainsFunc(pieces, func(p string) bool { return holds(f, p) }) {
			fields[i] = "..."
		}
	}
	return strings.Join(slices.Compact(fields), " ")
}

// words are the runs of letters and digits in s, in lower case.
func words(s string) []string {
	return strings.FieldsFunc(strings.ToLower(s), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
}

// holds reports whether field holds the piece: anywhere, or as a word when the piece is so short that it would be everywhere.
func holds(field, piece string) bool {
	if len(piece) < 4 {
		return slices.Contains(words(field), piece)
	}
	return strings.Contains(strings.ToLower(field), piece)
}
