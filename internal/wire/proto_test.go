// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package wire_test

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/bufbuild/protocompile"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/atlhyper/atlhyper/internal/telemetry"
)

func payloadDescriptor(t *testing.T) protoreflect.MessageDescriptor {
	t.Helper()
	compiler := protocompile.Compiler{
		Resolver:       &protocompile.SourceResolver{},
		SourceInfoMode: protocompile.SourceInfoStandard,
	}
	files, err := compiler.Compile(t.Context(), "wire.proto")
	if err != nil {
		t.Fatal(err)
	}
	return files[0].Messages().ByName("Payload")
}

// schemaReader reads payloads by nothing but wire.proto and its comments.
type schemaReader struct {
	t       *testing.T
	payload protoreflect.Message
	checked map[string]bool
}

func TestTheCodecAgreesWithTheSchema(t *testing.T) {
	_, dec := newCodec(t)
	descriptor := payloadDescriptor(t)
	r := &schemaReader{t: t, checked: map[string]bool{}}
	for stream := range telemetry.Streams() {
		golden, err := os.ReadFile(goldenPath(stream))
		if err != nil {
			t.Fatal(err)
		}
		payload, err := dec.Payload(golden)
		if err != nil {
			t.Fatal(err)
		}
		message := dynamicpb.NewMessage(descriptor)
		if err := proto.Unmarshal(payload, message); err != nil {
			t.Fatalf("%s: %v", stream, err)
		}
		noUnknown(t, message)
		// The order of fields, packing, and leaving out what is zero are
		// canonical: writing the message again gives the same bytes.
		again, err := proto.MarshalOptions{Deterministic: true}.Marshal(message)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(payload, again) {
			t.Errorf("%s: a protobuf library writes the same message in other bytes", stream)
		}
		r.payload = message
		r.records(fixture(stream))
	}
	// Every field that the fixtures fill was compared, and they fill most.
	if len(r.checked) < 60 {
		t.Errorf("only %d fields were compared", len(r.checked))
	}
}

func noUnknown(t *testing.T, m protoreflect.Message) {
	t.Helper()
	if len(m.GetUnknown()) > 0 {
		t.Errorf("%s has fields that the schema does not know: %x", m.Descriptor().FullName(), m.GetUnknown())
	}
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case f.Message() == nil:
		case f.IsList():
			for i := range v.List().Len() {
				noUnknown(t, v.List().Get(i).Message())
			}
		default:
			noUnknown(t, v.Message())
		}
		return true
	})
}

func field(m protoreflect.Message, name protoreflect.Name) protoreflect.Value {
	return m.Get(m.Descriptor().Fields().ByName(name))
}

func (r *schemaReader) table(name protoreflect.Name, ref uint64) protoreflect.Message {
	return field(r.payload, name).List().Get(int(ref) - 1).Message() //nolint:gosec // small
}

func (r *schemaReader) word(ref uint64) string {
	if ref == 0 {
		return ""
	}
	return field(r.payload, "dictionary").List().Get(int(ref) - 1).String() //nolint:gosec // small
}

func (r *schemaReader) time(offset int64) time.Time {
	base := time.UnixMilli(field(r.payload, "base_time_ms").Int())
	if offset%2 == 0 {
		return base.Add(time.Duration(offset/2) * time.Second).UTC()
	}
	return base.Add(time.Duration((offset-1)/2) * time.Millisecond).UTC()
}

func (r *schemaReader) records(want *telemetry.Batch) {
	list := field(r.payload, "records").List()
	if list.Len() != len(want.Records) {
		r.t.Fatalf("%d records, want %d", list.Len(), len(want.Records))
	}
	for i := range list.Len() {
		record := list.Get(i).Message()
		if got := r.time(field(record, "time").Int()); !got.Equal(want.Records[i].Time) {
			r.t.Errorf("record %d: time %v, want %v", i, got, want.Records[i].Time)
		}
		set := record.WhichOneof(record.Descriptor().Oneofs().ByName("payload"))
		r.compare(record.Get(set).Message(), reflect.ValueOf(want.Records[i].Payload).Elem())
	}
}

// comment returns what the schema says behind a field.
func comment(f protoreflect.FieldDescriptor) string {
	return strings.TrimSpace(f.ParentFile().SourceLocations().ByDescriptor(f).TrailingComments)
}

// goField finds the field of the struct by the name in the schema.
func goField(v reflect.Value, name protoreflect.Name) reflect.Value {
	wanted := strings.ReplaceAll(string(name), "_", "")
	if wanted == "uuid" {
		wanted = "uid"
	}
	if wanted == "bootuuid" {
		wanted = "bootid"
	}
	return v.FieldByNameFunc(func(s string) bool { return strings.EqualFold(s, wanted) })
}

func (r *schemaReader) compare(m protoreflect.Message, v reflect.Value) {
	m.Range(func(f protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		var got, want any
		name := string(m.Descriptor().Name()) + "." + string(f.Name())
		switch {
		case v.Type() == reflect.TypeFor[telemetry.NodeSample]() && f.Number() >= 6 && f.Name() != "boot_uuid", v.Type() == reflect.TypeFor[telemetry.SLISlice]():
			return true // compared as a whole below
		case f.Name() == "boot_uuid":
			got, want = uuidText(value.Bytes()), goField(v, f.Name()).String()
		case f.Name() == "interval_ms":
			got, want = fmt.Sprintf("%d ms", value.Uint()), fmt.Sprintf("%d ms", goField(v, "interval").Int()/int64(time.Millisecond))
		case f.Name() == "labels":
			got, want = r.pairs(field(r.table("label_sets", value.Uint()), "refs").List()), fmt.Sprint(goField(v, f.Name()))
		case f.Name() == "attributes":
			got, want = r.pairs(value.List()), fmt.Sprint(goField(v, f.Name()))
		case f.Name() == "numbers":
			got, want = numbers(value.List()), fmt.Sprint(goField(v, f.Name()).Interface())
		case f.IsList():
			for i := range value.List().Len() {
				r.compare(value.List().Get(i).Message(), goField(v, f.Name()).Index(i))
			}
		case f.Message() != nil:
			r.compare(value.Message(), goField(v, f.Name()))
		default:
			got, want = r.scalar(f, value), scalar(goField(v, f.Name()))
		}
		r.checked[name] = true
		if got != want {
			r.t.Errorf("%s is %v by the schema, want %v", name, got, want)
		}
		return true
	})
	switch s := v.Addr().Interface().(type) {
	case *telemetry.NodeSample:
		r.sample(m, s)
	case *telemetry.SLISlice:
		r.slice(m, s)
	}
}

func (r *schemaReader) pairs(refs protoreflect.List) string {
	labels := make([]telemetry.Label, 0, refs.Len()/2)
	for i := 0; i < refs.Len(); i += 2 {
		labels = append(labels, telemetry.Label{Key: r.word(refs.Get(i).Uint()), Value: r.word(refs.Get(i + 1).Uint())})
	}
	return fmt.Sprint(labels)
}

func numbers(list protoreflect.List) string {
	var out []telemetry.Number
	for i := 0; i < list.Len(); i += 2 {
		out = append(out, telemetry.Number{ID: telemetry.NumberID(list.Get(i).Int()), Value: list.Get(i + 1).Int()}) //nolint:gosec // small
	}
	return fmt.Sprint(out)
}

func (r *schemaReader) scalar(f protoreflect.FieldDescriptor, v protoreflect.Value) string {
	switch about := comment(f); {
	case about == "dictionary":
		return r.word(v.Uint())
	case about == "time":
		return r.time(v.Int()).String()
	case f.Name() == "uuid":
		return uuidText(v.Bytes())
	case f.Kind() == protoreflect.BytesKind:
		return string(v.Bytes())
	default:
		return fmt.Sprint(v.Interface())
	}
}

func uuidText(b []byte) string {
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// scalar prints a Go value by its kind, without the names of enumerations.
func scalar(v reflect.Value) string {
	if v.Type() == reflect.TypeFor[time.Time]() {
		return fmt.Sprint(v.Interface())
	}
	switch v.Kind() {
	case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return fmt.Sprint(v.Uint())
	case reflect.Slice:
		return string(v.Bytes())
	default:
		return fmt.Sprint(v)
	}
}

// values reads a run of numbers as the schema's head describes it, with big
// steps instead of the codec's tricks.
func (*schemaReader) values(data []byte, base []float64) []float64 {
	var out []float64
	for len(data) > 0 {
		var u uint64
		shift := 0
		for {
			c := data[0]
			data = data[1:]
			u |= uint64(c&0x7f) << shift
			shift += 7
			if c < 0x80 {
				break
			}
		}
		b := 0.0
		if base != nil {
			b = base[len(out)]
		}
		switch u {
		case 15:
			out = append(out, b)
			continue
		case 7:
			var bits uint64
			for i := range 8 {
				bits |= uint64(data[i]) << (8 * i)
			}
			out, data = append(out, math.Float64frombits(bits)), data[8:]
			continue
		}
		power := math.Pow(10, float64(u%8))
		z := int64(u/8/2) ^ -int64(u/8%2) //nolint:gosec // zigzag
		if scaled := math.Round(b * power); math.Abs(scaled) <= 1<<53 && math.Float64bits(scaled/power) == math.Float64bits(b) {
			z += int64(scaled)
		}
		out = append(out, float64(z)/power)
	}
	return out
}

func (r *schemaReader) sample(m protoreflect.Message, want *telemetry.NodeSample) {
	ref := field(m, "series").Uint()
	var base []float64
	if at := field(m, "base").Uint(); at != 0 {
		b := r.table("bases", at)
		ref = field(b, "series").Uint()
		base = r.values(field(b, "values").Bytes(), nil)
	}
	series := r.shape(field(r.table("series_sets", ref), "shape").Bytes())
	got := r.values(field(m, "values").Bytes(), base)
	if packed := field(m, "packed").Bytes(); len(packed) > 0 {
		got = r.packed(packed, len(series))
	}
	if fmt.Sprint(got, series) != fmt.Sprint(want.Values, want.Series) {
		r.t.Errorf("the values are %v %v by the schema, want %v %v", got, series, want.Values, want.Series)
	}
}

func (r *schemaReader) slice(m protoreflect.Message, want *telemetry.SLISlice) {
	var bounds []float64
	list := field(r.table("layouts", field(m, "layout").Uint()), "bounds").List()
	for i := range list.Len() {
		bounds = append(bounds, list.Get(i).Float())
	}
	word := func(name protoreflect.Name) string { return r.word(field(m, name).Uint()) }
	counts := append([]float64{want.Total, want.Bad}, want.Classes[:]...)
	counts = append(counts, want.SumSeconds)
	got := fmt.Sprint(telemetry.RouteKey{Controller: word("controller"), Kind: word("kind"), Namespace: word("namespace"), Name: word("name"), Route: word("route")},
		r.time(field(m, "start").Int()), r.values(field(m, "counts").Bytes(), nil), bounds, r.values(field(m, "buckets").Bytes(), nil),
		field(m, "expected_scrapes").Uint(), field(m, "good_scrapes").Uint())
	expected := fmt.Sprint(want.Route, want.Start, counts, want.Latency.Bounds, want.Latency.Counts, want.ExpectedScrapes, want.GoodScrapes)
	if got != expected {
		r.t.Errorf("the slice is %s by the schema, want %s", got, expected)
	}
}
