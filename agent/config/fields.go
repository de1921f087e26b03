package config

import (
	"encoding"
	"reflect"
	"slices"
	"strings"
)

// structField is a field that the file can set.
type structField struct {
	key      string
	index    []int
	required bool
	of       reflect.Type
}

// fieldsOf lists the fields of a struct by their yaml tags, as package yaml names them; `config:"required"` marks those that must be given.
func fieldsOf(t reflect.Type) (list []structField) {
	for i := range t.NumField() {
		f := t.Field(i)
		name, opts, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		switch {
		case !f.IsExported() || name == "-":
		case slices.Contains(strings.Split(opts, ","), "inline") && f.Type.Kind() == reflect.Struct:
			for _, in := range fieldsOf(f.Type) {
				in.index = append([]int{i}, in.index...)
				list = append(list, in)
			}
		default:
			if name == "" {
				name = strings.ToLower(f.Name)
			}
			list = append(list, structField{name, f.Index, f.Tag.Get("config") == "required", f.Type})
		}
	}
	return list
}

// keys lists every key of the file as documents name it: jobs.NAME.schedule.full, notify[].url.
func keys() []string { return keysOf("", reflect.TypeFor[document]()) }

func keysOf(path string, t reflect.Type) (list []string) {
	for _, f := range fieldsOf(t) {
		key := join(path, f.key)
		list = append(list, key)
		of := f.of
		for {
			switch of.Kind() {
			case reflect.Pointer:
				of = of.Elem()
				continue
			case reflect.Slice:
				if of == reflect.TypeFor[Jobs]() {
					key += ".NAME"
				} else {
					key += "[]"
				}
				of = of.Elem()
				continue
			}
			break
		}
		if of.Kind() == reflect.Struct && !reflect.PointerTo(of).Implements(reflect.TypeFor[encoding.TextUnmarshaler]()) {
			list = append(list, keysOf(key, of)...)
		}
	}
	return list
}

// elsewhere says where a key of that name belongs; empty when there is none, or too many to help.
func elsewhere(key string) string {
	var places []string
	for _, k := range keys() {
		above, last := "at the top of the file", k
		if i := strings.LastIndexByte(k, '.'); i >= 0 {
			above, last = "in "+k[:i], k[i+1:]
		}
		if last == key && !strings.HasPrefix(k, "defaults.") && !strings.HasPrefix(above, "in jobs.NAME.transfer") && !strings.HasPrefix(above, "in jobs.NAME.seal") &&
			!strings.HasPrefix(above, "in jobs.NAME.stage") {
			places = append(places, above)
		}
	}
	if len(places) > 2 {
		return ""
	}
	return strings.Join(places, " or ")
}
