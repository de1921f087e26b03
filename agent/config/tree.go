package config

import (
	"bytes"
	"errors"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// position is a place in the file, counted from 1.
type position struct{ line, column int }

// place is a value in the file with the key it stands under.
type place struct {
	key, value *yaml.Node // key is nil for the elements of a list and the file as a whole
}

// position is where a person looks first: the value, unless it spans lines or is not there.
func (p place) position() position {
	n := p.value
	if p.key != nil && (n == nil || n.Kind != yaml.ScalarNode || isNull(n)) {
		n = p.key
	}
	if n == nil {
		return position{1, 1}
	}
	return position{max(n.Line, 1), max(n.Column, 1)}
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }

// read turns text into the mapping it must be; nil when there is nothing to go on with.
func (b *binder) read(text []byte) *yaml.Node {
	if !utf8.Valid(text) {
		b.add(position{invalidLine(text), 1}, "", "not UTF-8", "save the file as UTF-8")
		return nil
	}
	d := yaml.NewDecoder(bytes.NewReader(text))
	var doc, more yaml.Node
	err := d.Decode(&doc)
	if errors.Is(err, io.EOF) || err == nil && (len(doc.Content) == 0 || isNull(doc.Content[0])) {
		b.add(position{1, 1}, "", "the file is empty", "")
		return nil
	}
	if err != nil {
		b.syntax(text, err)
		return nil
	}
	if err := d.Decode(&more); err == nil {
		b.add(place{value: &more}.position(), "", "a second document begins", "keep one document in the file")
	} else if !errors.Is(err, io.EOF) {
		b.syntax(text, err)
	}
	b.plain(doc.Content[0])
	return doc.Content[0]
}

var (
	errorLine  = regexp.MustCompile(`^line (\d+): `)
	lostAnchor = regexp.MustCompile(`^unknown anchor '(.*)' referenced`)
	// beginning is what go.yaml.in/yaml/v3 says with the number of the line before that on which the section begins it failed in.
	beginning = regexp.MustCompile(`^did not find expected (',' or|key$|node content$|'-' indicator$)`)
)

// syntax reports what the YAML parser says.
func (b *binder) syntax(text []byte, err error) {
	message, line := strings.TrimPrefix(err.Error(), "yaml: "), 1
	if m := errorLine.FindStringSubmatch(message); m != nil {
		line, _ = strconv.Atoi(m[1])
		message = message[len(m[0]):]
	} else if m := lostAnchor.FindStringSubmatch(message); m != nil {
		line = 1 + bytes.Count(text[:max(bytes.Index(text, []byte("*"+m[1])), 0)], []byte("\n"))
	} else if i := bytes.IndexFunc(text, func(r rune) bool { return r < ' ' && !strings.ContainsRune("\t\r\n", r) || r == 0x7f }); i >= 0 {
		line = 1 + bytes.Count(text[:i], []byte("\n"))
	}
	hint := "check the indentation and the quotes on this line and the one above"
	if beginning.MatchString(message) {
		line++
		hint = "check the indentation, the quotes and the brackets of what begins on this line"
	}
	line = min(max(line, 1), 1+bytes.Count(text, []byte("\n")))
	if bytes.Contains(text, []byte("\n\t")) {
		hint = "indent with spaces: YAML does not take tabs"
	}
	b.add(position{line, 1}, "", "not YAML: "+message, hint)
}

func invalidLine(text []byte) int {
	line := 1
	for len(text) > 0 {
		r, n := utf8.DecodeRune(text)
		if r == utf8.RuneError && n == 1 {
			break
		}
		if r == '\n' {
			line++
		}
		text = text[n:]
	}
	return line
}

// plain refuses what YAML can and a file that people read at night should not: one way to say a thing twice is enough, and it is "defaults".
func (b *binder) plain(n *yaml.Node) {
	at := place{value: n}.position()
	if n.Anchor != "" {
		b.add(at, "", "an anchor (&"+n.Anchor+") is not taken here", `write the value out; what all jobs share belongs in "defaults"`)
	}
	if n.Kind == yaml.AliasNode {
		b.add(at, "", "an alias (*"+n.Value+") is not taken here", `write the value out; what all jobs share belongs in "defaults"`)
		return
	}
	if n.Style&yaml.TaggedStyle != 0 {
		b.add(at, "", "a tag ("+n.Tag+") is not taken here", "write the value alone")
	}
	for _, c := range n.Content {
		b.plain(c)
	}
}

// isMerge reports whether a key is YAML's merge key.
func isMerge(k *yaml.Node) bool { return k.Kind == yaml.ScalarNode && k.ShortTag() == "!!merge" }

// lookup finds the value of a key; nil when there is none.
func lookup(n *yaml.Node, key string) *yaml.Node {
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}

// filled is over with the keys it lacks taken from under, down to the given number of levels. A value that is not a mapping on both sides is
// taken whole from where it stands.
func filled(over, under *yaml.Node, levels int) *yaml.Node {
	if under == nil || levels == 0 || over.Kind != yaml.MappingNode || under.Kind != yaml.MappingNode {
		return over
	}
	n := *over
	n.Content = slices.Clone(over.Content)
	for i := 0; i+1 < len(under.Content); i += 2 {
		key, value := under.Content[i], under.Content[i+1]
		if at := slices.IndexFunc(n.Content, func(c *yaml.Node) bool { return c == lookup(over, key.Value) }); at >= 0 {
			n.Content[at] = filled(n.Content[at], value, levels-1)
		} else {
			n.Content = append(n.Content, key, value)
		}
	}
	return &n
}
