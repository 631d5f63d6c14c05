// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package nodecollector

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var vectorFile = flag.String("vectors", "testdata/collector-vectors.json",
	"A file of vectors: counters of two moments, and what must come of them. A relative path may start in any folder above.")

const vectorSchema = "atlhyper.collector-vectors/v1"

// vectors is a file of vectors. It may have more keys, which describe it.
type vectors struct {
	Schema  string
	Vectors []vector
}

// vector is an input, in the words of whoever wrote it, and results by name. A
// result of null must be absent; the result "sample" stands for all of them. It may
// have more keys, which describe it.
type vector struct {
	ID           string
	Why          string
	Input        fields
	Expect       fields
	MustNotEqual fields
}

type fields map[string]any

// TestVectors also takes another file:
//
//	go test ./nodecollector/... -run TestVectors -args -vectors FILE
func TestVectors(t *testing.T) {
	file := readVectors(t, *vectorFile)
	for _, v := range file.Vectors {
		t.Run(v.ID, func(t *testing.T) {
			if problem := v.check(); problem != "" {
				t.Errorf("%s\nbecause: %s", problem, v.Why)
			}
		})
	}
}

// A vector that is wrong must be found out, else the test above says nothing.
func TestVectorsCanFail(t *testing.T) {
	ours, theirs := readVectors(t, "testdata/collector-vectors.json"), readVectors(t, "testdata/independent-vectors.json")
	for _, v := range slices.Concat(ours.Vectors, theirs.Vectors) {
		for name, want := range v.Expect {
			wrong := v
			wrong.Expect = maps.Clone(v.Expect)
			switch want := want.(type) {
			case json.Number:
				n, err := want.Float64()
				if err != nil {
					t.Fatal(err)
				}
				wrong.Expect[name] = json.Number(fmt.Sprint(n*1.0001 + 0.001))
			case nil:
				wrong.Expect[name] = json.Number("1")
			case bool:
				wrong.Expect[name] = !want
			case string:
				wrong.Expect[name] = want + "x"
			default:
				wrong.Expect[name] = "something else"
			}
			if wrong.check() == "" {
				t.Errorf("%s passes with %s = %v", v.ID, name, wrong.Expect[name])
			}
		}
		for name := range v.Expect {
			wrong := v
			wrong.MustNotEqual = fields{name: v.Expect[name]}
			if wrong.check() == "" {
				t.Errorf("%s passes although %s must not be %v", v.ID, name, v.Expect[name])
			}
		}
		unknown := v
		unknown.Input = maps.Clone(v.Input)
		unknown.Input["phaseOfTheMoon"] = json.Number("1")
		if unknown.check() == "" {
			t.Errorf("%s passes with an input that nobody reads", v.ID)
		}
	}
}

func readVectors(t *testing.T, path string) vectors {
	t.Helper()
	data, err := os.ReadFile(path)
	for above := ".."; err != nil && !filepath.IsAbs(path) && len(above) < 30; above += "/.." {
		data, err = os.ReadFile(filepath.Join(above, path))
	}
	if err != nil {
		t.Fatal(err)
	}
	file, err := parseVectors(data)
	if err != nil {
		t.Fatalf("reading %s: %v", path, err)
	}
	return file
}

// parseVectors refuses a file of which a part would not be looked at.
func parseVectors(data []byte) (file vectors, err error) {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	if err := decoder.Decode(&file); err != nil {
		return vectors{}, err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return vectors{}, errors.New("there is something behind the vectors")
	}
	if file.Schema != vectorSchema {
		return vectors{}, fmt.Errorf("the schema is %q, not %s", file.Schema, vectorSchema)
	}
	if len(file.Vectors) == 0 {
		return vectors{}, errors.New("there are no vectors")
	}
	seen := map[string]bool{}
	for i := range file.Vectors {
		id := file.Vectors[i].ID
		switch {
		case id == "":
			return vectors{}, fmt.Errorf("vector %d has no id", i+1)
		case seen[id]:
			return vectors{}, fmt.Errorf("two vectors are called %s", id)
		}
		seen[id] = true
	}
	return file, nil
}

// checks are the keys of a vector. One that is almost like them is a mistake, and
// not a description.
var checks = []string{"input", "expect", "mustNotEqual"}

// UnmarshalJSON refuses keys that look as if they checked something.
func (v *vector) UnmarshalJSON(data []byte) error {
	type plain vector
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	if err := decoder.Decode((*plain)(v)); err != nil {
		return err
	}
	var keys map[string]json.RawMessage
	if err := json.Unmarshal(data, &keys); err != nil {
		return err
	}
	for key := range keys {
		for _, check := range checks {
			if key != check && strings.HasPrefix(strings.ToLower(key), check[:4]) {
				return fmt.Errorf("vector %q has the key %q, which is not %q", v.ID, key, check)
			}
		}
	}
	return nil
}

// check computes what comes of the input and says what differs.
func (v *vector) check() string {
	if len(v.Expect) == 0 {
		return "it expects nothing"
	}
	in := &input{fields: v.Input, used: map[string]bool{}}
	got := fields{}
	for _, f := range families {
		f(in, got)
	}
	if in.err != nil {
		return in.err.Error()
	}
	if key, ok := in.unread(); ok {
		return fmt.Sprintf("nothing reads the input %q", key)
	}
	var problems []string
	for _, name := range slices.Sorted(maps.Keys(v.Expect)) {
		is, ok := got.named(name)
		if !ok {
			problems = append(problems, fmt.Sprintf("there is no %s, only %v", name, slices.Sorted(maps.Keys(got))))
		} else if !same(is, v.Expect[name]) {
			problems = append(problems, fmt.Sprintf("%s is %v, want %v", name, is, v.Expect[name]))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(v.MustNotEqual)) {
		is, ok := got.named(name)
		if !ok {
			problems = append(problems, fmt.Sprintf("there is no %s that must not be something, only %v", name, slices.Sorted(maps.Keys(got))))
		} else if same(is, v.MustNotEqual[name]) {
			problems = append(problems, fmt.Sprintf("%s is %v and must not be", name, is))
		}
	}
	return strings.Join(problems, "\n")
}

// canonical turns the ways to spell a name into one.
var canonical = strings.NewReplacer(
	"_", "", "-", "", "persecond", "persec", "percent", "pct", "receive", "rx", "transmit", "tx",
	"errors", "errs", "dropped", "drops", "packets", "pkts", "megabits", "mbits",
)

func canonicalName(name string) string {
	name = canonical.Replace(strings.ToLower(name))
	if strings.HasSuffix(name, "err") || strings.HasSuffix(name, "drop") {
		name += "s"
	}
	return name
}

func (f fields) named(name string) (any, bool) {
	for key, value := range f {
		if canonicalName(key) == canonicalName(name) {
			return value, true
		}
	}
	return nil, false
}

// same compares a result with what a vector says, to four digits behind the point
// as vectors are written; small numbers, such as ratios, in as many as they have.
func same(got, want any) bool {
	switch want := want.(type) {
	case json.Number:
		n, err := want.Float64()
		value, isNumber := got.(float64)
		digits := 0.5 * math.Pow10(-decimals(want.String()))
		tolerance := min(0.5e-4, max(digits, 1e-3*math.Abs(n)))
		return err == nil && isNumber && math.Abs(value-n) <= tolerance+1e-9*math.Abs(n)
	case []any:
		values, isList := got.([]float64)
		return isList && slices.EqualFunc(values, want, func(a float64, b any) bool { return same(a, b) })
	case map[string]any: // no result is an object
		return false
	}
	_, isList := got.([]float64)
	return !isList && got == want
}

// decimals is how many digits behind the point a number is written with.
func decimals(number string) int {
	digits, exponent, _ := strings.Cut(strings.ToLower(number), "e")
	_, fraction, _ := strings.Cut(digits, ".")
	e, err := strconv.Atoi(exponent)
	if err != nil {
		e = 0
	}
	return min(len(fraction)-e, 300)
}
