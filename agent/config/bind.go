package config

import (
	"encoding"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/agnivade/levenshtein"
	"go.yaml.in/yaml/v3"

	"github.com/quiesce-go/quiesce/backup"
)

// binder carries the values of one file into structs, gathering what is wrong on its way.
type binder struct {
	file string // as it is named in problems
	dir  string // what relative paths stand in
	o    Options

	problems, warnings []Problem
	where              map[string]position // of every key that was bound
	plainSecrets       bool                // a secret stands in the file itself

	defaults, transfer *yaml.Node // what fills the jobs
	registry           Registry
}

// selfBinder is a value with a form of its own in the file.
type selfBinder interface {
	bindNode(b *binder, path string, at place)
}

// defaulter is a struct that begins with values other than zero.
type defaulter interface{ Defaults() }

// validator is a struct with rules over its fields.
type validator interface{ Validate() error }

func (b *binder) add(at position, path, message, hint string) {
	b.problems = append(b.problems, Problem{b.file, at.line, at.column, path, message, hint})
}

func (b *binder) warn(at position, path, message, hint string) {
	b.warnings = append(b.warnings, Problem{b.file, at.line, at.column, path, message, hint})
}

// at is the position of a key, or of the nearest section above it that is in the file.
func (b *binder) at(path string) position {
	for path != "" {
		if p, ok := b.where[path]; ok {
			return p
		}
		path = path[:max(strings.LastIndexAny(path, ".["), 0)]
	}
	return position{1, 1}
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// fill gives v, and the structs in it from the inside out, their defaults.
func fill(v reflect.Value) {
	if v.Kind() != reflect.Struct {
		return
	}
	for i := range v.NumField() {
		if v.Type().Field(i).IsExported() {
			fill(v.Field(i))
		}
	}
	if d, ok := v.Addr().Interface().(defaulter); ok {
		d.Defaults()
	}
}

// bind carries what stands at a place into v, which is addressable and holds its defaults.
func (b *binder) bind(path string, at place, v reflect.Value) {
	b.where[path] = at.position()
	n := at.value
	switch {
	case n.Kind == yaml.AliasNode: // refused by plain
		return
	case isNull(n):
		b.add(at.position(), path, "has no value", "give it one, or take the key out")
		return
	case v.Kind() == reflect.Pointer:
		p := reflect.New(v.Type().Elem())
		fill(p.Elem())
		b.bind(path, at, p.Elem())
		v.Set(p)
		return
	}
	switch into := v.Addr().Interface().(type) {
	case selfBinder:
		into.bindNode(b, path, at)
	case *time.Duration:
		b.text(path, at, "a duration", func(text []byte) (err error) {
			*into, err = foreignDuration(string(text))
			return err
		})
	case encoding.TextUnmarshaler:
		b.text(path, at, "text", into.UnmarshalText)
	default:
		b.bindKind(path, at, v)
	}
}

func (b *binder) bindKind(path string, at place, v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		b.bindStruct(path, at, v, nil)
	case reflect.Slice:
		b.bindSlice(path, at, v)
	case reflect.Map:
		b.bindMap(path, at, v)
	case reflect.String:
		if s, ok := b.word(path, at, "text"); ok {
			v.SetString(s)
		}
	case reflect.Bool:
		if at.value.Kind != yaml.ScalarNode || at.value.ShortTag() != "!!bool" {
			b.wrong(path, at, "true or false")
			return
		}
		v.SetBool(strings.EqualFold(at.value.Value, "true"))
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		i, err := strconv.ParseInt(at.value.Value, 10, v.Type().Bits())
		if at.value.Kind != yaml.ScalarNode || err != nil {
			b.wrong(path, at, "a whole number")
			return
		}
		v.SetInt(i)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		i, err := strconv.ParseUint(at.value.Value, 10, v.Type().Bits())
		if at.value.Kind != yaml.ScalarNode || err != nil {
			b.wrong(path, at, "a whole number from 0")
			return
		}
		v.SetUint(i)
	case reflect.Float32, reflect.Float64:
		f, err := strconv.ParseFloat(at.value.Value, v.Type().Bits())
		if at.value.Kind != yaml.ScalarNode || err != nil {
			b.wrong(path, at, "a number")
			return
		}
		v.SetFloat(f)
	default:
		b.add(at.position(), path, "this program has no way to take it from a file", "")
	}
}

// text hands a scalar to a type that reads text. Its error must not repeat a secret.
func (b *binder) text(path string, at place, want string, read func([]byte) error) bool {
	s, ok := b.word(path, at, want)
	if !ok {
		return false
	}
	if err := read([]byte(s)); err != nil {
		b.add(at.position(), path, err.Error(), backup.Hint(err))
		return false
	}
	return true
}

// word is the text of a scalar as it is written, numbers and dates included. What YAML takes for true, false or null must be quoted.
func (b *binder) word(path string, at place, want string) (string, bool) {
	if at.value.Kind != yaml.ScalarNode || at.value.ShortTag() == "!!bool" || isNull(at.value) {
		b.wrong(path, at, want)
		return "", false
	}
	return at.value.Value, true
}

// wrong reports a value of another form than is wanted. It repeats plain words only when they cannot be a secret.
func (b *binder) wrong(path string, at place, want string) {
	hint := ""
	if at.value.Kind == yaml.ScalarNode && at.value.ShortTag() == "!!bool" && want != "true or false" {
		hint = "quote it if it is meant as text"
	}
	b.add(at.position(), path, fmt.Sprintf("is %s, want %s", form(at.value), want), hint)
}

// form says what a node is in words that hold no value.
func form(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	}
	switch n.ShortTag() {
	case "!!int":
		return "a whole number"
	case "!!float":
		return "a number"
	case "!!bool":
		return "true or false"
	case "!!null":
		return "nothing"
	}
	return "text"
}

// each calls f for the keys of a mapping, once per name.
func (b *binder) each(path string, n *yaml.Node, f func(key string, at place)) {
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		at := place{value: k}.position()
		switch line, twice := seen[k.Value]; {
		case isMerge(k):
			b.add(at, path, "a merge key (<<) is not taken here", `what all jobs share belongs in "defaults"`)
		case k.Kind != yaml.ScalarNode:
			if k.Kind != yaml.AliasNode {
				b.add(at, path, "a key is "+form(k)+", want a word", "")
			}
		case twice:
			b.add(at, join(path, k.Value), fmt.Sprintf("is there twice, first on line %d", line), "keep one of the two")
		default:
			seen[k.Value] = at.line
			f(k.Value, place{k, v})
		}
	}
}

// bindStruct binds the keys of a mapping to the fields of v. extra, when not nil, may take a key that is no field's.
func (b *binder) bindStruct(path string, at place, v reflect.Value, extra func(key string, at place) bool) {
	if at.value.Kind != yaml.MappingNode {
		b.wrong(path, at, "a mapping")
		return
	}
	before := len(b.problems)
	fields := fieldsOf(v.Type())
	seen := map[string]bool{}
	b.each(path, at.value, func(key string, p place) {
		i := slices.IndexFunc(fields, func(f structField) bool { return f.key == key })
		switch {
		case i >= 0:
			seen[key] = true
			b.bind(join(path, key), p, v.FieldByIndex(fields[i].index))
		case extra == nil || !extra(key, p):
			b.unknown(path, key, p, fields)
		}
	})
	for _, f := range fields {
		if f.required && !seen[f.key] {
			b.add(at.position(), join(path, f.key), "is missing", "")
		}
	}
	c, ok := v.Addr().Interface().(validator)
	whole := len(b.problems) == before
	if ok && (whole || v.Type().PkgPath() == reflect.TypeFor[Config]().PkgPath()) { // ours can be asked with some fields left at their defaults
		eachError(c.Validate(), func(err error) { b.invalid(path, whole, err) })
	}
}

// invalid reports what a Validate method found. In a section that did not bind whole, what it says of keys that were reported already, or of
// the section, may only follow from that.
func (b *binder) invalid(path string, whole bool, err error) {
	//nolint:errorlint // only what stands outermost names a field of this section
	f, ok := err.(*FieldError)
	if ok {
		path, err = join(path, f.Field), f.Err
	}
	if !whole && (!ok || slices.ContainsFunc(b.problems, func(p Problem) bool { return p.Path == path })) {
		return
	}
	b.add(b.at(path), path, err.Error(), backup.Hint(err))
}

// unknown reports a key that is no field's, with the likeliest that is meant.
func (b *binder) unknown(path, key string, at place, fields []structField) {
	known := make([]string, len(fields))
	for i, f := range fields {
		known[i] = f.key
	}
	hint := "known here: " + strings.Join(known, ", ")
	if best := nearest(key, known); best != "" {
		hint = fmt.Sprintf("did you mean %q?", best)
	} else if there := elsewhere(key); there != "" {
		hint = "it belongs " + there
	}
	b.add(place{value: at.key}.position(), join(path, key), "unknown key", hint)
}

// nearest is the word in known that a typing error turns into word; empty when none is near.
func nearest(word string, known []string) (best string) {
	if len(word) > 64 {
		return "" // no typing error
	}
	least := len(word)/3 + 2
	for _, k := range known {
		if d := levenshtein.ComputeDistance(strings.ToLower(word), k); d < least && d < len(k) {
			best, least = k, d
		}
	}
	return best
}

func (b *binder) bindSlice(path string, at place, v reflect.Value) {
	if at.value.Kind != yaml.SequenceNode {
		b.wrong(path, at, "a list")
		return
	}
	list := reflect.MakeSlice(v.Type(), len(at.value.Content), len(at.value.Content))
	for i, n := range at.value.Content {
		fill(list.Index(i))
		b.bind(fmt.Sprintf("%s[%d]", path, i), place{value: n}, list.Index(i))
	}
	v.Set(list)
}

func (b *binder) bindMap(path string, at place, v reflect.Value) {
	if at.value.Kind != yaml.MappingNode {
		b.wrong(path, at, "a mapping")
		return
	}
	if v.Type().Key().Kind() != reflect.String {
		b.add(at.position(), path, "this program has no way to take it from a file", "")
		return
	}
	m := reflect.MakeMap(v.Type())
	b.each(path, at.value, func(key string, p place) {
		e := reflect.New(v.Type().Elem()).Elem()
		fill(e)
		b.bind(join(path, key), p, e)
		m.SetMapIndex(reflect.ValueOf(key).Convert(v.Type().Key()), e)
	})
	v.Set(m)
}
