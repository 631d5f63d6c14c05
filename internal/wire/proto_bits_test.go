// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

//nolint:gosec // numbers of test data are small
package wire_test

import (
	"strconv"

	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// ones is a run of bits as wire.proto describes it, one element for each bit.
type ones []uint64

func bitsOf(data []byte) *ones {
	var all ones
	for _, b := range data {
		for i := range 8 {
			all = append(all, uint64(b>>i&1))
		}
	}
	return &all
}

func (o *ones) take(n int) (v uint64) {
	for i, bit := range (*o)[:n] {
		v += bit << i
	}
	*o = (*o)[n:]
	return v
}

func (o *ones) number() uint64 {
	group := o.take(3)
	if o.take(1) == 0 {
		return group
	}
	return group + 8*o.number()
}

func (o *ones) zigzag() int {
	n := int(o.number())
	if n%2 == 1 {
		return -(n + 1) / 2
	}
	return n / 2
}

func (o *ones) magnitude() float64 {
	switch c := o.take(4); c {
	case 12:
		return float64(o.take(15))
	case 13:
		return float64(o.take(20))
	case 14:
		return float64(o.take(28))
	case 15:
		return float64(o.take(53))
	default:
		return float64(o.take(int(c)) + 1<<c)
	}
}

// rest checks that less than a byte is left, all of it 0.
func (r *schemaReader) rest(o *ones) {
	if len(*o) > 7 || o.take(len(*o)) != 0 {
		r.t.Errorf("%d bits are left", len(*o))
	}
}

// packed reads a run of packed numbers as the schema's head describes it.
func (r *schemaReader) packed(data []byte, count int) []float64 {
	o := bitsOf(data)
	scale := uint64(3)
	out := make([]float64, count)
	for i := range out {
		if o.take(1) == 0 {
			continue
		}
		if o.take(1) == 1 {
			s := o.take(3)
			if s == 7 {
				form := []byte{byte(o.take(8))}
				for form[len(form)-1] >= 0x80 {
					form = append(form, byte(o.take(8)))
				}
				if len(form) == 1 && form[0] == 7 {
					for range 8 {
						form = append(form, byte(o.take(8)))
					}
				}
				out[i] = r.values(form, nil)[0]
				continue
			}
			scale = s
		}
		out[i] = o.magnitude()
		if scale == 0 {
			out[i] *= 4096
		} else {
			out[i] /= map[uint64]float64{1: 1, 2: 10, 3: 100, 4: 1000, 5: 10_000, 6: 1_000_000}[scale]
		}
	}
	r.rest(o)
	return out
}

// shape reads a list of series as the schema's head describes it.
func (r *schemaReader) shape(data []byte) []telemetry.Series {
	o := bitsOf(data)
	var out []telemetry.Series
	first := 0
	for total := int(o.number() + 1); len(out) < total; {
		var metrics []int
		next := first
		for range o.number() + 1 {
			next += o.zigzag()
			for range o.number() + 1 {
				metrics = append(metrics, next)
				next++
			}
		}
		first = metrics[0]
		var labels []string
		for left := int(o.number() + 1); left > len(labels); {
			switch kind := o.number(); {
			case kind == 0:
				labels = append(labels, "")
			case kind%2 == 1:
				labels = append(labels, r.word((kind+1)/2))
			default:
				for i := range o.number() + 1 {
					labels = append(labels, strconv.FormatUint(kind/2-1+i, 10))
				}
			}
		}
		for _, label := range labels {
			for _, metric := range metrics {
				out = append(out, telemetry.Series{Metric: telemetry.MetricID(metric), Label: label})
			}
		}
	}
	r.rest(o)
	return out
}
