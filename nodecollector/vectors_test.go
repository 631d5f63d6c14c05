// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package nodecollector

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var vectorFile = flag.String("vectors", "testdata/collector-vectors.json",
	"A file of vectors: counters of two moments, and what must come of them. A relative path may start in any folder above.")

type vectors struct {
	Schema  string
	Source  string
	Vectors []vector
}

// vector is an input, in the words of whoever wrote it, and results by name. A
// result of null must be absent; the result "sample" stands for all of them.
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
	if len(file.Vectors) == 0 {
		t.Fatalf("%s has no vectors", *vectorFile)
	}
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
	file := readVectors(t, "testdata/collector-vectors.json")
	for _, v := range file.Vectors {
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

func readVectors(t *testing.T, path string) (file vectors) {
	t.Helper()
	data, err := os.ReadFile(path)
	for above := ".."; err != nil && !filepath.IsAbs(path) && len(above) < 30; above += "/.." {
		data, err = os.ReadFile(filepath.Join(above, path))
	}
	if err != nil {
		t.Fatal(err)
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&file); err != nil {
		t.Fatalf("reading %s: %v", path, err)
	}
	if !strings.HasPrefix(file.Schema, "atlhyper.collector-vectors/v1") {
		t.Fatalf("%s has the schema %q", path, file.Schema)
	}
	return file
}

// check computes what comes of the input and says what differs.
func (v *vector) check() string {
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
		if is, ok := got.named(name); ok && same(is, v.MustNotEqual[name]) {
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

// same compares a result with what a vector says, in as many digits as vectors
// are written with.
func same(got, want any) bool {
	if text, ok := want.(json.Number); ok {
		n, err := text.Float64()
		value, isNumber := got.(float64)
		return err == nil && isNumber && math.Abs(value-n) <= 0.5e-4+1e-9*math.Abs(n)
	}
	if list, ok := want.([]any); ok {
		values, isList := got.([]float64)
		return isList && slices.EqualFunc(values, list, func(a float64, b any) bool { return same(a, b) })
	}
	return got == want
}
