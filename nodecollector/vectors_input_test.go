// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package nodecollector

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
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

// object returns a field that is an object.
func (in *input) object(key string) (fields, bool) {
	value, ok := in.fields[key].(map[string]any)
	return value, ok
}

// value returns a field by any of its names, and marks it as read.
func (in *input) value(names ...string) (value any, told bool) {
	for _, name := range names {
		if value, told = in.fields[name]; told {
			in.used[name] = true
			return value, true
		}
	}
	return nil, false
}

// number returns a field by any of its names, and marks it as read. A field that
// is null is not there.
func (in *input) number(names ...string) (float64, bool) {
	for _, name := range names {
		switch v := in.fields[name].(type) {
		case json.Number:
			in.used[name] = true
			n, err := v.Float64()
			if err != nil {
				in.fail("%s: %w", name, err)
			}
			return n, true
		case nil:
			in.used[name] = true
		}
	}
	return 0, false
}

// usualSeconds is the interval of vectors that give none.
const usualSeconds = 15

// seconds is the interval; it is not given when the vector has none.
func (in *input) seconds() (seconds float64, given bool) {
	if s, ok := in.number("seconds", "elapsed", "elapsedSeconds", "intervalSeconds", "interval", "dt"); ok {
		return s, true
	}
	// Wall clocks may be told and are not read.
	for key := range in.fields {
		if name := strings.ToLower(key); strings.Contains(name, "wall") || strings.Contains(name, "realtime") {
			in.used[key] = true
		}
	}
	prev, ok1 := in.number("prevMonotonic")
	cur, ok2 := in.number("curMonotonic")
	if ok1 && ok2 {
		return cur - prev, true
	}
	return usualSeconds, false
}

// elapsed is the interval as samples have it; without an earlier moment, or when no
// time passed, there are no rates.
func (in *input) elapsed() (seconds float64, given, ok bool) {
	seconds, given = in.seconds()
	prev, told := in.fields["prev"]
	first := told && prev == nil
	if first {
		in.used["prev"] = true
	}
	_, ok = between(!first, time.Minute, time.Minute+time.Duration(math.Round(seconds*float64(time.Second))))
	return seconds, given, ok
}

// counters reads counters of two moments: objects prev and cur, an object delta,
// or keys such as prevReadIOs and curReadIOs. A delta below 0 is a counter that fell
// to 0. names has what each counter may be called; found says which ones the vector
// has, and nothing is read of a vector that has none of them.
func (in *input) counters(names map[string]*[2]uint64) (found map[string]bool) {
	found = map[string]bool{}
	for name, to := range names {
		for moment, prefix := range [...]string{"prev", "cur"} {
			in.each(prefix, name, func(n uint64, negative bool) {
				if negative {
					in.fail("%s of %s is below 0", prefix, name)
				}
				to[moment], found[name] = n, true
			})
		}
		for _, prefix := range [...]string{"delta", "deltas"} {
			in.each(prefix, name, func(n uint64, negative bool) {
				*to, found[name] = [2]uint64{0, n}, true
				if negative {
					*to = [2]uint64{n, 0}
				}
			})
		}
	}
	return found
}

// each hands on what an object, or the input under keys with its name as a prefix,
// says of a name.
func (in *input) each(object, name string, take func(n uint64, negative bool)) {
	members, _ := in.object(object)
	for have, value := range members {
		if canonicalName(have) == canonicalName(name) {
			in.counter(object+"."+have, value, take)
		}
	}
	for have, value := range in.fields {
		if canonicalName(have) == canonicalName(object+name) {
			in.counter(have, value, take)
		}
	}
}

// counter hands on a whole number, and its sign, and marks it as read. It may be
// written as a string, or with a fraction of 0.
func (in *input) counter(key string, value any, take func(n uint64, negative bool)) {
	var text string
	switch v := value.(type) {
	case json.Number:
		text = v.String()
	case string:
		text = v
	default:
		return // nobody reads it
	}
	in.used[key] = true
	digits, negative := strings.CutPrefix(text, "-")
	n, err := strconv.ParseUint(digits, 10, 64)
	if err != nil {
		whole, fraction, _ := strings.Cut(digits, ".")
		if n, err = strconv.ParseUint(whole, 10, 64); err != nil || strings.Trim(fraction, "0") != "" {
			n, err = wholeFloat(digits)
		}
	}
	if err != nil {
		in.fail("%s is no counter: %w", key, err)
		return
	}
	take(n, negative && n > 0)
}

// wholeFloat reads a number such as 1e9.
func wholeFloat(text string) (uint64, error) {
	v, err := strconv.ParseFloat(text, 64)
	if err == nil && (v != math.Trunc(v) || v < 0 || v >= 1<<64) {
		err = fmt.Errorf("%s is no whole number", text)
	}
	return uint64(v), err
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
