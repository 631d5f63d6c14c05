// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package chunk

import (
	"encoding/binary"
	"math"
	"time"

	"github.com/atlhyper/atlhyper/internal/telemetry"
)

const sampleVersion = 1

// AppendSample appends what a sample's row holds besides its node, its time and
// its series.
func AppendSample(dst []byte, s *telemetry.NodeSample) []byte {
	dst = append(dst, sampleVersion)
	dst = binary.AppendUvarint(dst, s.CollectorSeq)
	dst = binary.AppendUvarint(dst, uint64(s.Interval.Milliseconds())) //nolint:gosec // not negative
	dst = append(dst, byte(s.Scope))
	dst = binary.AppendUvarint(dst, uint64(len(s.BootID)))
	dst = append(dst, s.BootID...)
	for i, v := range s.Values {
		dst = appendValue(dst, v, decimalsOf(s.Series[i].Metric))
	}
	return dst
}

func appendValue(dst []byte, v float64, decimals int) []byte {
	if i, ok := scaled(v, decimals); ok {
		return appendScaled(dst, i, decimals)
	}
	for d := range maxDecimals + 1 {
		if i, ok := scaled(v, d); ok {
			return appendScaled(dst, i, d)
		}
	}
	return binary.LittleEndian.AppendUint64(append(dst, modeXOR), math.Float64bits(v))
}

func appendScaled(dst []byte, i int64, decimals int) []byte {
	return binary.AppendUvarint(dst, zigzag(i)<<3|uint64(decimals)) //nolint:gosec // below 7
}

// ParseSample reads a row of the given series, which the sample shares from then
// on. Node is left empty.
func ParseSample(data []byte, series []telemetry.Series) (telemetry.NodeSample, error) {
	in := input{rest: data}
	if v := in.byte(); v != sampleVersion {
		in.fail("version %d of a sample is unknown", v)
	}
	s := telemetry.NodeSample{Series: series, CollectorSeq: in.uvarint()}
	s.Interval = time.Duration(in.count("milliseconds", math.MaxInt64/1_000_000)) * time.Millisecond
	s.Scope = telemetry.NetworkScope(in.byte())
	s.BootID = string(in.bytes(in.count("bytes of a boot ID", telemetry.MaxUID)))
	if in.err != nil {
		return telemetry.NodeSample{}, in.err
	}
	s.Values = make([]float64, len(series))
	for i := range s.Values {
		s.Values[i] = in.value()
	}
	if len(in.rest) > 0 {
		in.fail("%d bytes follow the last value", len(in.rest))
	}
	if in.err != nil {
		return telemetry.NodeSample{}, in.err
	}
	return s, nil
}

func (in *input) value() float64 {
	u := in.uvarint()
	switch d := u & 7; {
	case d <= maxDecimals:
		return float64(unzigzag(u>>3)) / powers[d]
	case u == modeXOR:
		if b := in.bytes(8); len(b) == 8 {
			return math.Float64frombits(binary.LittleEndian.Uint64(b))
		}
	default:
		in.fail("mode %d of a value is unknown", u)
	}
	return 0
}

// AppendSeries appends a list of series, as the dictionary keeps it.
func AppendSeries(dst []byte, series []telemetry.Series) []byte {
	dst = binary.AppendUvarint(append(dst, 1), uint64(len(series)))
	for _, s := range series {
		dst = binary.AppendUvarint(dst, uint64(s.Metric))
		dst = binary.AppendUvarint(dst, uint64(len(s.Label)))
		dst = append(dst, s.Label...)
	}
	return dst
}

// ParseSeries reads what AppendSeries wrote.
func ParseSeries(data []byte) ([]telemetry.Series, error) {
	in := input{rest: data}
	if v := in.byte(); v != 1 {
		in.fail("version %d of a series list is unknown", v)
	}
	n := in.count("series", telemetry.MaxValues)
	if n > len(in.rest)/2 {
		in.fail("%d series do not fit %d bytes", n, len(in.rest))
	}
	if in.err != nil {
		return nil, in.err
	}
	series := make([]telemetry.Series, n)
	for i := range series {
		series[i].Metric = telemetry.MetricID(in.count("as a metric", math.MaxUint16)) //nolint:gosec // bounded
		series[i].Label = string(in.bytes(in.count("bytes of a label", telemetry.MaxLabelValue)))
	}
	if len(in.rest) > 0 {
		in.fail("%d bytes follow the last series", len(in.rest))
	}
	return series, in.err
}
