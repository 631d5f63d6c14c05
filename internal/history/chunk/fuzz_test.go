// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package chunk

import (
	"encoding/binary"
	"errors"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// FuzzDecode feeds damaged blocks to the decoder: it must not panic or use much
// memory, and what it accepts must come out the same again.
func FuzzDecode(f *testing.F) {
	for _, b := range Blocks(hour(30)) {
		f.Add(b.Encode())
	}
	f.Add([]byte{1, 0, 0, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := Decode(data, nil)
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Fatalf("the error %v is not ErrMalformed", err)
			}
			return
		}
		b.Each(func(telemetry.Series, Stat, int64, float64) {})
		b.Rollup(nil)
		again, err := Decode(b.Encode(), nil)
		if err != nil {
			t.Fatalf("a block that was decoded cannot be encoded: %v", err)
		}
		if len(again.Columns) != len(b.Columns) {
			t.Fatalf("%d columns became %d", len(b.Columns), len(again.Columns))
		}
		if diff := cmp.Diff(b, again, exact); diff != "" {
			t.Fatalf("(-first +second):\n%s", diff)
		}
	})
}

// FuzzFloats makes columns of any bits and expects them back.
func FuzzFloats(f *testing.F) {
	f.Add([]byte("0123456789abcdef"))
	for _, values := range columns(20) {
		var data []byte
		for _, v := range values {
			data = binary.LittleEndian.AppendUint64(data, math.Float64bits(v))
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var want []float64
		for ; len(data) >= 8; data = data[8:] {
			want = append(want, math.Float64frombits(binary.LittleEndian.Uint64(data)))
		}
		if len(want) == 0 {
			return
		}
		s := &scratch{}
		in := input{rest: appendFloats(nil, want, s)}
		got := make([]float64, len(want))
		in.floats(got, s)
		if in.err != nil {
			t.Fatal(in.err)
		}
		if diff := cmp.Diff(want, got, exact); diff != "" {
			t.Fatalf("(-want +got):\n%s", diff)
		}
	})
}

// FuzzSample feeds damaged rows to the parsers.
func FuzzSample(f *testing.F) {
	s := hour(30)[20]
	f.Add(AppendSample(nil, &s.NodeSample), AppendSeries(nil, s.Series))
	f.Fuzz(func(t *testing.T, row, list []byte) {
		series, err := ParseSeries(list)
		if err != nil {
			return
		}
		sample, err := ParseSample(row, series)
		if err != nil {
			return
		}
		again, err := ParseSample(AppendSample(nil, &sample), series)
		if diff := cmp.Diff(sample, again, exact); diff != "" || err != nil {
			t.Fatalf("%v (-first +second):\n%s", err, diff)
		}
	})
}
