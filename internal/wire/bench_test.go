// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package wire_test

import (
	"bytes"
	"compress/gzip"
	"encoding/gob"
	"encoding/json"
	"io"
	"testing"
	"time"

	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// typed is a batch as encoding/json and encoding/gob need it: with a payload of
// a known type.
type typed[T any] struct {
	Stream            telemetry.Stream
	Epoch             telemetry.Epoch
	FirstSeq, LastSeq uint64
	Records           []typedRecord[T]
}

type typedRecord[T any] struct {
	Seq     uint64
	Time    time.Time
	Payload T
}

// peer is a way to encode and decode the same batch.
type peer struct {
	name   string
	encode func() ([]byte, error)
	decode func([]byte) error
}

func peers[T any](b *telemetry.Batch) []peer {
	value := typed[T]{Stream: b.Stream, Epoch: b.Epoch, FirstSeq: b.FirstSeq, LastSeq: b.LastSeq}
	for i := range b.Records {
		value.Records = append(value.Records, typedRecord[T]{b.Records[i].Seq, b.Records[i].Time, *b.Records[i].Payload.(any).(*T)})
	}
	return []peer{{
		name: "json-gzip",
		encode: func() ([]byte, error) {
			var out bytes.Buffer
			z := gzip.NewWriter(&out)
			if err := json.NewEncoder(z).Encode(value); err != nil {
				return nil, err
			}
			err := z.Close()
			return out.Bytes(), err
		},
		decode: func(data []byte) error {
			z, err := gzip.NewReader(bytes.NewReader(data))
			if err != nil {
				return err
			}
			return json.NewDecoder(z).Decode(new(typed[T]))
		},
	}, {
		name: "gob",
		encode: func() ([]byte, error) {
			var out bytes.Buffer
			err := gob.NewEncoder(&out).Encode(value)
			return out.Bytes(), err
		},
		decode: func(data []byte) error { return gob.NewDecoder(bytes.NewReader(data)).Decode(new(typed[T])) },
	}, {
		name: "gob-gzip",
		encode: func() ([]byte, error) {
			var out bytes.Buffer
			z := gzip.NewWriter(&out)
			if err := gob.NewEncoder(z).Encode(value); err != nil {
				return nil, err
			}
			err := z.Close()
			return out.Bytes(), err
		},
		decode: func(data []byte) error {
			z, err := gzip.NewReader(bytes.NewReader(data))
			if err != nil {
				return err
			}
			return gob.NewDecoder(io.Reader(z)).Decode(new(typed[T]))
		},
	}}
}

func peersOf(b *telemetry.Batch) []peer {
	switch b.Stream {
	case telemetry.StreamInventory:
		return peers[telemetry.ObjectDelta](b)
	case telemetry.StreamAnomalies:
		return peers[telemetry.AnomalyTransition](b)
	case telemetry.StreamEvents:
		return peers[telemetry.Event](b)
	case telemetry.StreamNodeMetrics:
		return peers[telemetry.NodeSample](b)
	case telemetry.StreamSLI:
		return peers[telemetry.SLISlice](b)
	default:
		return peers[telemetry.CommandOutput](b)
	}
}

func ours(tb testing.TB, b *telemetry.Batch) peer {
	enc, dec := newCodec(tb)
	var buffer []byte
	return peer{
		name: "wire",
		encode: func() (_ []byte, err error) {
			buffer, err = enc.Append(buffer[:0], b)
			return buffer, err
		},
		decode: func(data []byte) error {
			_, err := dec.Decode(data)
			return err
		},
	}
}

// BenchmarkCodec measures each stream in the batches that agents send: 300 records
// or, of node samples, 15 of 20 nodes. Run it with -benchmem.
func BenchmarkCodec(b *testing.B) {
	for stream := range telemetry.Streams() {
		batch := newWorld(11).batch(stream, 300)
		for _, p := range append([]peer{ours(b, batch)}, peersOf(batch)...) {
			b.Run(stream.String()+"/"+p.name+"/encode", func(b *testing.B) {
				for b.Loop() {
					if _, err := p.encode(); err != nil {
						b.Fatal(err)
					}
				}
				perRecord(b, p, len(batch.Records))
			})
			b.Run(stream.String()+"/"+p.name+"/decode", func(b *testing.B) {
				data, err := p.encode()
				if err != nil {
					b.Fatal(err)
				}
				data = bytes.Clone(data)
				for b.Loop() {
					if err := p.decode(data); err != nil {
						b.Fatal(err)
					}
				}
				perRecord(b, p, len(batch.Records))
			})
		}
	}
}

func perRecord(b *testing.B, p peer, records int) {
	b.Helper()
	data, err := p.encode()
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(len(data))/float64(records), "wireB/record")
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(records), "ns/record")
}

// BenchmarkRatio takes turns between the codecs within one loop, so that both see
// the same machine, and reports how many times more a peer costs than wire.
func BenchmarkRatio(b *testing.B) {
	for stream := range telemetry.Streams() {
		batch := newWorld(11).batch(stream, 300)
		all := append([]peer{ours(b, batch)}, peersOf(batch)...)
		b.Run(stream.String(), func(b *testing.B) {
			encode, decode, size := make([]time.Duration, len(all)), make([]time.Duration, len(all)), make([]int, len(all))
			for b.Loop() {
				for i, p := range all {
					start := time.Now()
					data, err := p.encode()
					middle := time.Now()
					if err == nil {
						err = p.decode(data)
					}
					if err != nil {
						b.Fatal(err)
					}
					encode[i] += middle.Sub(start)
					decode[i] += time.Since(middle)
					size[i] = len(data)
				}
			}
			b.ReportMetric(0, "ns/op")
			for i, p := range all[1:] {
				b.ReportMetric(float64(encode[i+1])/float64(encode[0]), p.name+"-encode-x")
				b.ReportMetric(float64(decode[i+1])/float64(decode[0]), p.name+"-decode-x")
				b.ReportMetric(float64(size[i+1])/float64(size[0]), p.name+"-bytes-x")
			}
		})
	}
}

// What a record costs on the wire, on data like that of a real cluster. The bytes
// are the same on every machine; the limits are a little above what was measured,
// and the ratios to gzipped JSON a little below.
func TestBytesPerRecord(t *testing.T) {
	for stream, limit := range map[telemetry.Stream]struct {
		bytes float64
		ratio float64
	}{
		telemetry.StreamInventory:     {62, 1.6},
		telemetry.StreamAnomalies:     {80, 1.3},
		telemetry.StreamEvents:        {89, 1.15},
		telemetry.StreamNodeMetrics:   {323, 1.6},
		telemetry.StreamSLI:           {42, 1.15},
		telemetry.StreamCommandOutput: {204, 1.25},
	} {
		batch := newWorld(11).batch(stream, 300)
		enc, dec := newCodec(t)
		data := encode(t, enc, batch)
		peer, err := peersOf(batch)[0].encode()
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range peersOf(batch) { // a comparison with what does not work would be none
			other, err := p.encode()
			if err == nil {
				err = p.decode(other)
			}
			if err != nil {
				t.Errorf("%s: %v", p.name, err)
			}
		}
		payload, err := dec.Payload(data)
		if err != nil {
			t.Fatal(err)
		}
		perRecord, ratio := float64(len(data))/300, float64(len(peer))/float64(len(data))
		t.Logf("%-15s %6.1f B/record, %6.1f before zstd, JSON and gzip %.1f times as much", stream, perRecord, float64(len(payload))/300, ratio)
		if perRecord > limit.bytes || ratio < limit.ratio {
			t.Errorf("%s: %.1f B/record and %.2f times less than JSON and gzip, want at most %.1f and at least %.2f", stream, perRecord, ratio, limit.bytes, limit.ratio)
		}
	}
}
