// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package telemetry_test

import (
	"bytes"
	"encoding"
	"encoding/json"
	"errors"
	"maps"
	"math"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/atlhyper/atlhyper/internal/telemetry"
)

var now = time.Date(2026, time.November, 23, 9, 30, 0, 0, time.UTC)

func TestStreamsHaveNamesAndAnOrderOfSacrifice(t *testing.T) {
	var byPriority []string
	for p := telemetry.Priority(1); p <= 6; p++ {
		for s := range telemetry.Streams() {
			if s.Priority() == p {
				byPriority = append(byPriority, s.String())
			}
			if got, err := telemetry.ParseStream(s.String()); err != nil || got != s {
				t.Errorf("parsing %q gives %v, %v", s, got, err)
			}
			if s.MaxRecordBytes() < telemetry.MaxMessage {
				t.Errorf("%s allows records of %d bytes only", s, s.MaxRecordBytes())
			}
		}
	}
	want := []string{"node-metrics", "events", "inventory", "sli", "anomalies", "command-output"}
	if diff := cmp.Diff(want, byPriority); diff != "" {
		t.Errorf("from the first to be dropped to the last (-want +got):\n%s", diff)
	}
	for _, name := range []string{"", "pods", "stream(1)"} {
		if s, err := telemetry.ParseStream(name); err == nil {
			t.Errorf("parsing %q gives %s, want an error", name, s)
		}
	}
	if s := telemetry.Stream(9); s.Known() || s.Priority() != 0 || s.MaxRecordBytes() != 0 || s.String() != "stream(9)" {
		t.Errorf("stream 9 is taken for a known one: %s", s)
	}
}

func TestMetricsTable(t *testing.T) {
	names := map[string]telemetry.MetricID{}
	last := telemetry.MetricID(0)
	wellNamed := regexp.MustCompile(`^[a-z][a-z0-9_]*$`)
	for m := range telemetry.Metrics() {
		if other, taken := names[m.Name]; taken {
			t.Errorf("%d and %d are both named %s", other, m.ID, m.Name)
		}
		names[m.Name] = m.ID
		if m.ID <= last || !wellNamed.MatchString(m.Name) || m.Unit == "" || m.Kind.String() == "0" || m.Kind == 0 {
			t.Errorf("the metric is not well described: %+v", m)
		}
		if counter := strings.HasSuffix(m.Name, "_total"); counter != (m.Kind == telemetry.KindCounter) {
			t.Errorf("%s is a %s", m.Name, m.Kind)
		}
		if percent := strings.HasSuffix(m.Name, "_percent"); percent != (m.Unit == telemetry.UnitPercent) {
			t.Errorf("%s is in %s", m.Name, m.Unit)
		}
		last = m.ID
		if found, ok := telemetry.MetricNamed(m.Name); !ok || found != m {
			t.Errorf("%s is not found by its name", m.Name)
		}
	}
	// Numbers are forever: these are in stored data.
	for id, name := range map[telemetry.MetricID]string{
		1: "cpu_usage_percent", 30: "pressure_cpu_some_percent", 40: "memory_total_bytes", 59: "oom_kills_total", 70: "fs_size_bytes", 81: "fs_role",
		90: "disk_read_bytes_per_second", 98: "disk_write_await_ms", 110: "net_receive_bytes_per_second", 124: "net_physical_transmit_bytes_per_second",
		130: "temperature_celsius", 142: "collector_cpu_ms", 29: "29", 9999: "9999",
	} {
		if id.String() != name {
			t.Errorf("metric %d is %s, want %s", id, id, name)
		}
	}
	cpu, _ := telemetry.MetricCPUUsage.Lookup()
	if got := cpu.Round(21.333333); got != 21.33 {
		t.Errorf("rounded to %v, want 21.33", got)
	}
	for _, v := range []float64{math.MaxFloat64, -0.001, 0, 100} {
		if got := cpu.Round(v); math.Abs(got-v) > 0.005 {
			t.Errorf("%v was rounded to %v", v, got)
		}
	}
}

func TestEnumerationsSurviveText(t *testing.T) {
	type enum interface {
		encoding.TextMarshaler
		String() string
	}
	for name, pair := range map[string]struct {
		value enum
		into  encoding.TextUnmarshaler
	}{
		"inventory":    {telemetry.StreamInventory, new(telemetry.Stream)},
		"delete":       {telemetry.OpDelete, new(telemetry.DeltaOp)},
		"False":        {telemetry.ReadyFalse, new(telemetry.Readiness)},
		"Warning":      {telemetry.EventWarning, new(telemetry.EventType)},
		"critical":     {telemetry.SeverityCritical, new(telemetry.Severity)},
		"escalated":    {telemetry.AnomalyEscalated, new(telemetry.AnomalyState)},
		"EpochLost":    {telemetry.GapEpochLost, new(telemetry.GapReason)},
		"stderr":       {telemetry.OutputStderr, new(telemetry.OutputSource)},
		"pod":          {telemetry.NetworkPod, new(telemetry.NetworkScope)},
		"load1":        {telemetry.MetricLoad1, new(telemetry.MetricID)},
		"77":           {telemetry.GapReason(77), new(telemetry.GapReason)},
		"60000":        {telemetry.MetricID(60000), new(telemetry.MetricID)},
		"":             {telemetry.Severity(0), new(telemetry.Severity)},
		"snapshot-end": {telemetry.OpSnapshotEnd, new(telemetry.DeltaOp)},
	} {
		text, err := pair.value.MarshalText()
		if err != nil || string(text) != name || pair.value.String() != name {
			t.Errorf("%v is written %q, want %q (%v)", pair.value, text, name, err)
		}
		if err := pair.into.UnmarshalText(text); err != nil {
			t.Errorf("reading %q: %v", text, err)
		}
		again, _ := json.Marshal(pair.into)
		if want, _ := json.Marshal(name); !bytes.Equal(again, want) {
			t.Errorf("%s was read as %s", want, again)
		}
		if err := pair.into.UnmarshalText([]byte("no such thing")); err == nil {
			t.Errorf("%T accepts anything", pair.into)
		}
	}
}

func TestClip(t *testing.T) {
	for name, c := range map[string]struct {
		in    string
		limit int
		want  string
	}{
		"short":                {"abc", 5, "abc"},
		"exact":                {"abcde", 5, "abcde"},
		"long":                 {"abcdef", 5, "abcde"},
		"between runes":        {"aé世", 3, "aé"},
		"inside a rune":        {"aé世", 5, "aé"},
		"nothing fits":         {"世", 2, ""},
		"nothing allowed":      {"abc", 0, ""},
		"NUL":                  {"a\x00b", 9, "a\uFFFDb"},
		"invalid":              {"a\xff\xfeb", 9, "a\uFFFDb"},
		"invalid, then cut":    {"a\xffb", 3, "a"},
		"cut, which cures it":  {"abc\xff", 3, "abc"},
		"a long invalid thing": {strings.Repeat("\x00", 1000), 7, "\uFFFD\uFFFD"},
	} {
		if got := telemetry.Clip(c.in, c.limit); got != c.want || !utf8.ValidString(got) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestLabelsFitTheirField(t *testing.T) {
	got, dropped := telemetry.Labels(map[string]string{
		"b": "2", "a": strings.Repeat("x", 20), "": "no key", strings.Repeat("k", telemetry.MaxLabelKey+1): "", "c": "\x00", "bad\xff": "", "z": "one too many",
	}, 3, 10)
	want := []telemetry.Label{{Key: "a", Value: "xxxxxxxxxx"}, {Key: "b", Value: "2"}, {Key: "c", Value: "\uFFFD"}}
	if diff := cmp.Diff(want, got); diff != "" || dropped != 4 {
		t.Errorf("%d dropped, want 4 (-want +got):\n%s", dropped, diff)
	}
	if v, ok := telemetry.Value(got, "b"); v != "2" || !ok {
		t.Errorf("b is %q, %v", v, ok)
	}
	if v, ok := telemetry.Value(got, "bb"); v != "" || ok {
		t.Errorf("bb is %q, %v", v, ok)
	}
	if none, dropped := telemetry.Labels(nil, 3, 3); none != nil || dropped != 0 {
		t.Errorf("labels out of nothing: %v, %d", none, dropped)
	}
}

func samplePayloads() map[telemetry.Stream]telemetry.Payload {
	return map[telemetry.Stream]telemetry.Payload{
		telemetry.StreamInventory: &telemetry.ObjectDelta{Op: telemetry.OpUpsert, Kind: telemetry.KindPod, Name: "p", UID: "u"},
		telemetry.StreamAnomalies: &telemetry.AnomalyTransition{Rule: "r", Fingerprint: "f", State: telemetry.AnomalyRaised, Severity: telemetry.SeverityInfo, Since: now},
		telemetry.StreamEvents:    &telemetry.Event{UID: "u", Type: telemetry.EventWarning, Count: 1, LastSeen: now},
		telemetry.StreamNodeMetrics: &telemetry.NodeSample{
			Node: "n", BootID: "b", CollectorSeq: 1, Series: []telemetry.Series{{Metric: 1}}, Values: []float64{1},
		},
		telemetry.StreamSLI:           &telemetry.SLISlice{Route: telemetry.RouteKey{Controller: "traefik"}, Start: now},
		telemetry.StreamCommandOutput: &telemetry.CommandOutput{CommandUID: "c", ExecutionID: "e"},
	}
}

func TestEachStreamCarriesItsOwn(t *testing.T) {
	payloads := samplePayloads()
	for stream := range telemetry.Streams() {
		for of, payload := range payloads {
			r := telemetry.Record{Seq: 3, Time: now, Payload: payload}
			if err := r.Validate(stream); (err == nil) != (stream == of) || err != nil && !errors.Is(err, telemetry.ErrInvalid) {
				t.Errorf("%T on %s: %v", payload, stream, err)
			}
		}
		gap := telemetry.Record{Seq: 3, Time: now, Payload: &telemetry.Gap{From: 2, To: 3, Reason: telemetry.GapSpoolFull}}
		if err := gap.Validate(stream); err != nil {
			t.Errorf("a gap on %s: %v", stream, err)
		}
	}
	for name, r := range map[string]telemetry.Record{
		"seq 0":              {Time: now, Payload: payloads[telemetry.StreamSLI]},
		"no time":            {Seq: 1, Payload: payloads[telemetry.StreamSLI]},
		"no payload":         {Seq: 1, Time: now},
		"nil payload":        {Seq: 1, Time: now, Payload: (*telemetry.SLISlice)(nil)},
		"nil gap":            {Seq: 1, Time: now, Payload: (*telemetry.Gap)(nil)},
		"gap of elsewhere":   {Seq: 4, Time: now, Payload: &telemetry.Gap{From: 2, To: 3, Reason: 1}},
		"gap without reason": {Seq: 3, Time: now, Payload: &telemetry.Gap{From: 2, To: 3}},
		"inverted gap":       {Seq: 3, Time: now, Payload: &telemetry.Gap{From: 4, To: 3, Reason: 1}},
		"gap back in time":   {Seq: 3, Time: now, Payload: &telemetry.Gap{From: 3, To: 3, Reason: 1, Start: now, End: now.Add(-1)}},
		"distant future":     {Seq: 1, Time: now.AddDate(8000, 0, 0), Payload: payloads[telemetry.StreamSLI]},
	} {
		if err := r.Validate(telemetry.StreamSLI); !errors.Is(err, telemetry.ErrInvalid) {
			t.Errorf("%s: %v, want invalid", name, err)
		}
	}
}

func TestBatchesAreContiguous(t *testing.T) {
	record := func(seq uint64) telemetry.Record {
		return telemetry.Record{Seq: seq, Time: now, Payload: samplePayloads()[telemetry.StreamSLI]}
	}
	gap := func(from, to uint64) telemetry.Record {
		return telemetry.Record{Seq: to, Time: now, Payload: &telemetry.Gap{From: from, To: to, Reason: telemetry.GapSpoolFull}}
	}
	for name, c := range map[string]struct {
		records     []telemetry.Record
		first, last uint64
		ok          bool
	}{
		"one":              {[]telemetry.Record{record(1)}, 1, 1, true},
		"three":            {[]telemetry.Record{record(7), record(8), record(9)}, 7, 9, true},
		"gap in front":     {[]telemetry.Record{gap(1, 7), record(8)}, 1, 8, true},
		"gap between":      {[]telemetry.Record{record(1), gap(2, 7), record(8)}, 1, 8, true},
		"the last numbers": {[]telemetry.Record{gap(1, math.MaxUint64-1), record(math.MaxUint64)}, 1, math.MaxUint64, true},
		"none":             {nil, 0, 0, false},
		"hole":             {[]telemetry.Record{record(1), record(3)}, 1, 3, false},
		"twice":            {[]telemetry.Record{record(1), record(1)}, 1, 1, false},
		"backward":         {[]telemetry.Record{record(2), record(1)}, 2, 1, false},
		"overlapping gap":  {[]telemetry.Record{record(5), gap(5, 9)}, 5, 9, false},
		"gap too late":     {[]telemetry.Record{record(5), gap(7, 9)}, 5, 9, false},
		"from 0":           {[]telemetry.Record{record(0), record(1)}, 0, 1, false},
		"around the end":   {[]telemetry.Record{record(math.MaxUint64), record(0)}, math.MaxUint64, 0, false},
	} {
		b := telemetry.NewBatch(telemetry.StreamSLI, 1, c.records)
		if b.FirstSeq != c.first || b.LastSeq != c.last {
			t.Errorf("%s: from %d to %d, want %d to %d", name, b.FirstSeq, b.LastSeq, c.first, c.last)
		}
		if err := b.Validate(); (err == nil) != c.ok {
			t.Errorf("%s: %v, want ok %v", name, err, c.ok)
		}
		if c.ok && len(c.records) > 1 {
			first, second := b.Halve()
			if err := errors.Join(first.Validate(), second.Validate()); err != nil || first.LastSeq+1 != second.FirstSeq || second.LastSeq != c.last {
				t.Errorf("%s: halves %d-%d and %d-%d: %v", name, first.FirstSeq, first.LastSeq, second.FirstSeq, second.LastSeq, err)
			}
		}
	}
	b := telemetry.NewBatch(telemetry.StreamSLI, 1, slices.Repeat([]telemetry.Record{record(1)}, telemetry.MaxRecords+1))
	if err := b.Validate(); err == nil {
		t.Error("a batch of too many records is valid")
	}
	for _, broken := range []telemetry.Batch{{Stream: 9, Epoch: 1, FirstSeq: 1, LastSeq: 1}, {Stream: 1, FirstSeq: 1, LastSeq: 1}, {Stream: telemetry.StreamSLI, Epoch: 1, FirstSeq: 1, LastSeq: 2}} {
		broken.Records = []telemetry.Record{record(1)}
		if err := broken.Validate(); !errors.Is(err, telemetry.ErrInvalid) {
			t.Errorf("%+v is valid", broken)
		}
	}
}

func TestLookups(t *testing.T) {
	o := &telemetry.ObjectDelta{
		Numbers:    []telemetry.Number{{ID: telemetry.NumberContainers, Value: 0}},
		Attributes: []telemetry.Label{{Key: telemetry.AttributeImage, Value: "nginx"}},
	}
	if v, ok := o.Number(telemetry.NumberContainers); v != 0 || !ok {
		t.Error("a number that is 0 is not there")
	}
	if _, ok := o.Number(telemetry.NumberReadyContainers); ok {
		t.Error("a number that is absent is there")
	}
	if v, ok := o.Attribute(telemetry.AttributeImage); v != "nginx" || !ok {
		t.Errorf("the image is %q", v)
	}
	s := &telemetry.NodeSample{Series: []telemetry.Series{{Metric: 1}, {Metric: 11, Label: "0"}}, Values: []float64{4, 0}}
	if v, ok := s.Value(11, "0"); v != 0 || !ok {
		t.Error("a value that is 0 is not there")
	}
	if _, ok := s.Value(11, "1"); ok {
		t.Error("a value that is absent is there")
	}
	for want, slice := range map[float64]*telemetry.SLISlice{0: {}, 0.5: {ExpectedScrapes: 4, GoodScrapes: 2}, 1: {ExpectedScrapes: 4, GoodScrapes: 5}} {
		if got := slice.Coverage(); got != want {
			t.Errorf("coverage %v, want %v", got, want)
		}
	}
	kinds := telemetry.Kinds()
	if len(kinds) != 19 || len(slices.Collect(maps.Keys(maps.Collect(slices.All(kinds))))) != 19 {
		t.Errorf("%d kinds, want 19", len(kinds))
	}
	kinds[0] = "changed"
	if telemetry.Kinds()[0] != telemetry.KindPod {
		t.Error("the list of kinds can be changed from outside")
	}
}
