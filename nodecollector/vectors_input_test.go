// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package nodecollector

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// input is the input of a vector, and which of its keys somebody read.
type input struct {
	fields fields
	used   map[string]bool
	err    error
}

func (in *input) fail(format string, args ...any) {
	if in.err == nil {
		in.err = fmt.Errorf(format, args...)
	}
}

// object returns a field that is an object, "" the input itself.
func (in *input) object(key string) (fields, bool) {
	if key == "" {
		return in.fields, true
	}
	value, ok := in.fields[key].(map[string]any)
	return value, ok
}

// number returns a field by any of its names, and marks it as read.
func (in *input) number(names ...string) (float64, bool) {
	for _, name := range names {
		if n, ok := in.fields[name].(json.Number); ok {
			in.used[name] = true
			v, err := n.Float64()
			if err != nil {
				in.fail("%s: %w", name, err)
			}
			return v, true
		}
	}
	return 0, false
}

// seconds is the interval, 15 s unless the vector says otherwise.
func (in *input) seconds() float64 {
	if s, ok := in.number("seconds", "elapsed", "elapsedSeconds", "intervalSeconds", "dt"); ok {
		return s
	}
	if s, ok := in.interval(); ok {
		return s
	}
	return 15
}

// interval is the monotonic interval; a wall clock may be told and is not read.
func (in *input) interval() (float64, bool) {
	prev, ok1 := in.number("prevMonotonic")
	cur, ok2 := in.number("curMonotonic")
	for key := range in.fields {
		if name := strings.ToLower(key); strings.Contains(name, "wall") || strings.Contains(name, "realtime") {
			in.used[key] = true
		}
	}
	return cur - prev, ok1 && ok2
}

// first says whether a vector has no earlier moment.
func (in *input) first() bool {
	prev, told := in.fields["prev"]
	if told && prev == nil {
		in.used["prev"] = true
	}
	return told && prev == nil
}

// counters reads counters of two moments: objects prev and cur, an object delta,
// or keys such as prevReadIOs and curReadIOs. names has what each counter may be
// called; found says which ones the vector has, and nothing is read of a vector
// that has none of them.
func (in *input) counters(names map[string]*[2]uint64) (found map[string]bool) {
	found = map[string]bool{}
	for name, to := range names {
		for moment, prefix := range [...]string{"prev", "cur"} {
			if n, ok := in.uint(in.fields, prefix+strings.ToUpper(name[:1])+name[1:]); ok {
				to[moment], found[name] = n, true
				in.used[prefix+strings.ToUpper(name[:1])+name[1:]] = true
			}
			if object, ok := in.object(prefix); ok {
				in.take(object, prefix, name, &to[moment], found)
			}
		}
		for _, key := range [...]string{"delta", "deltas"} {
			if object, ok := in.object(key); ok {
				in.take(object, key, name, &to[1], found)
			}
		}
		if n, ok := in.uint(in.fields, "delta"+strings.ToUpper(name[:1])+name[1:]); ok {
			to[1], found[name] = n, true
			in.used["delta"+strings.ToUpper(name[:1])+name[1:]] = true
		}
	}
	return found
}

func (in *input) take(object fields, key, name string, to *uint64, found map[string]bool) {
	for have := range object {
		if canonicalName(have) != canonicalName(name) {
			continue
		}
		if n, ok := in.uint(object, have); ok {
			*to, found[name] = n, true
			in.used[key+"."+have] = true
		}
	}
}

// unread returns a key that nobody read.
func (in *input) unread() (string, bool) {
	for key, value := range in.fields {
		if in.used[key] {
			continue
		}
		object, ok := value.(map[string]any)
		if !ok || len(object) == 0 {
			return key, true
		}
		for name := range object {
			if !in.used[key+"."+name] {
				return key + "." + name, true
			}
		}
	}
	return "", false
}

func (in *input) uint(object fields, key string) (uint64, bool) {
	text, ok := object[key].(json.Number)
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseUint(text.String(), 10, 64)
	if err != nil {
		in.fail("%s is no counter: %w", key, err)
	}
	return n, true
}
